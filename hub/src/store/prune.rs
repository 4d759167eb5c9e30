//! Pruning: what is old leaves the store, in pieces so small that nobody waits for one. `janitor` chooses
//! ([`super::read`]: old tasks, old logs); what it chose is looked at again here, in the transaction that
//! removes it, so nothing goes that has been tried again meanwhile.
//!
//! A task stays as long as it has not ended, a site or a platform names it as its last, or the outbox holds a
//! message about it. Each piece is whole by itself: a hub that is killed between two leaves a task without
//! some of its log, marked so, and goes on with it.

use kolga_protocol::id::{TaskId, UnixMillis};
use sqlx::{AnyConnection, Row};

use super::bulk::Bulk;
use super::tx::{Operation, Outcome, Tx};

/// Rows that one piece removes, at most: bounds the time that everybody else waits for the writer. An entry
/// may hold many lines of a log.
const PIECE: i64 = 250;

/// Rows of a task that are none of its entries: itself and, nearly always, one attempt.
const OWN_ROWS: i64 = 2;

/// What of old tasks goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Their entries; the tasks stay listed.
    Logs,
    /// Everything.
    Tasks,
}

/// Removes a piece of what is old.
#[derive(Clone, Debug)]
pub struct Prune {
    /// What goes.
    pub what: What,
    /// Of these, the first first, as far as one piece goes.
    pub tasks: Vec<TaskId>,
    /// Only what has ended by then.
    pub ended_by: UnixMillis,
}

/// What a piece came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// So many of the given tasks are dealt with, from the first: gone, or not to be touched after all.
    pub done: usize,
    /// Tasks that are gone.
    pub tasks: u64,
    /// Entries that are gone.
    pub entries: u64,
}

/// What a task must be to go, after `WHERE`, with when it must have ended by to be filled in.
macro_rules! may_go {
    ($ended_by:literal) => {
        concat!(
            "t.finished_at <= ",
            $ended_by,
            " AND NOT EXISTS (SELECT 1 FROM site WHERE site.task = t.id)
              AND NOT EXISTS (SELECT 1 FROM platform WHERE platform.task = t.id)
              AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.task = t.id)"
        )
    };
}
pub(super) use may_go;

static MAY_GO: Bulk = Bulk::new(
    "SELECT t.id, t.entries FROM (VALUES",
    2,
    concat!(
        ") AS v JOIN task t ON t.id = v.column1 WHERE ",
        may_go!("v.column2")
    ),
);
static DELETE_ENTRIES: Bulk = Bulk::new("DELETE FROM entry WHERE task IN (VALUES", 1, ")");
static LOG_PRUNED: Bulk = Bulk::new("UPDATE task SET log_pruned = 1 WHERE id IN (VALUES", 1, ")");
static DELETE_ATTEMPTS: Bulk = Bulk::new("DELETE FROM attempt WHERE task IN (VALUES", 1, ")");
static DELETE_TASKS: Bulk = Bulk::new("DELETE FROM task WHERE id IN (VALUES", 1, ")");

impl Operation for Prune {
    type Answer = Pruned;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<Pruned>, sqlx::Error> {
        // A task costs at least its own rows, so more cannot fit.
        let most = usize::try_from(PIECE / OWN_ROWS).unwrap_or(usize::MAX);
        let asked = &self.tasks[..self.tasks.len().min(most)];
        let mut old = Vec::with_capacity(asked.len());
        let rows = MAY_GO
            .fetch(tx.connection, asked, |query, task| {
                query.bind(task.to_string()).bind(self.ended_by.0)
            })
            .await?;
        for row in &rows {
            let id: String = row.try_get("id")?;
            let task: TaskId = id
                .parse()
                .map_err(|_| sqlx::Error::Decode(format!("task id {id:?}").into()))?;
            old.push((task, row.try_get::<i64, _>("entries")?));
        }
        let mut room = PIECE;
        let mut fits = Vec::with_capacity(old.len());
        let mut pruned = Pruned::default();
        for task in asked {
            // What may not go is dealt with.
            if let Some((_, entries)) = old.iter().find(|(id, _)| id == task) {
                // The last number of an entry: never fewer than there are.
                let rows = entries + OWN_ROWS;
                if rows > room {
                    break;
                }
                room -= rows;
                fits.push(*task);
            }
            pruned.done += 1;
        }
        if fits.is_empty() {
            // A log that is more than a piece goes from its beginning.
            if let Some(&task) = asked.get(pruned.done) {
                pruned.entries = first_entries(tx.connection, task).await?;
                if pruned.entries == 0 {
                    fits.push(task);
                    pruned.done += 1;
                } else {
                    mark(tx.connection, &[task]).await?;
                }
            }
        }
        pruned.entries += by_task(&DELETE_ENTRIES, tx.connection, &fits).await?;
        match self.what {
            What::Logs => mark(tx.connection, &fits).await?,
            What::Tasks => {
                by_task(&DELETE_ATTEMPTS, tx.connection, &fits).await?;
                pruned.tasks = by_task(&DELETE_TASKS, tx.connection, &fits).await?;
                if let Some(&last) = fits.iter().max() {
                    tx.pruned(last);
                }
            }
        }
        if pruned.tasks + pruned.entries > 0 {
            note(tx, pruned.tasks, pruned.entries, 0).await?;
        }
        Ok(Ok(pruned))
    }
}

/// Removes a piece of one log; how many entries.
async fn first_entries(connection: &mut AnyConnection, task: TaskId) -> Result<u64, sqlx::Error> {
    let gone = sqlx::query(
        "DELETE FROM entry WHERE task = $1 AND seq < (SELECT min(seq) FROM entry WHERE task = $1) + $2",
    )
    .bind(task.to_string())
    .bind(PIECE)
    .execute(connection)
    .await?;
    Ok(gone.rows_affected())
}

async fn by_task(
    statement: &Bulk,
    connection: &mut AnyConnection,
    tasks: &[TaskId],
) -> Result<u64, sqlx::Error> {
    statement
        .execute(connection, tasks, |query, task| {
            query.bind(task.to_string())
        })
        .await
}

async fn mark(connection: &mut AnyConnection, tasks: &[TaskId]) -> Result<(), sqlx::Error> {
    by_task(&LOG_PRUNED, connection, tasks).await?;
    Ok(())
}

/// Leaves a trace of what is gone, and the fence against reports that come late.
async fn note(tx: &mut Tx<'_>, tasks: u64, entries: u64, audit: u64) -> Result<(), sqlx::Error> {
    let up_to = tx.pruned_up_to().map(|task| task.to_string());
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    sqlx::query(
        "UPDATE pruned SET up_to = coalesce($1, up_to), at = $2, tasks = tasks + $3, entries = entries + $4,
                audit = audit + $5
          WHERE id = 1",
    )
    .bind(up_to)
    .bind(tx.now.0)
    .bind(count(tasks))
    .bind(count(entries))
    .bind(count(audit))
    .execute(&mut *tx.connection)
    .await?;
    Ok(())
}

/// The newest task that has been pruned, as the database has it.
pub(super) async fn up_to(connection: &mut AnyConnection) -> Result<Option<TaskId>, sqlx::Error> {
    let up_to: String = sqlx::query_scalar("SELECT up_to FROM pruned WHERE id = 1")
        .fetch_one(connection)
        .await?;
    Ok(up_to.parse().ok())
}

/// Removes a piece of the oldest records of who did what.
#[derive(Clone, Copy, Debug)]
pub struct PruneAudit {
    /// Only what was written before.
    pub before: UnixMillis,
    /// At most so many.
    pub most: i64,
}

impl Operation for PruneAudit {
    type Answer = u64;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<u64>, sqlx::Error> {
        // Their ids sort by time, as those of tasks.
        let gone = sqlx::query(
            "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE id < $1 ORDER BY id LIMIT $2)",
        )
        .bind(TaskId::earliest(self.before).to_string())
        .bind(self.most.min(PIECE))
        .execute(&mut *tx.connection)
        .await?
        .rows_affected();
        if gone > 0 {
            note(tx, 0, 0, gone).await?;
        }
        Ok(Ok(gone))
    }
}
