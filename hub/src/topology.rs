//! Sees to it that everything is declared at the broker, and no more than that: at start, for a new server, after the broker
//! was away, and again for a server whose queue turned out to be missing. What waited for a queue is
//! then tried again. Asked by `app` and `relay`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use kolga_protocol::link::{self, LinkConfig, LinkError, LinkState};
use kolga_protocol::names::ServerName;
use kolga_protocol::topology::{self, Declaration, QueueType};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::store::Store;
use crate::store::published::Unblock;

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
    /// Changes after each round of declaring; whether some of it failed.
    rounds: watch::Sender<bool>,
}

struct Wanted {
    hub: bool,
    servers: BTreeSet<ServerName>,
}

impl Topology {
    /// Nothing is declared yet.
    #[must_use]
    pub fn new(link: &LinkConfig, queue_type: QueueType, store: Store) -> Self {
        Self {
            link: link.purpose("declare"),
            queue_type,
            store,
            wanted: Mutex::new(Wanted {
                hub: true,
                servers: BTreeSet::new(),
            }),
            wake: Notify::new(),
            ready: watch::Sender::new(false),
            rounds: watch::Sender::new(false),
        }
    }

    /// Becomes true when what the hub itself needs has been declared once.
    #[must_use]
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Wants a server's queues, soon.
    pub fn want(&self, server: ServerName) {
        self.wanted().servers.insert(server);
        self.wake.notify_one();
    }

    /// Wants the hub's own queues, soon: who consumes one of them has lost it, and it may be gone.
    pub fn want_hub(&self) {
        self.wanted().hub = true;
        self.wake.notify_one();
    }

    /// Has a server's queues declared now, or leaves it for later when the broker does not answer. What is asked
    /// for at the same time goes over one connection.
    pub async fn declare(&self, server: &ServerName) {
        let mut rounds = self.rounds.subscribe();
        self.want(server.clone());
        let declared = async {
            while rounds.changed().await.is_ok() {
                let failed = *rounds.borrow_and_update();
                if failed || !self.wanted().servers.contains(server) {
                    return;
                }
            }
        };
        drop(tokio::time::timeout(PATIENCE, declared).await);
    }

    /// Removes the queues of a server that is no more; whether they are gone.
    pub async fn remove(&self, server: &ServerName) -> bool {
        self.wanted().servers.remove(server);
        let queues = [
            topology::tasks_queue(server),
            topology::control_queue(server),
        ];
        let now = link::remove(&self.link, &queues);
        match tokio::time::timeout(PATIENCE, now).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(%server, %error, "its queues stay");
                false
            }
            Err(_) => false,
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
            self.rounds.send_replace(failed);
            if !self.wanted().hub {
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
        if hub {
            if let Err(error) = link::declare(&self.link, &topology::hub(self.queue_type)).await {
                report("the hub's queues", &error);
                return true;
            }
            self.wanted().hub = false;
            tracing::info!("the hub's queues are declared");
        }
        if servers.is_empty() {
            return false;
        }
        // All over one connection; one by one only if something is wrong, so that a queue that somebody
        // else made in another shape is not in the way of all others.
        let all: Vec<_> = servers
            .iter()
            .flat_map(|server| self.queues(server))
            .collect();
        if link::declare(&self.link, &all).await.is_ok() {
            // Their writes then go together as well.
            join_all(servers.iter().map(|server| self.declared(server))).await;
            tracing::info!(servers = servers.len(), "the servers' queues are declared");
            return false;
        }
        let mut failed = false;
        for server in &servers {
            match link::declare(&self.link, &self.queues(server)).await {
                Ok(()) => self.declared(server).await,
                Err(error) => {
                    failed = true;
                    report(&format!("the queues of server {server}"), &error);
                }
            }
        }
        failed
    }

    fn queues(&self, server: &ServerName) -> Vec<Declaration> {
        topology::server(server, self.queue_type)
    }

    async fn declared(&self, server: &ServerName) {
        self.wanted().servers.remove(server);
        self.unblock(server).await;
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn report(what: &str, error: &LinkError) {
    let error = error as &dyn std::error::Error;
    tracing::warn!(error, "{what} are not declared yet");
}
