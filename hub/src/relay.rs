//! Relay: store → broker. Takes from the outbox what a commit has put there, publishes it with confirms,
//! and notes what became of it. Woken by the store, never by a clock.
//!
//! A batch is noted in the same transaction that takes the next one. What the broker confirms and the hub
//! dies before noting is sent again with the same identity, and the worker knows it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kolga_protocol::envelope::{Message, seal};
use kolga_protocol::fault;
use kolga_protocol::link::{Address, Outgoing, PublishError, Publisher};
use kolga_protocol::message::{Control, TaskMessage};
use kolga_protocol::names::ServerName;
use kolga_protocol::task::Params;
use kolga_protocol::topology::{control_queue, tasks_queue};
use tokio_util::sync::CancellationToken;

use crate::store::outbox::{Item, Sort, Take};
use crate::store::published::{Fate, Published};
use crate::store::{Store, StoreError};
use crate::topology::Topology;

/// Messages in one batch: the publisher's window.
const BATCH: i64 = 256;
/// The pause after something failed that will not be better at once.
const PAUSE: Duration = Duration::from_secs(1);

/// Sends what is in the outbox until `stop` fires; what is on its way then is still noted, unless the
/// publisher is stopped too.
pub async fn run(
    store: Store,
    publisher: Publisher,
    topology: Arc<Topology>,
    stop: CancellationToken,
) {
    let relay = Relay {
        store,
        publisher,
        topology,
        stop,
    };
    relay.run().await;
}

struct Relay {
    store: Store,
    publisher: Publisher,
    topology: Arc<Topology>,
    stop: CancellationToken,
}

impl Relay {
    async fn run(&self) {
        let mut ready = self.topology.ready();
        tokio::select! {
            () = self.stop.cancelled() => return,
            ready = ready.wait_for(|ready| *ready) => if ready.is_err() { return },
        }
        let mut state = self.publisher.state();
        let mut done: Option<Published> = None;
        loop {
            if self.stop.is_cancelled() {
                return self.note_last(done).await;
            }
            // What nobody has taken can still be cancelled at once, so nothing is taken in vain.
            if done.is_none() {
                tokio::select! {
                    () = self.stop.cancelled() => return,
                    up = state.wait_for(|link| link.is_up()) => if up.is_err() { return },
                }
            }
            let taken = match self.note_and_take(done.as_ref()).await {
                Ok(taken) => taken,
                Err(StoreError::Stopped) => return,
                Err(error) => {
                    tracing::error!(%error, "the outbox cannot be used; trying again");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            if let Some(noted) = done.take() {
                self.heal(&noted).await;
            }
            if taken.is_empty() {
                tokio::select! {
                    () = self.stop.cancelled() => return,
                    () = self.store.signals().outbox.notified() => continue,
                }
            }
            match self.publish(taken).await {
                Some(published) => done = Some(published),
                None => return,
            }
        }
    }

    async fn note_and_take(&self, done: Option<&Published>) -> Result<Vec<Item>, StoreError> {
        let take = self.store.write(Take { most: BATCH });
        match done {
            None => take.await,
            Some(done) => {
                // Handed over in this order, and gathered into one transaction.
                let (noted, taken) = tokio::join!(self.store.write(done.clone()), take);
                noted.and(taken)
            }
        }
    }

    async fn note_last(&self, done: Option<Published>) {
        let Some(done) = done else { return };
        if let Err(error) = self.store.write(done).await {
            tracing::warn!(%error, "what was sent last is sent again by the next hub");
        }
    }

    /// What follows from what was noted: missing queues are declared again, and a broker in trouble is
    /// given a moment.
    async fn heal(&self, noted: &Published) {
        let of =
            |wanted: fn(&Fate) -> bool| noted.results.iter().filter(move |(_, fate)| wanted(fate));
        let missing: BTreeSet<&ServerName> = of(|fate| matches!(fate, Fate::Blocked(_)))
            .map(|(item, _)| &item.server)
            .collect();
        for server in missing {
            tracing::warn!(%server, "its queue is missing; declaring it again");
            self.topology.want(server.clone());
        }
        if of(|fate| *fate == Fate::Unsure).next().is_some() {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Nothing when the publisher was stopped: then what was taken is sent again by the next hub.
    async fn publish(&self, items: Vec<Item>) -> Option<Published> {
        let mut batch = Vec::with_capacity(items.len());
        let mut results = Vec::with_capacity(items.len());
        let mut sent = Vec::with_capacity(items.len());
        for item in items {
            match outgoing(&item) {
                Ok(message) => {
                    batch.push(message);
                    sent.push(item);
                }
                Err(reason) => results.push((item, Fate::Unreadable(reason))),
            }
        }
        let outcomes = if batch.is_empty() {
            Vec::new()
        } else {
            fault::point("relay:publish");
            let outcomes = self.publisher.publish(batch).await;
            fault::point("relay:published");
            outcomes
        };
        for (item, outcome) in sent.into_iter().zip(outcomes) {
            let fate = match outcome {
                Ok(()) => Fate::Confirmed,
                Err(PublishError::Stopped) => return None,
                Err(PublishError::Unroutable) => Fate::Blocked(format!(
                    "server {} has no queue at the broker; the hub declares it again, then sends this",
                    item.server
                )),
                Err(error) => {
                    tracing::warn!(run = %item.run, %error, "a message is sent again");
                    Fate::Unsure
                }
            };
            results.push((item, fate));
        }
        Some(Published {
            results: Arc::new(results),
        })
    }
}

/// The message, or why there is none.
///
/// # Errors
/// A sentence, when what the store holds is no task of this release.
pub fn outgoing(item: &Item) -> Result<Outgoing, String> {
    Ok(match &item.sort {
        Sort::Task {
            kind,
            params,
            issued_at,
        } => {
            let params = serde_json::from_str(params)
                .map_err(|error| format!("the stored parameters are not JSON: {error}"))?;
            let params = Params::from_json(kind, params)
                .map_err(|error| format!("the stored parameters cannot be sent: {error}"))?;
            let message = TaskMessage {
                run: item.run,
                server: item.server.clone(),
                issued_at: *issued_at,
                expires_at: None,
                requested_by: item.requested_by.clone(),
                payload: params.to_payload(),
            };
            Outgoing {
                to: Address::Queue(tasks_queue(&item.server)),
                message_id: item.run.to_string(),
                kind: TaskMessage::KIND,
                body: seal(&message),
                persistent: true,
            }
        }
        Sort::Cancel => {
            let message = Control::Cancel {
                run: item.run,
                requested_by: item.requested_by.clone(),
            };
            Outgoing {
                to: Address::Queue(control_queue(&item.server)),
                message_id: format!("cancel.{}", item.run),
                kind: Control::KIND,
                body: seal(&message),
                persistent: true,
            }
        }
    })
}
