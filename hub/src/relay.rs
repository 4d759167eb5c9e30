//! Relay: store → broker. Takes from the outbox what a commit has put there, publishes it with confirms,
//! and notes what became of it. Woken by the store, never by a clock.
//!
//! Whatever has gathered while the last batch was on its way is the next one; `pack` puts tasks of one server
//! into one message. A batch is noted in the same transaction that takes the next one; where none follows, in that
//! of whatever comes next, which mostly is what the worker reports of it. What the broker confirms
//! and the hub dies before noting is sent again with the same identity, and the worker knows it.

mod pack;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use kolga_protocol::fault;
use kolga_protocol::link::{PublishError, Publisher};
use kolga_protocol::names::ServerName;
use tokio_util::sync::CancellationToken;

use crate::store::outbox::{Item, Take};
use crate::store::published::{Fate, Published};
use crate::store::{Store, StoreError};
use crate::topology::Topology;

pub use pack::{Packed, Parcel, outgoing, pack};

/// Rows of the outbox in one batch. Under load they become few messages ([`pack()`]).
const BATCH: i64 = 1024;
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
            Some(done) if self.is_last(done) => {
                let noted = self.store.write_at_leisure(done.clone()).await;
                noted.map(|()| Vec::new())
            }
            Some(done) => {
                // Handed over in this order, and gathered into one transaction.
                let (noted, taken) = tokio::join!(self.store.write(done.clone()), take);
                noted.and(taken)
            }
        }
    }

    /// Whether nothing has come into the outbox since this batch was taken, and nothing of it goes back there.
    fn is_last(&self, done: &Published) -> bool {
        let whole = i64::try_from(done.results.len()).is_ok_and(|taken| taken < BATCH);
        let gone = |(_, fate): &(Item, Fate)| *fate == Fate::Confirmed;
        let outbox = &self.store.signals().outbox;
        whole && done.results.iter().all(gone) && outbox.notified().now_or_never().is_none()
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
        let Packed {
            parcels,
            unreadable,
        } = pack(items);
        let mut results: Vec<(Item, Fate)> = unreadable
            .into_iter()
            .map(|(item, reason)| (item, Fate::Unreadable(reason)))
            .collect();
        let (batch, sent): (Vec<_>, Vec<_>) = parcels
            .into_iter()
            .map(|parcel| (parcel.message, parcel.items))
            .unzip();
        let outcomes = if batch.is_empty() {
            Vec::new()
        } else {
            fault::point("relay:publish");
            let outcomes = self.publisher.publish(batch).await;
            fault::point("relay:published");
            outcomes
        };
        for (items, outcome) in sent.into_iter().zip(outcomes) {
            for item in items {
                let fate = match &outcome {
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
        }
        Some(Published {
            results: Arc::new(results),
        })
    }
}
