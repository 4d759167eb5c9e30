//! Sees to it that everything is declared at the broker: at start, for a new server, after the broker
//! was away, and again for a server whose queue turned out to be missing. What waited for a queue is
//! then tried again. Asked by `app`, `relay` and `sweeper`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kolga_protocol::link::{self, LinkConfig, LinkError, LinkState};
use kolga_protocol::names::ServerName;
use kolga_protocol::topology::{self, QueueType};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::store::Store;
use crate::store::outbox::Unblock;

/// Between two tries while the broker refuses or is away.
const AGAIN: Duration = Duration::from_secs(5);
/// How long somebody who adds a server waits for its queues.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is still to be declared.
pub struct Topology {
    link: LinkConfig,
    queue_type: QueueType,
    store: Store,
    wanted: Mutex<Wanted>,
    wake: Notify,
    ready: watch::Sender<bool>,
}

#[derive(Default)]
struct Wanted {
    hub: bool,
    servers: BTreeSet<ServerName>,
}

impl Topology {
    /// Nothing is declared yet, and nothing is wanted.
    #[must_use]
    pub fn new(link: &LinkConfig, queue_type: QueueType, store: Store) -> Self {
        Self {
            link: link.purpose("declare"),
            queue_type,
            store,
            wanted: Mutex::default(),
            wake: Notify::new(),
            ready: watch::Sender::new(false),
        }
    }

    /// Becomes true when everything has been declared once.
    #[must_use]
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Wants a server's queues, soon.
    pub fn want(&self, server: ServerName) {
        self.wanted().servers.insert(server);
        self.wake.notify_one();
    }

    /// Declares a server's queues now, or leaves it for later when the broker does not answer.
    pub async fn declare(&self, server: &ServerName) {
        let declarations = topology::server(server, self.queue_type);
        let now = link::declare(&self.link, &declarations);
        match tokio::time::timeout(PATIENCE, now).await {
            Ok(Ok(())) => self.unblock(server).await,
            Ok(Err(error)) => {
                tracing::warn!(%server, %error, "its queues are not declared yet");
                self.want(server.clone());
            }
            Err(_) => self.want(server.clone()),
        }
    }

    async fn unblock(&self, server: &ServerName) {
        let server = server.clone();
        if let Err(error) = self.store.write(Unblock { server }).await {
            tracing::warn!(%error, "what waited for a queue goes on waiting");
        }
    }

    /// Declares what is wanted, until `stop`. Everything is wanted again after each time that the
    /// broker was away, since it may have forgotten.
    pub async fn run(
        self: Arc<Self>,
        mut publisher: watch::Receiver<LinkState>,
        stop: CancellationToken,
    ) {
        self.want_all().await;
        loop {
            let failed = self.declare_wanted().await;
            if !failed {
                self.ready.send_replace(true);
            }
            let was_up = publisher.borrow_and_update().is_up();
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(AGAIN), if failed => {}
                changed = publisher.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    if !was_up && publisher.borrow().is_up() {
                        self.want_all().await;
                    }
                }
            }
        }
    }

    async fn want_all(&self) {
        match self.store.server_names().await {
            Ok(servers) => {
                let mut wanted = self.wanted();
                wanted.hub = true;
                wanted.servers.extend(servers);
            }
            Err(error) => tracing::error!(%error, "the servers cannot be read"),
        }
    }

    /// Declares what is wanted; whether some of it is wanted still.
    async fn declare_wanted(&self) -> bool {
        let (hub, servers) = {
            let wanted = self.wanted();
            (wanted.hub, wanted.servers.clone())
        };
        let mut declarations = Vec::new();
        if hub {
            declarations.extend(topology::hub(self.queue_type));
        }
        for server in &servers {
            declarations.extend(topology::server(server, self.queue_type));
        }
        if declarations.is_empty() {
            return false;
        }
        if let Err(error) = link::declare(&self.link, &declarations).await {
            report(&error);
            return true;
        }
        {
            let mut wanted = self.wanted();
            wanted.hub = false;
            for server in &servers {
                wanted.servers.remove(server);
            }
        }
        for server in &servers {
            self.unblock(server).await;
        }
        tracing::info!(servers = servers.len(), hub, "declared at the broker");
        false
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn report(error: &LinkError) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "exchanges and queues are not declared yet"
    );
}
