//! Wires the worker together, from the lock to the last report.
//!
//! [`run`] is `kolga-worker run`: it recovers what a former process left, then consumes until a signal.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kolga_protocol::link::{LinkConfig, LinkState, Publisher};
use kolga_protocol::message::Mood;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::control::{self, Controls};
use crate::intake::{Hearing, Intake, IntakeStatus};
use crate::journal::{Journal, Reader};
use crate::process::Supervision;
use crate::run::Runner;
use crate::signals::{Signal, Signals};
use crate::spoke::Spoke;
use crate::watchdog::Pulse;
use crate::{cron, outgoing, process, trash};

/// How long the last reports may take to leave before the worker does.
const FLUSH: Duration = Duration::from_secs(10);

/// Runs the worker until a signal ends it. `config` was read from `config_path`, which HUP reads again.
///
/// # Errors
/// When it cannot start, with what to do.
pub async fn run(config: Config, config_path: &Path) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    prepare_state_dir(&config.state_dir)?;
    let lock = lock(&config.state_dir)?;
    process::become_subreaper()?;
    process::set_nice(config.process.nice);
    let supervision = Supervision::find(&config).await?;
    tracing::info!("children are held together by {}", supervision.words());
    if let Err(error) = supervision.need_confinement() {
        let error = format!("{error:#}");
        tracing::warn!(
            error,
            "nothing can be confined: `kolga-worker check` says what is refused"
        );
    }
    supervision.sweep(&config.state_dir).await?;
    let burying = tokio::spawn(process::bury_orphans());

    let link = LinkConfig::new(
        &config.broker.url,
        &format!("kolga-worker {}", config.server),
    )?;
    let server = config.server.clone();
    let journal_path = config.journal_path();
    let (journal, writer) = Journal::open(&journal_path, &server)
        .await
        .with_context(|| format!("cannot use {}", journal_path.display()))?;
    let listener = control::listen(&config.control_socket())?;
    let words = supervision.words().to_owned();
    let unconfined = supervision.unconfined().map(str::to_owned);
    let spoke = Arc::new(Spoke::open(config, None).await?.supervised(supervision));

    let abort = CancellationToken::new();
    let flush = CancellationToken::new();
    let stop_intake = CancellationToken::new();
    let publisher = Publisher::start(link.purpose("reports"), abort.clone());
    let sending = tokio::spawn(outgoing::run(
        server.clone(),
        journal.clone(),
        Reader::open(&journal_path).await?,
        publisher.clone(),
        flush.clone(),
        abort.clone(),
    ));
    let (runner, running) = Runner::start(Arc::clone(&spoke), journal.clone());

    let (pause, paused) = watch::channel(false);
    let (backlog, backlog_now) = watch::channel(spoke.config.limits.backlog);
    let (shows, shown) = watch::channel(IntakeStatus {
        mood: Mood::Draining,
        link: LinkState::Down {
            since: kolga_protocol::id::UnixMillis::now(),
            reason: "rolling back what was left unfinished".to_owned(),
        },
    });
    let controls = Controls {
        server: server.to_string(),
        supervision: words,
        unconfined,
        runner: runner.clone(),
        intake: shown,
        pause,
        reader: Reader::open(&journal_path).await?,
        state_dir: spoke.config.state_dir.clone(),
    };
    let controlling = tokio::spawn(control::serve(listener, controls, abort.clone()));

    let mut reader = Reader::open(&journal_path).await?;
    let live = reader.live().await?;
    if !live.is_empty() {
        tracing::info!(attempts = live.len(), "taking over what has not ended");
    }
    runner.recover(live).await;

    let pulse = Pulse::default();
    pulse
        .watch()
        .context("cannot start the watchdog's thread")?;
    let intake = Intake {
        server: server.clone(),
        link,
        backlog: backlog_now,
        disk: spoke.config.sites.root.clone(),
        journal: journal.clone(),
        reader,
        runner: runner.clone(),
        publisher,
        paused,
        shows,
        pulse: pulse.clone(),
        hearing: Hearing::default(),
        stop: stop_intake.clone(),
    };
    let consuming = tokio::spawn(intake.run());
    // Without systemd there is nobody to tell.
    drop(sd_notify::notify(&[sd_notify::NotifyState::Ready]));
    tracing::info!(%server, pid = std::process::id(), "the worker runs");

    let (spokes, spoke_now) = watch::channel(spoke);
    let sweeping = tokio::spawn(trash::sweep::run(spoke_now.clone()));
    let planning = tokio::spawn(cron::run(spoke_now, runner.clone()));
    let grace = serve(config_path, &mut signals, &spokes, &runner, &backlog).await;
    sweeping.abort();
    tracing::info!(?grace, "draining: no more tasks are taken");
    drop(sd_notify::notify(&[sd_notify::NotifyState::Stopping]));
    pulse.stopping();
    stop_intake.cancel();
    runner.drain();
    drain(running, &runner, &mut signals, grace).await?;
    drop(consuming.await);
    flush.cancel();
    if tokio::time::timeout(FLUSH, sending).await.is_err() {
        tracing::warn!("the broker is away: the last reports are kept and sent at the next start");
    }
    abort.cancel();
    drop(controlling.await);
    burying.abort();
    // A script that runs was ended with the runner.
    planning.abort();
    drop((journal, runner));
    drop(tokio::time::timeout(FLUSH, writer).await);
    drop(lock);
    tracing::info!("the worker has ended");
    Ok(())
}

/// Waits for the signal that ends the worker, and reloads at every HUP before it; the grace as configured.
async fn serve(
    config_path: &Path,
    signals: &mut Signals,
    spokes: &watch::Sender<Arc<Spoke>>,
    runner: &Runner,
    backlog: &watch::Sender<usize>,
) -> Duration {
    let now = || Arc::clone(&spokes.borrow());
    while let Signal::Reload = signals.next().await {
        match reload(config_path, &now()).await {
            Ok(fresh) => {
                let spoke = Arc::new(fresh);
                runner.reload(Arc::clone(&spoke));
                backlog.send_replace(spoke.config.limits.backlog);
                spokes.send_replace(spoke);
                tracing::info!("the configuration was read anew");
            }
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "the old configuration stays");
            }
        }
    }
    Duration::from_secs(now().config.limits.grace_seconds)
}

async fn reload(config_path: &Path, old: &Spoke) -> anyhow::Result<Spoke> {
    let config = Config::load(config_path)?;
    let fixed = [
        ("server", config.server == old.config.server),
        ("state_dir", config.state_dir == old.config.state_dir),
        ("broker.url", config.broker.url == old.config.broker.url),
    ];
    for (name, same) in fixed {
        anyhow::ensure!(
            same,
            "{name} cannot change while the worker runs: restart it"
        );
    }
    process::set_nice(config.process.nice);
    Spoke::open(config, Some(old)).await
}

/// Lets what runs finish within the grace, then interrupts it; a second signal interrupts at once, a third
/// leaves it all to the next start.
async fn drain(
    mut running: tokio::task::JoinHandle<()>,
    runner: &Runner,
    signals: &mut Signals,
    grace: Duration,
) -> anyhow::Result<()> {
    tokio::select! {
        _ = &mut running => return Ok(()),
        () = tokio::time::sleep(grace) => tracing::warn!("the grace is over"),
        () = signals.end() => tracing::warn!("told twice"),
    }
    runner.interrupt();
    tokio::select! {
        _ = &mut running => Ok(()),
        () = signals.end() => anyhow::bail!("told three times: left in the middle of a rollback, which the next start finishes"),
    }
}

/// The worker's own directory, for nobody else.
fn prepare_state_dir(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
    if !path.exists() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("cannot make {}", path.display()))?;
    }
    let found =
        std::fs::metadata(path).with_context(|| format!("cannot look at {}", path.display()))?;
    anyhow::ensure!(
        found.is_dir() && found.uid() == rustix::process::geteuid().as_raw(),
        "{} must be a directory that belongs to the worker's user",
        path.display()
    );
    if found.permissions().mode() & 0o077 != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
            .with_context(|| format!("cannot keep others out of {}", path.display()))?;
    }
    Ok(())
}

/// The kernel's lock on the state directory, given back when the process ends however it ends.
fn lock(state_dir: &Path) -> anyhow::Result<std::fs::File> {
    let path: PathBuf = state_dir.join("worker.lock");
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    file.try_lock().map_err(|_| {
        anyhow::anyhow!(
            "another worker runs with {}: see `kolga-worker status`",
            state_dir.display()
        )
    })?;
    Ok(file)
}
