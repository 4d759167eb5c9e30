//! Sweeper: what nobody else would notice. Makes the next attempt where one is due, and asks workers
//! about attempts of which nothing has been heard for long. It looks at what an index says is due, never
//! at all tasks, and sleeps until the next thing is; while nothing is open, until something is made.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kolga_protocol::envelope::{Message, seal};
use kolga_protocol::id::{TaskId, UnixMillis};
use kolga_protocol::link::{Address, Outgoing, PublishError, Publisher};
use kolga_protocol::message::{Asked, Control};
use kolga_protocol::names::ServerName;
use kolga_protocol::topology::control_queue;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::presence::Presences;
use crate::store::doubt::{CheckDue, Doubtful, NextCheck};
use crate::store::retry::RetryDue;
use crate::store::{Store, StoreError};
use crate::topology::Topology;
use crate::wire::Presence;

/// Between two looks at what has been silent for long, at least.
const LOOK: Duration = Duration::from_secs(5);
/// How long it sleeps at most while something is open: clocks are set.
const LONGEST: Duration = Duration::from_secs(60);
/// Attempts asked about at one look, at most.
const MOST: i64 = 500;
/// How long a question may wait for the broker.
const PATIENCE: Duration = Duration::from_secs(5);

/// The sweeper.
pub struct Sweeper {
    /// The database.
    pub store: Store,
    /// The way to the workers.
    pub publisher: Publisher,
    /// Who can answer.
    pub presences: Arc<Presences>,
    /// Declares a queue again that turns out to be gone.
    pub topology: Arc<Topology>,
}

impl Sweeper {
    /// Sweeps until `stop` fires.
    pub async fn run(self, stop: CancellationToken) {
        // Not before: who is there has to be heard first.
        let mut earliest_look = Instant::now() + LOOK;
        loop {
            let (retry, check) = match self.next().await {
                Ok(next) => next,
                Err(StoreError::Stopped) => return,
                Err(error) => {
                    tracing::error!(%error, "interrupted tasks wait: the store cannot be read");
                    let again = Some(Instant::now() + LOOK);
                    (again, again)
                }
            };
            let look = check.map(|check| check.max(earliest_look));
            let signals = self.store.signals();
            tokio::select! {
                () = stop.cancelled() => return,
                () = signals.due.notified() => {}
                // From now on something may have to be looked at; there is no hurry.
                () = signals.open.notified(), if check.is_none() => {}
                () = until(retry) => {}
                () = until(look) => {}
            }
            if look.is_some_and(|look| Instant::now() >= look) {
                earliest_look = Instant::now() + LOOK;
                self.look().await;
            }
        }
    }

    /// When the next attempt has to be made, and when the next silent one is to be asked about.
    async fn next(&self) -> Result<(Option<Instant>, Option<Instant>), StoreError> {
        let (retry, check) =
            tokio::try_join!(self.store.write(RetryDue), self.store.write(NextCheck))?;
        Ok((retry.map(instant), check.map(instant)))
    }

    async fn look(&self) {
        let doubtful = match self.store.write(CheckDue { most: MOST }).await {
            Ok(doubtful) => doubtful,
            Err(error) => {
                tracing::warn!(%error, "silent tasks are looked at later");
                return;
            }
        };
        let mut by_server: BTreeMap<ServerName, Vec<Doubtful>> = BTreeMap::new();
        for attempt in doubtful {
            if let Ok(server) = attempt.server.parse() {
                by_server.entry(server).or_default().push(attempt);
            }
        }
        for (server, attempts) in by_server {
            // Who is silent cannot answer; its tasks show that.
            if self.presences.of(&server, None) == Presence::Online {
                self.ask(&server, &attempts).await;
            }
        }
    }

    async fn ask(&self, server: &ServerName, attempts: &[Doubtful]) {
        let asked = attempts.iter().map(|attempt| Asked {
            run: attempt.run,
            state: attempt.state,
        });
        let query = Control::Query {
            runs: asked.collect(),
        };
        let message = Outgoing {
            to: Address::Queue(control_queue(server)),
            message_id: format!("query.{}", TaskId::generate()),
            kind: Control::KIND,
            body: seal(&query),
            // Worth nothing tomorrow.
            persistent: false,
        };
        let asked = tokio::time::timeout(PATIENCE, self.publisher.publish(vec![message])).await;
        if let Ok(outcomes) = asked
            && let Some(Err(error)) = outcomes.first()
        {
            if *error == PublishError::Unroutable {
                self.topology.want(server.clone());
            }
            tracing::warn!(%server, %error, "a question was not sent");
        }
    }
}

/// When it is that late, or earlier.
fn instant(at: UnixMillis) -> Instant {
    let millis = at.0.saturating_sub(UnixMillis::now().0).max(10);
    Instant::now() + Duration::from_millis(millis.unsigned_abs()).min(LONGEST)
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
