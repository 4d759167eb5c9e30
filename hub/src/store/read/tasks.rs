//! Tasks: lists by page, one whole, and finding one by a part of its id.

use std::collections::HashMap;

use kolga_protocol::id::{Attempt, TaskId, UnixMillis};
use kolga_protocol::names::ServerName;
use kolga_protocol::object::Lane;
use kolga_protocol::state::State;
use kolga_protocol::task::Kind;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::{Any, AssertSqlSafe, Row};

use super::{corrupt, from_json, parse};
use crate::store::{Store, StoreError};
use crate::wire::{AttemptDetail, StepEntry, Task, TaskDetail};

/// So many of the newest tasks are looked through for an id that ends in a given way.
const RECENT: i64 = 20_000;

const COLUMNS: &str = "SELECT t.id, t.server, t.kind, t.object, t.state, t.attempt, t.retry_at, t.finished_at,
    t.cancel_requested, t.requested_by, t.created_at, t.step, t.failure, t.waiting, t.log_pruned, t.operation, t.params, t.output,
    a.started_at, a.ended_at FROM";
const ALL: &str = "task t JOIN attempt a ON a.task = t.id AND a.attempt = t.attempt";
const OPEN_OF_ALL: &str =
    "server s CROSS JOIN task t JOIN attempt a ON a.task = t.id AND a.attempt = t.attempt
    AND t.server = s.name";

/// The states that the column `trouble` of a task repeats, and by which few tasks are found among many.
fn is_trouble(state: State) -> bool {
    matches!(
        state,
        State::Stuck | State::Failed | State::Cancelled | State::Interrupted | State::Rejected
    )
}

/// The states of what is not finished.
fn is_open(state: State) -> bool {
    !state.is_terminal() && !is_trouble(state)
}

/// Which tasks.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this server.
    pub server: Option<ServerName>,
    /// In this state.
    pub state: Option<State>,
    /// That change this.
    pub object: Option<String>,
    /// Older than this one.
    pub before: Option<TaskId>,
    /// At most so many.
    pub limit: u32,
}

/// What a part of an id names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// One task.
    One(TaskId),
    /// More than one.
    Several,
    /// None.
    None,
}

impl Store {
    /// Tasks, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn tasks(&self, filter: &Filter) -> Result<Vec<Task>, StoreError> {
        let open = filter.state.is_some_and(is_open);
        // What is open is found by server, all servers in turn; and there is less of it than of history.
        let mut sql = if open && filter.server.is_none() {
            format!("{COLUMNS} {OPEN_OF_ALL}")
        } else {
            format!("{COLUMNS} {ALL}")
        };
        let mut values: Vec<String> = Vec::new();
        let mut narrow = |condition: &str, value: Option<String>| {
            if let Some(value) = value {
                values.push(value);
                let word = if values.len() == 1 { "WHERE" } else { "AND" };
                sql.push_str(&format!(" {word} t.{condition} ${}", values.len()));
            }
        };
        let state = match filter.state {
            Some(state) if is_trouble(state) => "trouble =",
            Some(state) if is_open(state) => "finished_at IS NULL AND t.state =",
            _ => "state =",
        };
        narrow("server =", filter.server.as_ref().map(ToString::to_string));
        narrow(state, filter.state.map(|state| state.to_string()));
        narrow("object =", filter.object.clone());
        narrow("id <", filter.before.map(|id| id.to_string()));
        sql.push_str(&format!(" ORDER BY t.id DESC LIMIT ${}", values.len() + 1));
        let mut query = sqlx::query::<Any>(AssertSqlSafe(sql));
        for value in values {
            query = query.bind(value);
        }
        let rows = query
            .bind(i64::from(filter.limit))
            .fetch_all(&self.reads)
            .await?;
        rows.iter().map(task).collect()
    }

    /// One task, as lists show it.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError> {
        self.task_row(id).await?.as_ref().map(task).transpose()
    }

    /// One task whole, with the reports about its steps.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn task_detail(&self, id: TaskId) -> Result<Option<TaskDetail>, StoreError> {
        let Some(row) = self.task_row(id).await? else {
            return Ok(None);
        };
        let params: String = row.try_get("params")?;
        let output: Option<String> = row.try_get("output")?;
        let attempts = sqlx::query(
            "SELECT attempt, state, created_at, started_at, ended_at, failure FROM attempt
              WHERE task = $1 ORDER BY attempt",
        )
        .bind(id.to_string())
        .fetch_all(&self.reads)
        .await?;
        let mut steps: HashMap<Attempt, Vec<StepEntry>> = HashMap::new();
        for step in self.steps(id).await? {
            steps.entry(step.attempt).or_default().push(step);
        }
        Ok(Some(TaskDetail {
            task: task(&row)?,
            params: from_json("parameters", &params)?,
            output: output
                .map(|text| from_json("an output", &text))
                .transpose()?,
            attempts: attempts
                .iter()
                .map(|row| attempt(row, &mut steps))
                .collect::<Result<_, _>>()?,
        }))
    }

    async fn task_row(&self, id: TaskId) -> Result<Option<AnyRow>, StoreError> {
        let sql = format!("{COLUMNS} {ALL} WHERE t.id = $1");
        Ok(sqlx::query::<Any>(AssertSqlSafe(sql))
            .bind(id.to_string())
            .fetch_optional(&self.reads)
            .await?)
    }

    /// The task whose id begins like this, or ends like this if it is one of the newest.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn find_task(&self, part: &str) -> Result<Found, StoreError> {
        let part = part.to_ascii_lowercase();
        let fits = (1..=36).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        if !fits {
            return Ok(Found::None);
        }
        let begins: Vec<String> = self
            .find(
                "SELECT id FROM task WHERE id >= $1 AND id < $2 ORDER BY id LIMIT 2",
                |query| query.bind(part.clone()).bind(format!("{part}g")),
            )
            .await?;
        let found = if begins.is_empty() {
            self.find(
                "SELECT id FROM (SELECT id FROM task ORDER BY id DESC LIMIT $1) AS newest
                  WHERE id LIKE $2 LIMIT 2",
                |query| query.bind(RECENT).bind(format!("%{part}")),
            )
            .await?
        } else {
            begins
        };
        Ok(match found.as_slice() {
            [] => Found::None,
            [one] => Found::One(parse("a task id", one)?),
            _ => Found::Several,
        })
    }

    async fn find(
        &self,
        sql: &'static str,
        bind: impl FnOnce(
            sqlx::query::QueryScalar<'static, Any, String, AnyArguments>,
        ) -> sqlx::query::QueryScalar<'static, Any, String, AnyArguments>,
    ) -> Result<Vec<String>, StoreError> {
        Ok(bind(sqlx::query_scalar(sql)).fetch_all(&self.reads).await?)
    }
}

fn task(row: &AnyRow) -> Result<Task, StoreError> {
    let kind: String = row.try_get("kind")?;
    let step: Option<String> = row.try_get("step")?;
    let failure: Option<String> = row.try_get("failure")?;
    let operation: Option<String> = row.try_get("operation")?;
    Ok(Task {
        id: parse("a task id", &row.try_get::<String, _>("id")?)?,
        server: parse("a server", &row.try_get::<String, _>("server")?)?,
        lane: kind.parse::<Kind>().map_or(Lane::Heavy, Kind::lane),
        kind,
        object: row.try_get("object")?,
        operation: operation.map(|id| parse("an operation", &id)).transpose()?,
        state: parse("a state", &row.try_get::<String, _>("state")?)?,
        finished: row.try_get::<Option<i64>, _>("finished_at")?.is_some(),
        attempt: number(row, "attempt")?,
        retry_at: time(row, "retry_at")?,
        cancel_requested: row.try_get::<i64, _>("cancel_requested")? != 0,
        requested_by: row.try_get("requested_by")?,
        created_at: UnixMillis(row.try_get("created_at")?),
        started_at: time(row, "started_at")?,
        ended_at: time(row, "ended_at")?,
        step: step.map(|text| from_json("a step", &text)).transpose()?,
        failure: failure
            .map(|text| from_json("a failure", &text))
            .transpose()?,
        waiting: row.try_get("waiting")?,
        log_pruned: row.try_get::<i64, _>("log_pruned")? != 0,
    })
}

fn attempt(
    row: &AnyRow,
    steps: &mut HashMap<Attempt, Vec<StepEntry>>,
) -> Result<AttemptDetail, StoreError> {
    let attempt = number(row, "attempt")?;
    let failure: Option<String> = row.try_get("failure")?;
    Ok(AttemptDetail {
        attempt,
        state: parse("a state", &row.try_get::<String, _>("state")?)?,
        created_at: UnixMillis(row.try_get("created_at")?),
        started_at: time(row, "started_at")?,
        ended_at: time(row, "ended_at")?,
        failure: failure
            .map(|text| from_json("a failure", &text))
            .transpose()?,
        steps: steps.remove(&attempt).unwrap_or_default(),
    })
}

fn number(row: &AnyRow, column: &'static str) -> Result<Attempt, StoreError> {
    u32::try_from(row.try_get::<i64, _>(column)?)
        .map(Attempt)
        .map_err(|error| corrupt(column, error))
}

fn time(row: &AnyRow, column: &'static str) -> Result<Option<UnixMillis>, StoreError> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(UnixMillis))
}
