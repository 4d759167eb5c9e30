//! How an attempt enters the journal: taken, recognised, refused, or cancelled before it came.

use kolga_protocol::envelope;
use kolga_protocol::id::{Run, UnixMillis};
use kolga_protocol::message::{Failure, ReportBody, Reports, StateReport};
use kolga_protocol::state::{Event, Next, State};
use sqlx::SqliteConnection;

use super::JournalError;
use super::entry::{Incoming, Taken};
use super::rows::stored;
use super::stage::{Gathered, Live, Staged};

/// A new row, unless the attempt or a newer one is known.
pub(super) async fn accept(
    connection: &mut SqliteConnection,
    incoming: Incoming,
    now: UnixMillis,
    gathered: &mut Gathered,
) -> Result<Taken, JournalError> {
    let Incoming { message, refusal } = incoming;
    let run = message.run;
    let known: Option<(i64, String)> = sqlx::query_as(
        "SELECT attempt, state FROM task WHERE task = $1 AND attempt >= $2 ORDER BY attempt LIMIT 1",
    )
    .bind(run.task.as_bytes().as_slice())
    .bind(i64::from(run.attempt.0))
    .fetch_optional(&mut *connection)
    .await?;
    let refusal = match known {
        Some((attempt, _)) if attempt == i64::from(run.attempt.0) => {
            return resend(connection, run, gathered).await;
        }
        Some((newer, _)) => Some(format!(
            "attempt {newer} of this task is known here, so attempt {} is not run any more",
            run.attempt
        )),
        None => refusal,
    };
    let mut staged = Staged::of(Live {
        run,
        state: State::Sent,
        last_seq: 0,
        output: None,
        has_steps: false,
    });
    let (event, failure) = match refusal {
        None => (Event::Accepted, None),
        Some(reason) => (Event::Rejected, Some(Failure::plain(reason))),
    };
    staged.take_first(event, failure)?;
    let sealed = (event == Event::Accepted).then(|| envelope::seal(&message));
    insert(connection, &staged, &message.payload.kind, sealed, now).await?;
    let taken = if event == Event::Accepted {
        Taken::Accepted
    } else {
        Taken::Rejected
    };
    gathered.reports.append(&mut staged.reports);
    gathered.live.insert(run, staged.live);
    Ok(taken)
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
    let mut staged = Staged::of(Live {
        run,
        state: State::Sent,
        last_seq: 0,
        output: None,
        has_steps: false,
    });
    let failure = Failure::plain("cancelled before the worker had it");
    staged.take_first(Event::Cancelled, Some(failure))?;
    insert(connection, &staged, "", None, now).await?;
    gathered.reports.append(&mut staged.reports);
    Ok(())
}

impl Staged {
    /// The event with which an attempt enters the journal.
    fn take_first(&mut self, event: Event, failure: Option<Failure>) -> Result<(), JournalError> {
        match self.live.state.on(event) {
            Ok(Next::To(state)) => self.live.state = state,
            _ => {
                return Err(JournalError::Illegal {
                    run: self.live.run,
                    reason: format!("it cannot begin with {event}"),
                });
            }
        }
        self.report(ReportBody::State(StateReport {
            event,
            failure,
            output: None,
        }));
        if self.live.state.is_terminal() {
            self.result = self.reports.last().cloned();
        }
        Ok(())
    }
}

async fn insert(
    connection: &mut SqliteConnection,
    staged: &Staged,
    kind: &str,
    message: Option<Vec<u8>>,
    now: UnixMillis,
) -> Result<(), JournalError> {
    sqlx::query(
        "INSERT INTO task (task, attempt, kind, message, state, last_seq, result, accepted_at, ended_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(staged.live.run.task.as_bytes().as_slice())
    .bind(i64::from(staged.live.run.attempt.0))
    .bind(kind.chars().take(64).collect::<String>())
    .bind(message)
    .bind(staged.live.state.as_str())
    .bind(staged.live.last_seq.cast_signed())
    .bind(staged.result.as_ref().map(stored))
    .bind(now.0)
    .bind(staged.live.state.is_terminal().then_some(now.0))
    .execute(connection)
    .await?;
    Ok(())
}
