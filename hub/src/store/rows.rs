//! A task and its newest attempt as the writer handles them: read many at once, moved by
//! [`State::on`] alone, written back many at once.

use std::collections::HashMap;

use kolga_protocol::id::{Attempt, Run, TaskId, UnixMillis};
use kolga_protocol::message::Failure;
use kolga_protocol::state::{Event, IllegalEvent, Next, State};
use kolga_protocol::task::Kind;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::bulk::Bulk;
use super::tx::Tx;
use crate::wire::{self, OperationId};

/// What the hub does by itself.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Attempts before a person has to ask.
    pub attempts: u32,
    /// Milliseconds before the second attempt; each further one waits twice as long.
    pub retry_millis: i64,
    /// Milliseconds without news of an attempt after which its worker is asked.
    pub check_millis: i64,
}

impl Policy {
    /// When the attempt after this many is due: twice as long each time, and up to a quarter more, so
    /// that what broke together does not come back together.
    fn retry_at(&self, tries: u32, now: UnixMillis) -> UnixMillis {
        let wait = self.wait(tries);
        let jitter = getrandom::u32().map_or(0, i64::from) * (wait / 4) / i64::from(u32::MAX);
        now.plus_millis(wait + jitter)
    }

    fn wait(&self, tries: u32) -> i64 {
        self.retry_millis
            .saturating_mul(1 << tries.saturating_sub(1).min(12))
    }

    /// No attempt is ever planned for later than this.
    pub(super) fn latest_retry(&self, now: UnixMillis) -> UnixMillis {
        let longest = self.wait(self.attempts);
        now.plus_millis(longest.saturating_add(longest / 4))
    }
}

/// A task with its newest attempt.
#[derive(Debug)]
pub(super) struct TaskRow {
    pub(super) run: Run,
    pub(super) server: String,
    pub(super) kind: String,
    pub(super) object: Option<String>,
    /// What it is a part of.
    pub(super) operation: Option<OperationId>,
    pub(super) state: State,
    pub(super) cancel_requested: bool,
    pub(super) finished: bool,
    pub(super) retry_at: Option<UnixMillis>,
    pub(super) tries: u32,
    pub(super) last_seq: i64,
    journal: Option<String>,
    started_at: Option<i64>,
    ended_at: Option<i64>,
    check_at: Option<i64>,
    finished_at: Option<i64>,
    failure: Option<String>,
    output: Option<String>,
    step: Option<String>,
    entries: i64,
    /// Entries made and not yet written.
    new_entries: Vec<NewEntry>,
    dirty: bool,
    /// Whether it became finished since it was read.
    ends: bool,
}

#[derive(Debug)]
struct NewEntry {
    seq: i64,
    sort: &'static str,
    event: String,
}

static LOAD: Bulk = Bulk::new(
    "SELECT t.id, t.server, t.kind, t.object, t.operation, t.state, t.cancel_requested, t.retry_at, t.finished_at,
            t.tries, t.attempt, t.entries, a.last_seq, a.journal, a.started_at, a.ended_at,
            a.check_at
       FROM task t JOIN attempt a ON a.task = t.id AND a.attempt = t.attempt
      WHERE t.id IN (VALUES",
    1,
    ")",
);

static SAVE_TASK: Bulk = Bulk::new(
    "UPDATE task SET state = v.column2, entries = v.column3, retry_at = v.column4, finished_at = v.column5,
            cancel_requested = v.column6, output = coalesce(v.column7, output),
            failure = coalesce(v.column8, failure), step = coalesce(v.column9, step), waiting = NULL
       FROM (VALUES",
    9,
    ") AS v WHERE task.id = v.column1",
);

static SAVE_ATTEMPT: Bulk = Bulk::new(
    "UPDATE attempt SET state = v.column3, last_seq = v.column4, started_at = v.column5, ended_at = v.column6,
            check_at = v.column7, failure = coalesce(v.column8, failure), journal = coalesce(v.column9, journal)
       FROM (VALUES",
    9,
    ") AS v WHERE attempt.task = v.column1 AND attempt.attempt = v.column2",
);

static INSERT_ENTRIES: Bulk = Bulk::new("INSERT INTO entry (task, seq, sort, event) VALUES", 4, "");

/// The tasks of these ids that there are.
pub(super) async fn load(
    connection: &mut AnyConnection,
    tasks: &[TaskId],
) -> Result<HashMap<TaskId, TaskRow>, sqlx::Error> {
    LOAD.fetch(connection, tasks, |query, task| {
        query.bind(task.to_string())
    })
    .await?
    .iter()
    .map(|row| TaskRow::read(row).map(|task| (task.run.task, task)))
    .collect()
}

/// Writes back what has changed.
pub(super) async fn save(
    tx: &mut Tx<'_>,
    rows: impl Iterator<Item = &TaskRow> + Send,
) -> Result<(), sqlx::Error> {
    let dirty: Vec<&TaskRow> = rows.filter(|row| row.dirty).collect();
    let connection = &mut *tx.connection;
    let mut written = SAVE_TASK
        .execute(connection, &dirty, |query, row| {
            query
                .bind(row.run.task.to_string())
                .bind(row.state.as_str())
                .bind(row.entries)
                .bind(row.retry_at.map(|at| at.0))
                .bind(row.finished_at)
                .bind(i64::from(row.cancel_requested))
                .bind(row.output.clone())
                .bind(row.failure.clone())
                .bind(row.step.clone())
        })
        .await?;
    written += SAVE_ATTEMPT
        .execute(connection, &dirty, |query, row| {
            query
                .bind(row.run.task.to_string())
                .bind(i64::from(row.run.attempt.0))
                .bind(row.state.as_str())
                .bind(row.last_seq)
                .bind(row.started_at)
                .bind(row.ended_at)
                .bind(row.check_at)
                .bind(row.failure.clone())
                .bind(row.journal.clone())
        })
        .await?;
    let entries: Vec<(TaskId, &NewEntry)> = dirty
        .iter()
        .flat_map(|row| row.new_entries.iter().map(|entry| (row.run.task, entry)))
        .collect();
    let inserted = INSERT_ENTRIES
        .execute(connection, &entries, |query, (task, entry)| {
            query
                .bind(task.to_string())
                .bind(entry.seq)
                .bind(entry.sort)
                .bind(entry.event.clone())
        })
        .await?;
    tx.effects.grown.entries += i64::try_from(inserted).unwrap_or(i64::MAX);
    tx.effects.rows += written + inserted;
    let ends = dirty.iter().filter(|row| row.ends);
    tx.effects.ended.extend(ends.map(|row| row.state));
    Ok(())
}

impl TaskRow {
    fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let decode =
            |what: &str, text: &str| sqlx::Error::Decode(format!("{what} {text:?}").into());
        let id: String = row.try_get("id")?;
        let state: String = row.try_get("state")?;
        let attempt: i64 = row.try_get("attempt")?;
        let finished_at: Option<i64> = row.try_get("finished_at")?;
        let operation: Option<String> = row.try_get("operation")?;
        Ok(Self {
            run: Run {
                task: id.parse().map_err(|_| decode("task id", &id))?,
                attempt: Attempt(u32::try_from(attempt).unwrap_or(u32::MAX)),
            },
            server: row.try_get("server")?,
            kind: row.try_get("kind")?,
            object: row.try_get("object")?,
            operation: operation.and_then(|id| id.parse().ok()),
            state: state.parse().map_err(|_| decode("state", &state))?,
            cancel_requested: row.try_get::<i64, _>("cancel_requested")? != 0,
            finished: finished_at.is_some(),
            finished_at,
            retry_at: row.try_get::<Option<i64>, _>("retry_at")?.map(UnixMillis),
            tries: u32::try_from(row.try_get::<i64, _>("tries")?).unwrap_or(u32::MAX),
            last_seq: row.try_get("last_seq")?,
            journal: row.try_get("journal")?,
            started_at: row.try_get("started_at")?,
            ended_at: row.try_get("ended_at")?,
            check_at: row.try_get("check_at")?,
            failure: None,
            output: None,
            step: None,
            entries: row.try_get("entries")?,
            new_entries: Vec::new(),
            dirty: false,
            ends: false,
        })
    }

    /// The attempt after `event`; whether it moved. An event is told to whoever watches, with its time
    /// by the clock of whoever caused it.
    pub(super) fn on(
        &mut self,
        event: Event,
        at: UnixMillis,
        failure: Option<&Failure>,
        policy: &Policy,
        now: UnixMillis,
    ) -> Result<bool, IllegalEvent> {
        let Next::To(state) = self.state.on(event)? else {
            return Ok(false);
        };
        self.state = state;
        self.check_at = Some(now.0 + policy.check_millis);
        // What takes no time is told as a success alone: it began then, too.
        if matches!(state, State::Running | State::Succeeded) {
            self.started_at.get_or_insert(at.0);
        }
        if state.is_terminal() {
            self.ended_at = Some(at.0);
            self.check_at = None;
            if state == State::Interrupted && self.may_be_tried_again(policy) {
                self.retry_at = Some(policy.retry_at(self.tries, now));
            } else {
                self.finished_at = Some(now.0);
                self.finished = true;
                self.ends = true;
            }
        }
        if let Some(failure) = failure {
            self.failure = json(failure);
        }
        let (attempt, finished, retry_at) = (self.run.attempt, self.finished, self.retry_at);
        self.enter(|seq| {
            wire::Event::State(wire::StateEntry {
                seq,
                attempt,
                at,
                state,
                finished,
                retry_at,
                failure: failure.cloned(),
            })
        });
        Ok(true)
    }

    fn may_be_tried_again(&self, policy: &Policy) -> bool {
        let repeatable = self.kind.parse().is_ok_and(Kind::is_repeatable);
        repeatable && !self.cancel_requested && self.tries < policy.attempts
    }

    /// Whether its end, just now, has named what is left of it: a person has abandoned it.
    pub(super) fn leaves_something(&self) -> bool {
        let failure = self.failure.as_deref();
        let failure = failure.and_then(|text| serde_json::from_str::<Failure>(text).ok());
        failure.is_some_and(|failure| !failure.left_behind.is_empty())
    }

    /// No further attempt by itself; the state stays what it is.
    pub(super) fn give_up(&mut self, failure: &Failure, now: UnixMillis) {
        self.retry_at = None;
        self.finished_at = Some(now.0);
        self.finished = true;
        self.ends = true;
        let (attempt, state) = (self.run.attempt, self.state);
        self.enter(|seq| {
            wire::Event::State(wire::StateEntry {
                seq,
                attempt,
                at: now,
                state,
                finished: true,
                retry_at: None,
                failure: Some(failure.clone()),
            })
        });
    }

    /// Adds an entry, numbered, for the log and for whoever watches.
    pub(super) fn enter(&mut self, event: impl FnOnce(i64) -> wire::Event) {
        self.dirty = true;
        self.entries += 1;
        let event = event(self.entries);
        let Some(text) = json(&event) else { return };
        if let wire::Event::Step(step) = &event {
            self.step = json(step);
        }
        self.new_entries.push(NewEntry {
            seq: self.entries,
            sort: event.name(),
            event: text,
        });
    }

    /// The last number given to an entry.
    pub(super) fn entries(&self) -> i64 {
        self.entries
    }

    /// Takes the number of a report, and that there was news.
    pub(super) fn heard(&mut self, seq: i64, policy: &Policy, now: UnixMillis) {
        self.dirty = true;
        self.last_seq = self.last_seq.max(seq);
        if !self.state.is_terminal() {
            self.check_at = Some(now.0 + policy.check_millis);
        }
    }

    /// Whether this journal is the one that tells of the attempt: the first that does.
    pub(super) fn is_told_by(&mut self, journal: &str) -> bool {
        if self.journal.is_none() {
            self.journal = Some(journal.to_owned());
            self.dirty = true;
        }
        self.journal.as_deref() == Some(journal)
    }

    pub(super) fn set_output(&mut self, output: String) {
        self.dirty = true;
        self.output = Some(output);
    }

    pub(super) fn set_cancel_requested(&mut self, requested: bool) {
        self.dirty = true;
        self.cancel_requested = requested;
    }
}

/// Our types hold nothing that JSON cannot write; if one ever did, its text would be missing and nothing else.
pub(super) fn json<T: serde::Serialize>(value: &T) -> Option<String> {
    serde_json::to_string(value).ok()
}
