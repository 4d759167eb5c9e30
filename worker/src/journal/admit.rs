//! How an attempt enters the journal: taken, recognised, refused, or cancelled before it came.

use std::collections::{BTreeSet, HashMap};

use kolga_protocol::envelope;
use kolga_protocol::id::{Attempt, Run, TaskId, UnixMillis};
use kolga_protocol::message::{Failure, ReportBody, Reports, StateReport};
use kolga_protocol::state::{Event, Next, State};
use sqlx::{Row as _, SqliteConnection};

use super::JournalError;
use super::bulk::Bulk;
use super::entry::{Arrival, Incoming, Taken};
use super::rows::{run_of, stored};
use super::stage::{Gathered, Live, Staged};

/// New rows, except for attempts that are known or older than one that is known. With few statements for
/// many messages: a round to the database costs far more than a row.
pub(super) async fn accept(
    connection: &mut SqliteConnection,
    arrivals: &[Arrival],
    now: UnixMillis,
    gathered: &mut Gathered,
) -> Result<Vec<Taken>, JournalError> {
    let mut known = known(connection, arrivals).await?;
    let mut taken = Vec::with_capacity(arrivals.len());
    let mut rows = Vec::with_capacity(arrivals.len());
    let mut fresh: HashMap<Run, State> = HashMap::with_capacity(arrivals.len());
    for Arrival { incoming, result } in arrivals {
        let Incoming { message, refusal } = incoming;
        let run = message.run;
        let attempts = known.entry(run.task).or_default();
        let newer = attempts.range(run.attempt..).next().copied();
        if newer == Some(run.attempt) {
            taken.push(match fresh.get(&run) {
                // Twice in one batch: what there is to tell goes out with the first.
                Some(state) if state.is_terminal() => Taken::AlreadyEnded,
                Some(_) => Taken::Known,
                None => resend(connection, run, gathered).await?,
            });
            continue;
        }
        let refusal = match newer {
            Some(newer) => Some(format!(
                "attempt {newer} of this task is known here, so attempt {} is not run any more",
                run.attempt
            )),
            None => refusal.clone(),
        };
        attempts.insert(run.attempt);
        let mut staged = Staged::new(run);
        let sealed = match (refusal, result) {
            (Some(reason), _) => {
                let failure = Failure::plain(reason);
                staged.take_first(StateReport::because(Event::Rejected, failure))?;
                None
            }
            (None, Some(output)) => {
                staged.take_first(StateReport {
                    event: Event::Succeeded,
                    failure: None,
                    output: Some(output.clone()),
                })?;
                None
            }
            (None, None) => {
                staged.take_first(StateReport::bare(Event::Accepted))?;
                Some(envelope::seal(message))
            }
        };
        fresh.insert(run, staged.live.state);
        taken.push(match staged.live.state {
            State::Rejected => Taken::Rejected,
            _ => Taken::Accepted,
        });
        rows.push(NewRow::of(&mut staged, &message.payload.kind, sealed));
        gathered.reports.append(&mut staged.reports);
        if !staged.live.state.is_terminal() {
            gathered.live.insert(run, staged.live);
        }
    }
    insert(connection, &rows, now).await?;
    Ok(taken)
}

/// The attempts that the journal knows of these tasks.
async fn known(
    connection: &mut SqliteConnection,
    arrivals: &[Arrival],
) -> Result<HashMap<TaskId, BTreeSet<Attempt>>, JournalError> {
    static KNOWN: Bulk = Bulk::new(
        "SELECT task, attempt FROM task WHERE task IN (VALUES",
        1,
        ")",
    );
    let rows = KNOWN
        .fetch(connection, arrivals, |query, arrival| {
            query.bind(arrival.incoming.message.run.task.as_bytes().to_vec())
        })
        .await?;
    let mut known: HashMap<TaskId, BTreeSet<Attempt>> = HashMap::with_capacity(arrivals.len());
    for row in rows {
        let run = run_of(row.try_get(0)?, row.try_get(1)?)?;
        known.entry(run.task).or_default().insert(run.attempt);
    }
    Ok(known)
}

/// A message, or a question, about an attempt that is known: the result goes out again if there is one.
pub(super) async fn resend(
    connection: &mut SqliteConnection,
    run: Run,
    gathered: &mut Gathered,
) -> Result<Taken, JournalError> {
    let result: Option<Vec<u8>> = sqlx::query_scalar(
        "SELECT result FROM task WHERE task = $1 AND attempt = $2 AND ended_at IS NOT NULL",
    )
    .bind(run.task.as_bytes().as_slice())
    .bind(i64::from(run.attempt.0))
    .fetch_optional(&mut *connection)
    .await?
    .flatten();
    let Some(sealed) = result else {
        return Ok(Taken::Known);
    };
    let reports: Reports = envelope::open(&sealed)
        .map_err(|error| JournalError::Corrupt(format!("the result of {run}: {error}")))?;
    gathered.reports.extend(reports.items);
    Ok(Taken::AlreadyEnded)
}

/// Keeps the place of an attempt that is not wanted any more, so that its message finds it ended.
pub(super) async fn cancel_unseen(
    connection: &mut SqliteConnection,
    run: Run,
    now: UnixMillis,
    gathered: &mut Gathered,
) -> Result<(), JournalError> {
    let known: Option<i64> =
        sqlx::query_scalar("SELECT 1 FROM task WHERE task = $1 AND attempt >= $2 LIMIT 1")
            .bind(run.task.as_bytes().as_slice())
            .bind(i64::from(run.attempt.0))
            .fetch_optional(&mut *connection)
            .await?;
    if known.is_some() {
        return Ok(());
    }
    let mut staged = Staged::new(run);
    let failure = Failure::plain("cancelled before the worker had it");
    staged.take_first(StateReport::because(Event::Cancelled, failure))?;
    let row = NewRow::of(&mut staged, "", None);
    insert(connection, &[row], now).await?;
    gathered.reports.append(&mut staged.reports);
    Ok(())
}

impl Staged {
    /// An attempt that the journal has not seen.
    fn new(run: Run) -> Self {
        Self::of(Live {
            run,
            state: State::Sent,
            last_seq: 0,
            output: None,
            has_steps: false,
        })
    }

    /// The event with which an attempt enters the journal.
    fn take_first(&mut self, report: StateReport) -> Result<(), JournalError> {
        match self.live.state.on(report.event) {
            Ok(Next::To(state)) => self.live.state = state,
            _ => {
                return Err(JournalError::Illegal {
                    run: self.live.run,
                    reason: format!("it cannot begin with {}", report.event),
                });
            }
        }
        self.report(ReportBody::State(report));
        if self.live.state.is_terminal() {
            self.result = self.reports.last().cloned();
        }
        Ok(())
    }
}

/// A row that an attempt enters the journal with.
struct NewRow {
    run: Run,
    kind: String,
    message: Option<Vec<u8>>,
    state: State,
    last_seq: u64,
    result: Option<Vec<u8>>,
}

impl NewRow {
    fn of(staged: &mut Staged, kind: &str, message: Option<Vec<u8>>) -> Self {
        Self {
            run: staged.live.run,
            kind: kind.chars().take(64).collect(),
            message,
            state: staged.live.state,
            last_seq: staged.live.last_seq,
            result: staged.result.take().map(stored),
        }
    }
}

async fn insert(
    connection: &mut SqliteConnection,
    rows: &[NewRow],
    now: UnixMillis,
) -> Result<(), JournalError> {
    static INSERT: Bulk = Bulk::new(
        "INSERT INTO task (task, attempt, kind, message, state, last_seq, result, accepted_at, ended_at)
         VALUES",
        9,
        "",
    );
    INSERT
        .execute(connection, rows, |query, row| {
            query
                .bind(row.run.task.as_bytes().to_vec())
                .bind(i64::from(row.run.attempt.0))
                .bind(row.kind.clone())
                .bind(row.message.clone())
                .bind(row.state.as_str())
                .bind(row.last_seq.cast_signed())
                .bind(row.result.clone())
                .bind(now.0)
                .bind(row.state.is_terminal().then_some(now.0))
        })
        .await?;
    Ok(())
}
