//! Wires the hub together. [`run`] is `kolga serve`: it starts everything and waits for a signal;
//! [`Hub::start`] and [`Hub::stop`] are the same without the signals, for tests.

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use axum::serve::ListenerExt;
use kolga_protocol::id::UnixMillis;
use kolga_protocol::link::{LinkConfig, LinkState, Publisher};
use kolga_protocol::rhythm;
use sd_notify::NotifyState;
use signal_hook::consts::{SIGINT, SIGTERM};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::{self, Token};
use crate::app::App;
use crate::config::Config;
use crate::inbox::Inbox;
use crate::janitor::Janitor;
use crate::presence::Presences;
use crate::store::operations::preparing::RemoveHalf;
use crate::store::{Alive, Policy, Store};
use crate::sweeper::Sweeper;
use crate::topology::Topology;
use crate::{heartbeats, mover, relay};

/// How long requests and links get to end.
const GRACE: Duration = Duration::from_secs(10);
/// How long the broker gets to confirm what is on its way.
const CONFIRM: Duration = Duration::from_secs(3);

/// Runs the hub until a signal ends it.
///
/// # Errors
/// When it cannot start, with what to do.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let mut signals = listen_for_signals().context("cannot listen for signals")?;
    let hub = Hub::start(config).await?;
    tracing::info!(address = %hub.address, pid = std::process::id(), "the hub runs");
    // Without systemd there is nobody to tell.
    drop(sd_notify::notify(&[NotifyState::Ready]));
    let watchdog = tokio::spawn(feed_watchdog(hub.store.clone()));
    signals.recv().await;
    drop(sd_notify::notify(&[NotifyState::Stopping]));
    tracing::info!("stopping");
    watchdog.abort();
    // Its clone of the store must be gone before the writer can end.
    drop(watchdog.await);
    tokio::select! {
        () = hub.stop() => tracing::info!("the hub has ended"),
        _ = signals.recv() => tracing::warn!("a second signal: ending at once"),
    }
    Ok(())
}

fn listen_for_signals() -> std::io::Result<mpsc::UnboundedReceiver<i32>> {
    let mut caught = signal_hook::iterator::Signals::new([SIGTERM, SIGINT])?;
    let (tell, signals) = mpsc::unbounded_channel();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in caught.forever() {
                if tell.send(signal).is_err() {
                    return;
                }
            }
        })?;
    Ok(signals)
}

/// Tells systemd that the hub lives, as long as its writer answers.
async fn feed_watchdog(store: Store) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    loop {
        if store.write(Alive).await.is_ok() {
            drop(sd_notify::notify(&[NotifyState::Watchdog]));
        }
        // Together with whatever else wakes the hub.
        let now = tokio::time::Instant::now();
        tokio::time::sleep_until(rhythm::moment(now + limit / 3, now + limit * 2 / 3)).await;
    }
}

/// A hub that runs.
pub struct Hub {
    /// Where the API listens.
    pub address: SocketAddr,
    /// The database.
    pub store: Store,
    stop: CancellationToken,
    links: CancellationToken,
    relay: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
    writer: JoinHandle<()>,
    lock: std::fs::File,
}

impl Hub {
    /// Starts everything. The broker may be away; the API answers all the same.
    ///
    /// # Errors
    /// When the state folder, the database or the address cannot be used.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let lock = own_state_dir(&config.state_dir)?;
        let token = Token::load_or_create(&config.token_path())?;
        let link = LinkConfig::new(&config.broker.url, "kolga hub")?;
        let listener = TcpListener::bind(config.listen).await.with_context(|| {
            format!(
                "cannot listen on {}: is another hub running?",
                config.listen
            )
        })?;
        let address = listener.local_addr()?;
        let (store, writer) = Store::open(&config.store_url(), policy(&config)).await?;
        // What the hub before was writing down when it died; nobody has seen it.
        while store.write(RemoveHalf).await? {}

        let stop = CancellationToken::new();
        let links = CancellationToken::new();
        let publisher = Publisher::start(link.purpose("relay"), links.clone());
        let topology = Arc::new(Topology::new(
            &link,
            config.broker.queue_type,
            store.clone(),
        ));
        let (inbox_shows, inbox_state) = watch::channel(LinkState::Down {
            since: UnixMillis::now(),
            reason: "its queue is not declared yet".to_owned(),
        });
        let presences = Arc::new(Presences::new(config.tasks.silent_seconds));
        let janitor = Janitor::new(store.clone(), config.retention.clone(), stop.clone());
        let app = Arc::new(App {
            store: store.clone(),
            presences: Arc::clone(&presences),
            topology: Arc::clone(&topology),
            broker: format!(
                "RabbitMQ at {}, {} queues",
                link.address(),
                config.broker.queue_type.as_str()
            ),
            link: link.purpose("questions"),
            publisher: publisher.state(),
            inbox: inbox_state,
            swept: janitor.shows(),
            traffic: link.traffic(),
            began: Instant::now(),
        });
        let sweeper = Sweeper {
            store: store.clone(),
            publisher: publisher.clone(),
            presences: Arc::clone(&presences),
            topology: Arc::clone(&topology),
        };
        let publishing = publisher.state();
        let relay = relay::run(
            store.clone(),
            publisher,
            Arc::clone(&topology),
            stop.clone(),
        );
        let inbox = Inbox {
            store: store.clone(),
            link: link.clone(),
            topology: Arc::clone(&topology),
            shows: inbox_shows,
        };
        let (aside, beats) = heartbeats::aside(&link);
        let tasks = vec![
            tokio::spawn(inbox.run(aside, links.clone())),
            tokio::spawn(heartbeats::run(store.clone(), presences, beats)),
            tokio::spawn(topology.run(publishing, stop.clone())),
            tokio::spawn(sweeper.run(stop.clone())),
            tokio::spawn(mover::run(store.clone(), stop.clone())),
            tokio::spawn(janitor.run()),
            tokio::spawn(answer(
                listener,
                api::router(app, token, stop.clone()),
                stop.clone(),
            )),
        ];
        Ok(Self {
            address,
            store,
            stop,
            links,
            relay: tokio::spawn(relay),
            tasks,
            writer,
            lock,
        })
    }

    /// Ends everything in order: what has been asked is answered, what has been reported is committed.
    pub async fn stop(self) {
        self.stop.cancel();
        // What is on its way gets a moment to be confirmed and noted; without, it is sent again.
        if tokio::time::timeout(CONFIRM, self.relay).await.is_err() {
            tracing::warn!(
                "the broker does not confirm what was sent last; it is sent again at the next start"
            );
        }
        self.links.cancel();
        let ended = async {
            for task in self.tasks {
                if let Err(error) = task.await {
                    tracing::error!(%error, "a part of the hub ended badly");
                }
            }
        };
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            tracing::warn!("not everything ended in time");
        }
        drop(self.store);
        if tokio::time::timeout(GRACE, self.writer).await.is_err() {
            tracing::warn!(
                "the database was not closed in time; nothing that was answered is lost"
            );
        }
        drop(self.lock);
    }
}

fn policy(config: &Config) -> Policy {
    let tasks = &config.tasks;
    Policy {
        attempts: tasks.attempts,
        retry_millis: i64::from(tasks.retry_seconds) * 1000,
        check_millis: i64::from(tasks.silent_seconds) * 1000,
    }
}

async fn answer(listener: TcpListener, router: axum::Router, stop: CancellationToken) {
    // A live stream is small pieces: gathering them would hold each up until the one before is acked.
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "a connection gathers what it sends");
        }
    });
    let served = axum::serve(listener, router)
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the API ended");
    }
}

/// Makes the hub's folder where there is none, and sees to it that there is one hub in it.
fn own_state_dir(path: &Path) -> anyhow::Result<std::fs::File> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot make the state folder {}", path.display()))?;
    let file = path.join("hub.lock");
    let lock = std::fs::File::create(&file).with_context(|| {
        format!(
            "cannot write {}: may this user write there?",
            file.display()
        )
    })?;
    match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            bail!("another hub runs with the state folder {}", path.display())
        }
        Err(error) => Err(error).with_context(|| format!("cannot lock {}", file.display())),
    }
}
