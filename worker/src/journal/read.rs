//! What can be read from the journal: what has not ended (for recovery), the spool (for
//! [`crate::outgoing`]), and what `kolga-worker journal` shows, with the worker running or not.

use std::path::Path;

use kolga_protocol::envelope;
use kolga_protocol::id::Run;
use kolga_protocol::message::{ReportBody, Reports, TaskMessage};
use kolga_protocol::state::State;
use kolga_protocol::task::Payload;
use serde::Serialize;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};

use super::JournalError;
use super::entry::{Cause, Place, StepRow};
use super::rows::run_of;
use super::stage::Live;

/// An attempt that has not ended, with all that recovery needs.
#[derive(Debug)]
pub struct LiveTask {
    /// Which.
    pub run: Run,
    /// What was asked for.
    pub message: TaskMessage,
    /// Where it stands.
    pub state: State,
    /// How it ends once it is rolled back, when that has begun.
    pub cause: Option<Cause>,
    /// The result, when it is past its point of no return.
    pub output: Option<Payload>,
    /// Its steps by place.
    pub steps: Vec<StoredStep>,
    last_seq: u64,
}

/// A step of an attempt that has not ended.
#[derive(Clone, Debug)]
pub struct StoredStep {
    /// The step and its record.
    pub row: StepRow,
    /// `intent`, `done`, `undone`, `final` or `finished`.
    pub state: String,
}

/// A sealed batch of reports.
#[derive(Debug)]
pub struct SpoolRow {
    /// Its number, which names the message.
    pub id: i64,
    /// The message.
    pub body: Vec<u8>,
}

/// An attempt as `kolga-worker journal` shows it.
#[derive(Debug, Serialize)]
pub struct TaskView {
    /// `<task uuid>.<attempt>`.
    pub run: String,
    /// The task's type.
    pub kind: String,
    /// Where it stands.
    pub state: String,
    /// When it was accepted, in milliseconds since 1970.
    pub accepted_at: i64,
    /// When it ended.
    pub ended_at: Option<i64>,
    /// Whether it is past its point of no return.
    pub past_no_return: bool,
    /// Why it is being rolled back.
    pub cause: Option<String>,
    /// Its steps, while it has not ended.
    pub steps: Vec<StepView>,
}

/// A step as `kolga-worker journal show` shows it.
#[derive(Debug, Serialize)]
pub struct StepView {
    /// Its place, from 1.
    pub position: i64,
    /// Its name.
    pub name: String,
    /// `intent`, `done`, `undone`, `final` or `finished`.
    pub state: String,
    /// What undoing or finishing it needs.
    pub record: serde_json::Value,
}

/// How much the journal holds.
#[derive(Debug, Serialize)]
pub struct Overview {
    /// Attempts that have not ended.
    pub live: i64,
    /// Batches of reports that the broker has not confirmed.
    pub spooled: i64,
}

impl LiveTask {
    pub(super) fn into_live(self) -> Live {
        Live {
            run: self.run,
            state: self.state,
            last_seq: self.last_seq,
            output: self.output,
            has_steps: !self.steps.is_empty(),
        }
    }
}

/// A second connection to the journal, for reading only.
pub struct Reader {
    connection: SqliteConnection,
}

impl Reader {
    /// Opens an existing journal.
    ///
    /// # Errors
    /// [`JournalError`] when there is none or it cannot be read.
    pub async fn open(path: &Path) -> Result<Self, JournalError> {
        let connection = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .busy_timeout(std::time::Duration::from_secs(10))
            .disable_statement_logging()
            .connect()
            .await?;
        Ok(Self { connection })
    }

    /// Every attempt that has not ended, in the order of acceptance.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn live(&mut self) -> Result<Vec<LiveTask>, JournalError> {
        live(&mut self.connection).await
    }

    /// The spool after a number, in order, at most `limit` of it.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn spool(&mut self, after: i64, limit: i64) -> Result<Vec<SpoolRow>, JournalError> {
        let rows: Vec<(i64, Vec<u8>)> =
            sqlx::query_as("SELECT id, body FROM spool WHERE id > $1 ORDER BY id LIMIT $2")
                .bind(after)
                .bind(limit)
                .fetch_all(&mut self.connection)
                .await?;
        Ok(rows
            .into_iter()
            .map(|(id, body)| SpoolRow { id, body })
            .collect())
    }

    /// Which of these the journal does not hold.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn unknown(&mut self, runs: Vec<Run>) -> Result<Vec<Run>, JournalError> {
        let mut unknown = Vec::new();
        for run in runs {
            let found: Option<i64> =
                sqlx::query_scalar("SELECT 1 FROM task WHERE task = $1 AND attempt >= $2 LIMIT 1")
                    .bind(run.task.as_bytes().as_slice())
                    .bind(i64::from(run.attempt.0))
                    .fetch_optional(&mut self.connection)
                    .await?;
            if found.is_none() {
                unknown.push(run);
            }
        }
        Ok(unknown)
    }

    /// How much there is.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn overview(&mut self) -> Result<Overview, JournalError> {
        let (live, spooled) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM task WHERE ended_at IS NULL), (SELECT count(*) FROM spool)",
        )
        .fetch_one(&mut self.connection)
        .await?;
        Ok(Overview { live, spooled })
    }

    /// The newest attempts first; those that have not ended before all others.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn list(&mut self, limit: i64) -> Result<Vec<TaskView>, JournalError> {
        self.views("ORDER BY (ended_at IS NULL) DESC, id DESC LIMIT $1", limit)
            .await
    }

    /// All attempts at the task whose identity contains this text.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn find(&mut self, text: &str) -> Result<Vec<TaskView>, JournalError> {
        let all = self.views("ORDER BY id DESC LIMIT $1", -1).await?;
        Ok(all
            .into_iter()
            .filter(|view| view.run.contains(text))
            .collect())
    }

    async fn views(
        &mut self,
        order: &'static str,
        limit: i64,
    ) -> Result<Vec<TaskView>, JournalError> {
        type Row = (
            Vec<u8>,
            i64,
            String,
            String,
            i64,
            Option<i64>,
            bool,
            Option<String>,
        );
        let text = format!(
            "SELECT task, attempt, kind, state, accepted_at, ended_at, committed, cause FROM task {order}"
        );
        let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(text))
            .bind(limit)
            .fetch_all(&mut self.connection)
            .await?;
        let mut views = Vec::with_capacity(rows.len());
        for (task, attempt, kind, state, accepted_at, ended_at, past_no_return, cause) in rows {
            let run = run_of(&task, attempt)?;
            let cause = cause.and_then(|json| serde_json::from_str::<Cause>(&json).ok());
            views.push(TaskView {
                run: run.to_string(),
                kind,
                state,
                accepted_at,
                ended_at,
                past_no_return,
                cause: cause.map(|cause| cause.failure.message),
                steps: steps(&mut self.connection, run)
                    .await?
                    .into_iter()
                    .map(|step| StepView {
                        position: i64::from(step.row.place.position),
                        name: step.row.place.name,
                        state: step.state,
                        record: step.row.record,
                    })
                    .collect(),
            });
        }
        Ok(views)
    }
}

/// Every attempt that has not ended, in the order of acceptance.
pub(super) async fn live(connection: &mut SqliteConnection) -> Result<Vec<LiveTask>, JournalError> {
    type Row = (
        Vec<u8>,
        i64,
        Option<Vec<u8>>,
        String,
        i64,
        Option<String>,
        bool,
        Option<Vec<u8>>,
    );
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT task, attempt, message, state, last_seq, cause, committed, result
         FROM task WHERE ended_at IS NULL ORDER BY id",
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut tasks = Vec::with_capacity(rows.len());
    for (task, attempt, message, state, last_seq, cause, committed, result) in rows {
        let run = run_of(&task, attempt)?;
        let corrupt = |what: &str| JournalError::Corrupt(format!("{what} of {run}"));
        let message: TaskMessage = message
            .and_then(|bytes| envelope::open(&bytes).ok())
            .ok_or_else(|| corrupt("the message"))?;
        let state: State = state.parse().map_err(|_| corrupt("the state"))?;
        let cause = cause
            .map(|json| serde_json::from_str(&json))
            .transpose()
            .map_err(|_| corrupt("the cause"))?;
        let output = match (committed, result) {
            (false, _) => None,
            (true, Some(sealed)) => Some(output_of(&sealed).ok_or_else(|| corrupt("the result"))?),
            (true, None) => return Err(corrupt("the result")),
        };
        tasks.push(LiveTask {
            run,
            message,
            state,
            cause,
            output,
            steps: steps(connection, run).await?,
            last_seq: last_seq.cast_unsigned(),
        });
    }
    Ok(tasks)
}

fn output_of(sealed: &[u8]) -> Option<Payload> {
    let reports: Reports = envelope::open(sealed).ok()?;
    reports
        .items
        .into_iter()
        .find_map(|report| match report.body {
            ReportBody::State(state) => state.output,
            _ => None,
        })
}

async fn steps(
    connection: &mut SqliteConnection,
    run: Run,
) -> Result<Vec<StoredStep>, JournalError> {
    let rows: Vec<(i64, String, String, String)> = sqlx::query_as(
        "SELECT position, name, record, state FROM step WHERE task = $1 AND attempt = $2 ORDER BY position",
    )
    .bind(run.task.as_bytes().as_slice())
    .bind(i64::from(run.attempt.0))
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|(position, name, record, state)| {
            let corrupt = || JournalError::Corrupt(format!("step {position} of {run}"));
            Ok(StoredStep {
                row: StepRow {
                    place: Place {
                        position: u16::try_from(position).map_err(|_| corrupt())?,
                        total: 0,
                        name,
                    },
                    record: serde_json::from_str(&record).map_err(|_| corrupt())?,
                },
                state,
            })
        })
        .collect()
}
