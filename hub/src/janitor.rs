//! Janitor: history that is older, or more, than `[retention]` allows leaves the store. Looks at start, once
//! an hour, and when much has been written; chooses through the readers, and hands small pieces to the
//! store's writer with a pause after each, so that tasks never wait for it.
//!
//! Logs go before the tasks that they belong to. What has not ended, or has ended a moment ago, stays
//! whatever the numbers say.

use std::time::{Duration, Instant};

use kolga_protocol::id::{TaskId, UnixMillis};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Retention;
use crate::store::operations::prune::PruneOperations;
use crate::store::prune::{Prune, PruneAudit, Pruned, What};
use crate::store::read::Held;
use crate::store::{Store, StoreError};

/// Between two looks when little happens.
const LOOK: Duration = Duration::from_secs(3600);
/// Between two looks when much happens.
const AGAIN: Duration = Duration::from_secs(60);
/// What ended within so many milliseconds stays: somebody may be looking at it.
const FRESH: i64 = 3_600_000;
/// Tasks chosen at once.
const CHOSEN: i64 = 250;
/// The shortest pause after a piece.
const PAUSE: Duration = Duration::from_millis(5);
const DAY: i64 = 86_400_000;

/// The janitor.
pub struct Janitor {
    store: Store,
    keep: Retention,
    shows: watch::Sender<Swept>,
    stop: CancellationToken,
    held: Option<Held>,
}

/// How the last sweep went.
#[derive(Clone, Debug, Default)]
pub struct Swept {
    /// When it ended; none before the first.
    pub at: Option<UnixMillis>,
    /// What it removed.
    pub gone: Held,
    /// What there was after it.
    pub held: Held,
    /// Why it broke off.
    pub error: Option<String>,
}

impl Janitor {
    /// One that keeps what `keep` says, and stops when `stop` fires.
    #[must_use]
    pub fn new(store: Store, keep: Retention, stop: CancellationToken) -> Self {
        Self {
            store,
            keep,
            shows: watch::Sender::new(Swept::default()),
            stop,
            held: None,
        }
    }

    /// Shows how the last sweep went.
    #[must_use]
    pub fn shows(&self) -> watch::Receiver<Swept> {
        self.shows.subscribe()
    }

    /// Sweeps until it is stopped.
    pub async fn run(mut self) {
        let stop = self.stop.clone();
        loop {
            if let Err(StoreError::Stopped) = self.sweep(UnixMillis::now()).await {
                return;
            }
            let grown = async {
                tokio::time::sleep(AGAIN).await;
                self.store.signals().grown.notified().await;
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
                () = grown => {}
            }
        }
    }

    /// Removes everything that may not be kept at this time.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails; what was removed until then is gone.
    pub async fn sweep(&mut self, now: UnixMillis) -> Result<(), StoreError> {
        let mut gone = Held::default();
        let swept = self.sweep_all(now, &mut gone).await;
        let held = self.held.unwrap_or_default();
        if gone != Held::default() {
            let (tasks, entries, audit) = (gone.tasks, gone.entries, gone.audit);
            tracing::info!(tasks, entries, audit, left = ?held, "old history is pruned");
        }
        if let Err(error) = &swept {
            tracing::warn!(%error, "old history is pruned later");
        }
        self.shows.send_replace(Swept {
            at: Some(UnixMillis::now()),
            gone,
            held,
            error: swept.as_ref().err().map(ToString::to_string),
        });
        swept
    }

    async fn sweep_all(&mut self, now: UnixMillis, gone: &mut Held) -> Result<(), StoreError> {
        let grown = self.store.signals().take_grown();
        let mut held = match self.held {
            Some(held) => Held {
                tasks: held.tasks + grown.tasks,
                entries: held.entries + grown.entries,
                audit: held.audit + grown.audit,
            },
            // What is written while this counts is counted twice, once.
            None => self.store.held().await?,
        };
        self.held = Some(held);
        let by_age = |days: u32| (days > 0).then(|| now.plus_millis(-i64::from(days) * DAY));
        let by_count = |most: u32, held: i64| {
            let over = held - i64::from(most);
            (most > 0 && over > 0).then_some(over)
        };
        let settled = now.plus_millis(-FRESH);
        let keep = self.keep.clone();
        let mut bounds = Vec::new();
        bounds.extend(by_age(keep.logs_days).map(|by| (What::Logs, by.min(settled), i64::MAX)));
        bounds.extend(by_age(keep.tasks_days).map(|by| (What::Tasks, by.min(settled), i64::MAX)));
        for (what, ended_by, most) in bounds {
            self.prune(what, ended_by, most, &mut held, gone).await?;
        }
        // By number after by age: what is gone by then counts no more. Tasks first, since their logs go too.
        if let Some(over) = by_count(keep.tasks_most, held.tasks) {
            self.prune(What::Tasks, settled, over, &mut held, gone)
                .await?;
        }
        if let Some(over) = by_count(keep.logs_most, held.entries) {
            self.prune(What::Logs, settled, over, &mut held, gone)
                .await?;
        }
        // Those whose tasks have all gone; how many is bounded by what went.
        loop {
            let began = Instant::now();
            if !self.store.write(PruneOperations).await? {
                break;
            }
            self.pause(began).await?;
        }
        if let Some(before) = by_age(keep.audit_days) {
            self.prune_audit(before, i64::MAX, &mut held, gone).await?;
        }
        if let Some(over) = by_count(keep.audit_most, held.audit) {
            self.prune_audit(now, over, &mut held, gone).await?;
        }
        Ok(())
    }

    /// Removes the oldest, until `most` tasks or entries are gone.
    async fn prune(
        &mut self,
        what: What,
        ended_by: UnixMillis,
        mut most: i64,
        held: &mut Held,
        gone: &mut Held,
    ) -> Result<(), StoreError> {
        let mut after = TaskId::earliest(UnixMillis(0));
        while most > 0 {
            let (mut tasks, last) = match what {
                What::Tasks => {
                    let limit = most.min(CHOSEN);
                    let tasks = self.store.old_tasks(after, ended_by, limit).await?;
                    let last = tasks.last().copied();
                    (tasks, last)
                }
                What::Logs => {
                    let old = self.store.old_logs(after, ended_by, CHOSEN).await?;
                    (old.tasks, old.last)
                }
            };
            let Some(last) = last else { return Ok(()) };
            after = last;
            while !tasks.is_empty() && most > 0 {
                let began = Instant::now();
                let piece = Prune {
                    what,
                    tasks: tasks.clone(),
                    ended_by,
                };
                let pruned = self.store.write(piece).await?;
                tasks.drain(..pruned.done);
                most -= count(what, &pruned);
                let (fewer_tasks, fewer_entries) = (rows(pruned.tasks), rows(pruned.entries));
                held.tasks -= fewer_tasks;
                held.entries -= fewer_entries;
                gone.tasks += fewer_tasks;
                gone.entries += fewer_entries;
                self.held = Some(*held);
                self.pause(began).await?;
            }
        }
        Ok(())
    }

    async fn prune_audit(
        &mut self,
        before: UnixMillis,
        mut most: i64,
        held: &mut Held,
        gone: &mut Held,
    ) -> Result<(), StoreError> {
        while most > 0 {
            let began = Instant::now();
            let piece = rows(self.store.write(PruneAudit { before, most }).await?);
            if piece == 0 {
                return Ok(());
            }
            most -= piece;
            held.audit -= piece;
            gone.audit += piece;
            self.held = Some(*held);
            self.pause(began).await?;
        }
        Ok(())
    }

    /// Twice as long as the piece took, so that most of the writer's time is for tasks.
    async fn pause(&self, began: Instant) -> Result<(), StoreError> {
        let pause = (began.elapsed() * 2).max(PAUSE);
        tokio::select! {
            () = self.stop.cancelled() => Err(StoreError::Stopped),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }
}

fn rows(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// What a piece takes off the surplus.
fn count(what: What, pruned: &Pruned) -> i64 {
    rows(match what {
        What::Logs => pruned.entries,
        What::Tasks => pruned.tasks,
    })
}
