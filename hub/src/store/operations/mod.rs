//! Operations: many tasks of one sort over a set of servers, sites or platforms. [`start`] fixes the set, [`advance`] makes
//! tasks as there is room, `ends` notes how each ended in the transaction that ends it, [`steer`] pauses, resumes
//! and cancels, [`prune`] forgets. Handed work by `app` and `mover`.
//!
//! [`locking`] marks many at once, where nothing is left for tasks to do.
//!
//! An operation that moves a site has other items: stages, one after the other. [`relocate`] starts one, `stages` says in the
//! transaction that ends one what comes next.
//!
//! A task and the mark on its item are written in one transaction, so that whenever the hub dies no item is without
//! its task and none has two. Numbers are kept beside the items, never counted.

pub mod advance;
pub(super) mod ends;
mod judge;
pub mod locking;
pub mod preparing;
pub mod prune;
pub mod relocate;
mod select;
mod stages;
pub mod start;
pub mod steer;

use serde_json::{Map, Value};
use sqlx::Row;

use super::bulk::Bulk;
use super::tx::{Refusal, Tx};
use crate::wire::{Counts, ItemState, MOVE, OperationId, OperationState};

/// What is known of an operation while it is changed.
pub(super) struct Running {
    id: OperationId,
    kind: String,
    params: Map<String, Value>,
    requested_by: String,
    parallel: u64,
    per_server: Option<u64>,
    stop_after: u64,
    state: OperationState,
    reason: Option<String>,
    counts: Counts,
    forgiven: u64,
    finished_at: Option<i64>,
}

/// There is no such operation.
pub(crate) fn unknown(operation: &str) -> Refusal {
    Refusal::not_found(
        "operation_unknown",
        format!("there is no operation {}", operation.escape_default()),
        "see `kolga op list`".to_owned(),
    )
}

/// So many more, or fewer, wait for a server or are open there.
static ADJUST_SERVERS: Bulk = Bulk::new(
    "UPDATE operation_server SET waiting = waiting + v.column3, open = open + v.column4 FROM (VALUES",
    4,
    ") AS v WHERE operation_server.operation = v.column1 AND operation_server.server = v.column2",
);

/// A change of what waits for a server and of what is open there.
struct Shift {
    server: String,
    waiting: i64,
    open: i64,
}

impl Running {
    /// Reads one.
    async fn load(tx: &mut Tx<'_>, id: OperationId) -> Result<Option<Self>, sqlx::Error> {
        let row = sqlx::query(
            "SELECT kind, params, requested_by, parallel, per_server, stop_after, state, reason, total, waiting, open,
                    succeeded, failed, cancelled, skipped, forgiven, finished_at
               FROM operation WHERE id = $1 AND total > 0",
        )
        .bind(id.to_string())
        .fetch_optional(&mut *tx.connection)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let decode = |what: String| sqlx::Error::Decode(what.into());
        let number = |name: &str| row.try_get::<i64, _>(name).map(count);
        let params: String = row.try_get("params")?;
        let state: String = row.try_get("state")?;
        Ok(Some(Self {
            id,
            kind: row.try_get("kind")?,
            params: serde_json::from_str(&params)
                .map_err(|error| decode(format!("parameters of operation {id}: {error}")))?,
            requested_by: row.try_get("requested_by")?,
            parallel: number("parallel")?,
            per_server: row.try_get::<Option<i64>, _>("per_server")?.map(count),
            stop_after: number("stop_after")?,
            state: state.parse().map_err(decode)?,
            reason: row.try_get("reason")?,
            counts: Counts {
                total: number("total")?,
                waiting: number("waiting")?,
                open: number("open")?,
                succeeded: number("succeeded")?,
                failed: number("failed")?,
                cancelled: number("cancelled")?,
                skipped: number("skipped")?,
            },
            forgiven: number("forgiven")?,
            finished_at: row.try_get("finished_at")?,
        }))
    }

    /// Writes it back, in the state that its numbers say, and tells whoever should know.
    async fn save(&mut self, tx: &mut Tx<'_>) -> Result<(), sqlx::Error> {
        self.judge(tx.now.0);
        let counts = self.counts;
        sqlx::query(
            "UPDATE operation SET state = $2, reason = $3, waiting = $4, open = $5, succeeded = $6, failed = $7,
                    cancelled = $8, skipped = $9, forgiven = $10, finished_at = $11
              WHERE id = $1",
        )
        .bind(self.id.to_string())
        .bind(self.state.as_str())
        .bind(self.reason.clone())
        .bind(signed(counts.waiting))
        .bind(signed(counts.open))
        .bind(signed(counts.succeeded))
        .bind(signed(counts.failed))
        .bind(signed(counts.cancelled))
        .bind(signed(counts.skipped))
        .bind(signed(self.forgiven))
        .bind(self.finished_at)
        .execute(&mut *tx.connection)
        .await?;
        tx.effects.rows += 1;
        tx.effects.room |= self.has_room();
        tx.effects.changed.push(self.id.key());
        Ok(())
    }

    /// Whether its items are the stages of a move.
    fn is_move(&self) -> bool {
        self.kind == MOVE
    }

    /// Whether a task could be made, as far as the operation itself goes.
    fn has_room(&self) -> bool {
        !self.is_move()
            && self.state == OperationState::Running
            && self.counts.waiting > 0
            && self.counts.open < self.parallel
    }

    /// So many items go from one state into another.
    fn moved(&mut self, from: ItemState, to: ItemState, items: u64) {
        let place = self.number(from);
        *place = place.saturating_sub(items);
        *self.number(to) += items;
    }

    fn number(&mut self, state: ItemState) -> &mut u64 {
        let counts = &mut self.counts;
        match state {
            ItemState::Waiting => &mut counts.waiting,
            ItemState::Made => &mut counts.open,
            ItemState::Succeeded => &mut counts.succeeded,
            ItemState::Failed => &mut counts.failed,
            ItemState::Cancelled => &mut counts.cancelled,
            ItemState::Skipped => &mut counts.skipped,
        }
    }

    /// The state by the numbers: what was wanted last stays wanted.
    fn judge(&mut self, now: i64) {
        use OperationState::{Cancelled, Cancelling, Finished, Paused, Running, Stopping};
        let Counts { waiting, open, .. } = self.counts;
        // Some that had failed may have been tried again by themselves.
        self.forgiven = self.forgiven.min(self.counts.failed);
        let failures = self.counts.failed - self.forgiven;
        if self.state == Running
            && self.stop_after > 0
            && failures >= self.stop_after
            && waiting > 0
        {
            let (word, them) = if failures == 1 {
                ("task", "it")
            } else {
                ("tasks", "them")
            };
            self.state = Stopping;
            self.reason = Some(format!(
                "{failures} {word} did not succeed: see {them} with `kolga op show {}`",
                self.id
            ));
        }
        self.state = match self.state {
            Running | Finished => {
                if waiting + open > 0 {
                    Running
                } else {
                    Finished
                }
            }
            Stopping | Paused if open > 0 => Stopping,
            Stopping | Paused if waiting > 0 => Paused,
            Stopping | Paused => Finished,
            Cancelling | Cancelled if open > 0 => Cancelling,
            Cancelling | Cancelled => Cancelled,
        };
        // A move says there what has come of it.
        if matches!(self.state, Running | Finished) && !self.is_move() {
            self.reason = None;
        }
        self.finished_at = match self.state {
            Finished | Cancelled => self.finished_at.or(Some(now)),
            _ => None,
        };
    }

    /// Notes what waits for servers and is open there now.
    async fn shift(&self, tx: &mut Tx<'_>, shifts: &[Shift]) -> Result<(), sqlx::Error> {
        let id = self.id.to_string();
        let written = ADJUST_SERVERS
            .execute(tx.connection, shifts, |query, shift| {
                query
                    .bind(id.clone())
                    .bind(shift.server.clone())
                    .bind(shift.waiting)
                    .bind(shift.open)
            })
            .await?;
        tx.effects.rows += written;
        Ok(())
    }
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
