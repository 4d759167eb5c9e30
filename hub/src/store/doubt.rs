//! Doubt: attempts of which nothing has been heard for long, and what follows when their worker does not
//! know them. Asked by `sweeper`, which asks the workers; told by `inbox`, which hears their answers.

use std::collections::HashMap;

use kolga_protocol::id::{Attempt, Run, TaskId, UnixMillis};
use kolga_protocol::message::{Asked, Failure, Level};
use kolga_protocol::names::ServerName;
use kolga_protocol::state::{Event, State};
use sqlx::Row;

use super::bulk::Bulk;
use super::outbox::send;
use super::reports::note;
use super::rows::{self, TaskRow};
use super::settle::{Ended, settle};
use super::tx::{Operation, Outcome, Tx};

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
        // What is planned for later than any plan was planned before the clock was set back.
        let rows = sqlx::query(
            "SELECT doubtful.task, doubtful.attempt, doubtful.state, t.server
               FROM (SELECT * FROM (SELECT task, attempt, state FROM attempt WHERE check_at <= $1
                                     ORDER BY check_at LIMIT $3) AS due
           UNION ALL SELECT * FROM (SELECT task, attempt, state FROM attempt WHERE check_at > $2
                                     ORDER BY check_at LIMIT $3) AS ahead) AS doubtful
               JOIN task t ON t.id = doubtful.task LIMIT $3",
        )
        .bind(tx.now.0)
        .bind(tx.now.0.saturating_add(tx.policy.check_millis))
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

/// When the next attempt is due to be asked about, if nothing is heard of it; `None` while all is at rest.
#[derive(Clone, Copy, Debug)]
pub struct NextCheck;

impl Operation for NextCheck {
    type Answer = Option<UnixMillis>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<Option<UnixMillis>>, sqlx::Error> {
        let next: Option<i64> =
            sqlx::query_scalar("SELECT min(check_at) FROM attempt WHERE check_at IS NOT NULL")
                .fetch_one(&mut *tx.connection)
                .await?;
        Ok(Ok(next.map(UnixMillis)))
    }
}

static CHECKED: Bulk = Bulk::new(
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
    pub runs: Vec<Asked>,
    /// Whether the server's queue is empty, so that what was only sent is lost and not waiting.
    pub queue_is_empty: bool,
}

impl Operation for Unknown {
    type Answer = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<()>, sqlx::Error> {
        let tasks: Vec<TaskId> = self.runs.iter().map(|asked| asked.run.task).collect();
        let asked: HashMap<Run, State> = self
            .runs
            .iter()
            .map(|asked| (asked.run, asked.state))
            .collect();
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
            if matches!(before, State::Queued | State::Sent) {
                continue;
            }
            // Reports may have moved it on while the question was under way.
            forgotten(row, before, tx, &mut ended);
        }
        rows::save(tx, rows.values()).await?;
        settle(tx, &rows, ended).await?;
        send(tx, &again, "task", "hub").await?;
        tx.effects.changed.extend(tasks);
        Ok(Ok(()))
    }
}

/// The journal that held an attempt is gone: what became of it there nobody can tell any more.
pub(super) fn forgotten(row: &mut TaskRow, was: State, tx: &mut Tx<'_>, ended: &mut Vec<Ended>) {
    let event = match was {
        State::Stuck => Event::Failed,
        _ => Event::Interrupted,
    };
    let failure = Failure::plain(format!(
        "the worker on {} no longer knows this task: its journal is a new one; look there for what is left \
         of it",
        row.server
    ));
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
