//! Heartbeats: broker → [`Presences`], and now and then a trace in the store. A server that comes back
//! gets what waited for it. They come over the inbox's connection, beside the reports.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use kolga_protocol::envelope;
use kolga_protocol::id::UnixMillis;
use kolga_protocol::link::{Aside, Delivery, LinkConfig};
use kolga_protocol::message::Heartbeat;
use kolga_protocol::names::ServerName;
use kolga_protocol::topology::HEARTBEATS_QUEUE;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::inbox::vouched;
use crate::presence::{Presences, TRACED_EVERY};
use crate::store::published::Unblock;
use crate::store::servers::{Heard, Journal};
use crate::store::{Store, StoreError};

/// Messages that wait to be looked at, at most: as many servers may come back at once, with the broker.
const ROOM: usize = 4096;

/// The queue of heartbeats as what the inbox takes aside, and where they come out.
#[must_use]
pub fn aside(link: &LinkConfig) -> (Aside, mpsc::Receiver<Delivery>) {
    Aside::new(
        link.purpose("heartbeats"),
        HEARTBEATS_QUEUE.to_owned(),
        ROOM,
    )
}

/// Takes heartbeats until the inbox has ended.
pub async fn run(
    store: Store,
    presences: Arc<Presences>,
    mut deliveries: mpsc::Receiver<Delivery>,
) {
    let mut listener = Listener {
        store,
        presences,
        traced: HashMap::new(),
    };
    while let Some(delivery) = deliveries.recv().await {
        if let Err(error) = listener.take(&delivery).await {
            tracing::warn!(%error, "a heartbeat left no trace in the store");
        }
    }
}

struct Listener {
    store: Store,
    presences: Arc<Presences>,
    /// When each server was last traced in the store, and with which journal.
    traced: HashMap<ServerName, (Instant, Uuid)>,
}

impl Listener {
    async fn take(&mut self, delivery: &Delivery) -> Result<(), StoreError> {
        let heartbeat: Heartbeat = match envelope::open(&delivery.body) {
            Ok(heartbeat) => heartbeat,
            Err(error) => {
                tracing::warn!(%error, sender = delivery.user_id.as_deref(), "a heartbeat cannot be read");
                return Ok(());
            }
        };
        if let Err(reason) = vouched(delivery.user_id.as_deref(), &heartbeat.server) {
            tracing::warn!(%reason, "a heartbeat was refused");
            return Ok(());
        }
        let now = UnixMillis::now();
        let was_away = self.presences.hear(&heartbeat, now);
        let due = self
            .traced
            .get(&heartbeat.server)
            .is_none_or(|&(at, journal)| {
                at.elapsed() >= TRACED_EVERY || journal != heartbeat.journal
            });
        if was_away || due {
            self.trace(&heartbeat, now).await?;
        }
        if was_away {
            tracing::info!(server = %heartbeat.server, version = %heartbeat.version, "online");
            let server = heartbeat.server;
            self.store.write(Unblock { server }).await?;
        }
        Ok(())
    }

    async fn trace(&mut self, heartbeat: &Heartbeat, at: UnixMillis) -> Result<(), StoreError> {
        let server = heartbeat.server.clone();
        let Some(heard) = self.presences.last(&server) else {
            return Ok(());
        };
        let trace = Heard {
            server: server.clone(),
            at,
            journal: heartbeat.journal.to_string(),
            worker: serde_json::to_string(&heard.worker).unwrap_or_default(),
        };
        match self.store.write(trace).await? {
            Journal::Same => {}
            Journal::Changed => {
                tracing::warn!(%server, "its journal is a new one; asking about what it had");
            }
            Journal::UnknownServer => {
                tracing::warn!(%server, "a worker of no known server: `kolga server add {server}`?");
            }
        }
        self.traced
            .insert(server, (Instant::now(), heartbeat.journal));
        Ok(())
    }
}
