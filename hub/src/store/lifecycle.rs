//! What the hub and its operators do to tasks that are under way: cancel, retry, the next attempt after
//! an interruption, and what follows when a worker turns out not to know an attempt.

use std::collections::HashMap;

use kolga_protocol::id::{Attempt, Run, TaskId, UnixMillis};
use kolga_protocol::message::{Failure, Level};
use kolga_protocol::names::{HostName, ServerName};
use kolga_protocol::state::{Event, State};
use sqlx::Row;

use super::create::{INSERT_ATTEMPTS, INSERT_OUTBOX};
use super::objects;
use super::reports::{note, params, settle};
use super::rows::{self, TaskRow};
use super::tx::{Operation, Outcome, Refusal, Tx, plain};

/// There is no such task.
pub(crate) fn unknown_task(task: &str) -> Refusal {
    Refusal::not_found(
        "task_unknown",
        format!("there is no task {}", task.escape_default()),
        "see `kolga task list`".to_owned(),
    )
}

/// An operator does not want it any more.
#[derive(Clone, Debug)]
pub struct Cancel {
    /// Which task.
    pub task: TaskId,
    /// Who.
    pub requested_by: String,
}

impl Operation for Cancel {
    type Answer = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<()>, sqlx::Error> {
        let mut rows = rows::load(tx.connection, &[self.task]).await?;
        let Some(row) = rows.get_mut(&self.task) else {
            return Ok(Err(unknown_task(&self.task.to_string())));
        };
        if row.finished {
            return Ok(Err(Refusal::conflict(
                "task_finished",
                format!("task {} has {} already", self.task, row.state),
                None,
            )));
        }
        let who = plain(&self.requested_by);
        let (run, now) = (row.run, tx.now);
        row.set_cancel_requested(true);
        if row.retry_at.is_some() {
            row.give_up(
                &Failure::plain(format!("{who} wants no further attempt")),
                now,
            );
        } else if row.state == State::Queued && take_back(tx, run).await? {
            let failure = Failure::plain(format!("cancelled by {who} before it was sent"));
            judged(row.on(Event::Cancelled, now, Some(&failure), tx.policy, now))?;
        } else {
            note(
                row,
                tx,
                Level::Info,
                None,
                format!("{who} asked to cancel this"),
            );
            let server = row.server.clone();
            send(tx, &[(server, run)], "cancel", &who).await?;
        }
        let finished = row.finished;
        rows::save(tx.connection, rows.values()).await?;
        if finished {
            settle(tx, &rows, vec![(self.task, None)]).await?;
        }
        tx.audit(&who, "task.cancel", &run.to_string(), "").await?;
        tx.effects.changed.push(self.task);
        Ok(Ok(()))
    }
}

/// Takes the message of an attempt out of the outbox, if it is certain that nobody has it.
async fn take_back(tx: &mut Tx<'_>, run: Run) -> Result<bool, sqlx::Error> {
    let row = sqlx::query(
        "SELECT seq FROM outbox WHERE task = $1 AND attempt = $2 AND sort = 'task' AND maybe_sent = 0",
    )
    .bind(run.task.to_string())
    .bind(i64::from(run.attempt.0))
    .fetch_optional(&mut *tx.connection)
    .await?;
    let Some(row) = row else { return Ok(false) };
    let seq: i64 = row.try_get("seq")?;
    if tx.is_in_flight(seq) {
        return Ok(false);
    }
    sqlx::query("DELETE FROM outbox WHERE seq = $1")
        .bind(seq)
        .execute(&mut *tx.connection)
        .await?;
    Ok(true)
}

/// Puts messages about attempts into the outbox, unless the same are there already.
async fn send(
    tx: &mut Tx<'_>,
    runs: &[(String, Run)],
    sort: &'static str,
    requested_by: &str,
) -> Result<(), sqlx::Error> {
    let mut rows = Vec::with_capacity(runs.len());
    for (server, run) in runs {
        let there: Option<i64> = sqlx::query_scalar(
            "SELECT seq FROM outbox WHERE task = $1 AND attempt = $2 AND sort = $3",
        )
        .bind(run.task.to_string())
        .bind(i64::from(run.attempt.0))
        .bind(sort)
        .fetch_optional(&mut *tx.connection)
        .await?;
        if there.is_none() {
            tx.memory.last_seq += 1;
            rows.push((tx.memory.last_seq, server.clone(), *run));
        }
    }
    INSERT_OUTBOX
        .execute(tx.connection, &rows, |query, (seq, server, run)| {
            query
                .bind(*seq)
                .bind(server.clone())
                .bind(run.task.to_string())
                .bind(i64::from(run.attempt.0))
                .bind(sort)
                .bind(requested_by.to_owned())
        })
        .await?;
    tx.effects.outbox = true;
    Ok(())
}

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
        if row.finished
            && let Some(params) = params(tx, &row).await?
        {
            let server: ServerName = row
                .server
                .parse()
                .map_err(|_| sqlx::Error::Decode("server name".into()))?;
            if let Err(refusal) = objects::claim(tx, &server, &params, self.task).await? {
                return Ok(Err(refusal));
            }
        }
        let who = plain(&self.requested_by);
        next_attempts(tx, vec![row], Some(1), &who).await?;
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
        let due: Vec<String> = sqlx::query_scalar(
            "SELECT id FROM task WHERE retry_at <= $1 ORDER BY retry_at LIMIT 256",
        )
        .bind(tx.now.0)
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

/// Attempts of which nothing has been heard for long, to ask their workers about.
#[derive(Clone, Copy, Debug)]
pub struct CheckDue {
    /// At most so many.
    pub most: i64,
}

/// An attempt to ask about.
#[derive(Clone, Debug)]
pub struct Doubtful {
    /// Which.
    pub run: Run,
    /// Whose.
    pub server: String,
    /// Where it stands.
    pub state: State,
}

impl Operation for CheckDue {
    type Answer = Vec<Doubtful>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<Vec<Doubtful>>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT a.task, a.attempt, a.state, t.server FROM attempt a JOIN task t ON t.id = a.task
              WHERE a.check_at <= $1 ORDER BY a.check_at LIMIT $2",
        )
        .bind(tx.now.0)
        .bind(self.most)
        .fetch_all(&mut *tx.connection)
        .await?;
        let decode = || sqlx::Error::Decode("attempt".into());
        let mut doubtful = Vec::with_capacity(rows.len());
        for row in &rows {
            let task: String = row.try_get("task")?;
            let state: String = row.try_get("state")?;
            doubtful.push(Doubtful {
                run: Run {
                    task: task.parse().map_err(|_| decode())?,
                    attempt: Attempt(
                        u32::try_from(row.try_get::<i64, _>("attempt")?).unwrap_or(u32::MAX),
                    ),
                },
                server: row.try_get("server")?,
                state: state.parse().map_err(|_| decode())?,
            });
        }
        let next = tx.now.0 + tx.policy.check_millis;
        CHECKED
            .execute(tx.connection, &doubtful, |query, doubtful| {
                query
                    .bind(doubtful.run.task.to_string())
                    .bind(i64::from(doubtful.run.attempt.0))
                    .bind(next)
            })
            .await?;
        Ok(Ok(doubtful))
    }
}

static CHECKED: super::bulk::Bulk = super::bulk::Bulk::new(
    "UPDATE attempt SET check_at = v.column3 FROM (VALUES",
    3,
    ") AS v WHERE attempt.task = v.column1 AND attempt.attempt = v.column2 AND attempt.check_at IS NOT NULL",
);

/// A worker was asked and does not know these. Each comes with the state that it had when the question
/// was sent: only what the worker had taken by then can have been forgotten.
#[derive(Clone, Debug)]
pub struct Unknown {
    /// Whose answer.
    pub server: ServerName,
    /// The attempts.
    pub runs: Vec<(Run, State)>,
    /// Whether the server's queue is empty, so that what was only sent is lost and not waiting.
    pub queue_is_empty: bool,
}

impl Operation for Unknown {
    type Answer = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<()>, sqlx::Error> {
        let tasks: Vec<TaskId> = self.runs.iter().map(|(run, _)| run.task).collect();
        let asked: HashMap<Run, State> = self.runs.iter().copied().collect();
        let mut rows = rows::load(tx.connection, &tasks).await?;
        let mut again = Vec::new();
        let mut ended = Vec::new();
        for row in rows.values_mut() {
            let Some(&before) = asked.get(&row.run) else {
                continue;
            };
            if row.server != self.server.as_str() || row.finished || row.state.is_terminal() {
                continue;
            }
            if before == State::Sent && row.state == State::Sent {
                if self.queue_is_empty {
                    let text = "the worker does not have this task; sending it again".to_owned();
                    note(row, tx, Level::Warn, None, text);
                    again.push((row.server.clone(), row.run));
                }
                continue;
            }
            let event = match before {
                State::Accepted | State::Running | State::RollingBack => Event::Interrupted,
                State::Stuck => Event::Failed,
                _ => continue,
            };
            let failure = Failure {
                step: None,
                message: format!(
                    "the worker on {} no longer knows this task: its journal is a new one; look there \
                     for what is left of it",
                    self.server
                ),
                left_behind: Vec::new(),
            };
            // Reports may have moved it on while the question was under way.
            if row
                .on(event, tx.now, Some(&failure), tx.policy, tx.now)
                .is_ok_and(|moved| moved)
            {
                tx.effects.due = true;
                if row.finished {
                    ended.push((row.run.task, None));
                }
            }
        }
        rows::save(tx.connection, rows.values()).await?;
        settle(tx, &rows, ended).await?;
        send(tx, &again, "task", "hub").await?;
        tx.effects.changed.extend(tasks);
        Ok(Ok(()))
    }
}

/// What was asked for cannot be put into a message by this release.
pub(super) async fn reject(tx: &mut Tx<'_>, run: Run, reason: &str) -> Result<(), sqlx::Error> {
    let mut rows = rows::load(tx.connection, &[run.task]).await?;
    if let Some(row) = rows.get_mut(&run.task).filter(|row| row.run == run) {
        let failure = Failure::plain(reason);
        // An end that came before this one stays.
        if row
            .on(Event::Rejected, tx.now, Some(&failure), tx.policy, tx.now)
            .is_ok_and(|moved| moved)
        {
            rows::save(tx.connection, rows.values()).await?;
            settle(tx, &rows, vec![(run.task, None)]).await?;
        }
    }
    tx.audit("hub", "task.unreadable", &run.to_string(), reason)
        .await
}

/// What [`State::on`] refuses here is a mistake of ours.
fn judged<T>(result: Result<T, kolga_protocol::state::IllegalEvent>) -> Result<T, sqlx::Error> {
    result.map_err(|illegal| sqlx::Error::Protocol(illegal.to_string()))
}

/// A site that was never installed leaves the list.
#[derive(Clone, Debug)]
pub struct Forget {
    /// Which.
    pub host: HostName,
    /// The task that did not install it; another one by now means that things have changed.
    pub task: TaskId,
    /// Who.
    pub requested_by: String,
}

impl Operation for Forget {
    type Answer = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<()>, sqlx::Error> {
        let there: Option<i64> = sqlx::query_scalar(
            "SELECT created_at FROM site WHERE host = $1 AND task = $2 AND condition = 'failed'",
        )
        .bind(self.host.as_str())
        .bind(self.task.to_string())
        .fetch_optional(&mut *tx.connection)
        .await?;
        if there.is_none() {
            return Ok(Err(objects::unknown_site(&self.host)));
        }
        objects::remove_site(tx.connection, &self.host).await?;
        tx.audit(&self.requested_by, "site.forget", self.host.as_str(), "")
            .await?;
        Ok(Ok(()))
    }
}
