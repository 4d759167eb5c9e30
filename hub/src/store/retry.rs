//! New attempts: those that a person asks for, and those that the hub makes by itself after an
//! interruption, when they are due.

use kolga_protocol::id::{Run, TaskId, UnixMillis};
use kolga_protocol::names::ServerName;
use kolga_protocol::state::State;
use kolga_protocol::task::Kind;

use super::cancel::unknown_task;
use super::create::INSERT_ATTEMPTS;
use super::objects;
use super::operations::ends;
use super::outbox::send;
use super::rows::{self, TaskRow};
use super::servers;
use super::settle::params;
use super::tx::{Operation, Outcome, Refusal, Tx, plain};

/// An operator wants another attempt at what has ended without success.
#[derive(Clone, Debug)]
pub struct Retry {
    /// Which task.
    pub task: TaskId,
    /// Who.
    pub requested_by: String,
}

impl Operation for Retry {
    type Answer = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<()>, sqlx::Error> {
        let mut rows = rows::load(tx.connection, &[self.task]).await?;
        let Some(row) = rows.remove(&self.task) else {
            return Ok(Err(unknown_task(&self.task.to_string())));
        };
        let waits = row.retry_at.is_some();
        if row.state == State::Succeeded || !(row.finished || waits) {
            return Ok(Err(Refusal::conflict(
                "task_not_retryable",
                format!(
                    "task {} is {}; only what ended without success can be retried",
                    self.task, row.state
                ),
                None,
            )));
        }
        // What waits for its next attempt still has its claim.
        if row.finished {
            let stages = [Kind::SiteHold.as_str(), Kind::SiteReceive.as_str()];
            if row.operation.is_some() && stages.contains(&row.kind.as_str()) {
                return Ok(Err(Refusal::conflict(
                    "task_not_retryable",
                    format!("task {} was a part of a move, which is over", self.task),
                    "ask for the move again: kolga site move --help".to_owned(),
                )));
            }
            let server: ServerName = row
                .server
                .parse()
                .map_err(|_| sqlx::Error::Decode("server name".into()))?;
            if let Err(refusal) = servers::known(tx, &server).await? {
                return Ok(Err(refusal));
            }
            if let Some(params) = params(tx, &row).await?
                && let Err(refusal) = objects::claim(tx, &server, &params, self.task).await?
            {
                return Ok(Err(refusal));
            }
        }
        let who = plain(&self.requested_by);
        let part_of = row.operation.filter(|_| row.finished);
        next_attempts(tx, vec![row], Some(1), &who).await?;
        if let Some(operation) = part_of {
            ends::reopened(tx, operation, self.task).await?;
        }
        tx.audit(&who, "task.retry", &self.task.to_string(), "")
            .await?;
        Ok(Ok(()))
    }
}

/// Makes the next attempt at what was interrupted, where it is due. Gives the time when the next is.
#[derive(Clone, Copy, Debug)]
pub struct RetryDue;

impl Operation for RetryDue {
    type Answer = Option<UnixMillis>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<Option<UnixMillis>>, sqlx::Error> {
        // What lies further ahead than any wait was planned before the clock was set back.
        let due: Vec<String> = sqlx::query_scalar(
            "SELECT id FROM (SELECT id FROM task WHERE retry_at <= $1 ORDER BY retry_at LIMIT 256) AS due
           UNION ALL
             SELECT id FROM (SELECT id FROM task WHERE retry_at > $2 ORDER BY retry_at LIMIT 256) AS ahead
              LIMIT 256",
        )
        .bind(tx.now.0)
        .bind(tx.policy.latest_retry(tx.now).0)
        .fetch_all(&mut *tx.connection)
        .await?;
        let due: Vec<TaskId> = due.iter().filter_map(|id| id.parse().ok()).collect();
        let rows = rows::load(tx.connection, &due).await?;
        next_attempts(tx, rows.into_values().collect(), None, "hub").await?;
        let next: Option<i64> =
            sqlx::query_scalar("SELECT min(retry_at) FROM task WHERE retry_at IS NOT NULL")
                .fetch_one(&mut *tx.connection)
                .await?;
        Ok(Ok(next.map(UnixMillis)))
    }
}

/// A new attempt at each: its row, its message, and the fence that shuts out the one before.
async fn next_attempts(
    tx: &mut Tx<'_>,
    rows: Vec<TaskRow>,
    tries: Option<u32>,
    requested_by: &str,
) -> Result<(), sqlx::Error> {
    let queued = State::Queued.as_str();
    let mut sends = Vec::with_capacity(rows.len());
    for row in rows {
        let run = Run::new(row.run.task, row.run.attempt.next());
        sqlx::query(
            "UPDATE task SET attempt = $2, tries = $3, state = $4, retry_at = NULL, finished_at = NULL,
                    cancel_requested = 0, failure = NULL, output = NULL, step = NULL, waiting = NULL
              WHERE id = $1",
        )
        .bind(run.task.to_string())
        .bind(i64::from(run.attempt.0))
        .bind(i64::from(tries.unwrap_or(row.tries.saturating_add(1))))
        .bind(queued)
        .execute(&mut *tx.connection)
        .await?;
        tx.effects.changed.push(run.task);
        sends.push((row.server, run));
    }
    let now = tx.now.0;
    INSERT_ATTEMPTS
        .execute(tx.connection, &sends, |query, (_, run)| {
            query
                .bind(run.task.to_string())
                .bind(i64::from(run.attempt.0))
                .bind(queued)
                .bind(now)
        })
        .await?;
    send(tx, &sends, "task", requested_by).await
}
