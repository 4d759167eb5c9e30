//! Backward: undoes what has been begun, newest first, and ends the attempt.
//!
//! Begun by [`super::execute`] when something stops an attempt, by recovery when the worker died in the
//! middle of one, and by an operator's `retry-undo`. Nothing interrupts it.

use kolga_protocol::message::{Failure, StepPhase};

use super::attempt::{Attempt, End, guarded};
use super::patience::{Patience, Worn};
use crate::journal::{Cause, Change, JournalError, Place, StepRow};
use crate::step::UndoError;
use crate::steps;
use kolga_protocol::fault;

/// Undoes an attempt that this process was carrying out. `done` is the step whose end is not journaled.
pub(super) async fn begin(
    attempt: &Attempt,
    cause: Cause,
    done: Option<Place>,
    begun: Vec<StepRow>,
) -> End {
    fault::point("roll_back");
    if begun.is_empty() {
        return rest(attempt, end(attempt, &cause).await);
    }
    let noted = attempt
        .commit_for_sure(|| {
            let mut entry: Vec<Change> = done.clone().map(Change::Done).into_iter().collect();
            entry.push(Change::RollingBack(cause.clone()));
            entry
        })
        .await;
    if noted.is_err() {
        return rest(attempt, noted.map(|()| End::Ended));
    }
    fault::point("rolling_back");
    undo_all(attempt, &cause, begun).await
}

/// Undoes these steps, newest first, and ends the attempt for this cause.
pub(super) async fn undo_all(attempt: &Attempt, cause: &Cause, begun: Vec<StepRow>) -> End {
    for row in begun.into_iter().rev() {
        let StepRow { place, record } = row;
        attempt.at.send_replace(Some(place.clone()));
        attempt.tell(&place, StepPhase::Undoing);
        fault::point(&format!("undo:{}", place.name));
        if let Err(unable) = undo_one(attempt, &place, &record).await {
            let Unable::Stuck(error) = unable else {
                return End::Halted;
            };
            let failure = Failure {
                step: Some(place.name.clone()),
                message: format!(
                    "could not be undone: {:#}. The task had to be rolled back because: {}",
                    error.source, cause.failure.message
                ),
                left_behind: error.left_behind,
            };
            fault::point("stick");
            let stuck = attempt
                .commit_for_sure(|| vec![Change::Stuck(failure.clone())])
                .await;
            return rest(attempt, stuck.map(|()| End::Stuck));
        }
        fault::point(&format!("undone:{}", place.name));
        let noted = attempt
            .commit_for_sure(|| vec![Change::Undone(place.clone())])
            .await;
        if noted.is_err() {
            return rest(attempt, noted.map(|()| End::Ended));
        }
    }
    rest(attempt, end(attempt, cause).await)
}

/// Why a step is not undone.
enum Unable {
    /// Nobody's patience is endless.
    Stuck(UndoError),
    /// The worker goes. The next start goes on with it.
    Halted,
}

async fn undo_one(
    attempt: &Attempt,
    place: &Place,
    record: &serde_json::Value,
) -> Result<(), Unable> {
    let times = if fault::twice("undo") { 2 } else { 1 };
    for _ in 0..times {
        let mut patience = Patience::new(attempt);
        loop {
            let error = match once(attempt, &place.name, record).await {
                Ok(()) => break,
                Err(error) => error,
            };
            let cx = attempt.steady_cx(&place.name);
            cx.log.warn(format!("undoing failed: {:#}", error.source));
            match patience.pause().await {
                Ok(()) => {}
                Err(Worn::Out) => return Err(Unable::Stuck(error)),
                Err(Worn::Halted) => return Err(Unable::Halted),
            }
        }
    }
    Ok(())
}

async fn once(attempt: &Attempt, name: &str, record: &serde_json::Value) -> Result<(), UndoError> {
    let cx = attempt.steady_cx(name);
    fault::fail(&format!("undo:{name}"))
        .map_err(|error| UndoError::leaves(format!("whatever step {name} did"), error))?;
    match guarded(async { Ok(steps::undo(name, &cx, record).await) }).await {
        Ok(undone) => undone,
        Err(panicked) => Err(UndoError::leaves(
            format!("whatever step {name} did"),
            panicked,
        )),
    }
}

async fn end(attempt: &Attempt, cause: &Cause) -> Result<End, JournalError> {
    fault::point("end");
    attempt
        .commit_for_sure(|| {
            vec![Change::Ended {
                event: cause.event,
                failure: Some(cause.failure.clone()),
                output: None,
            }]
        })
        .await?;
    fault::point("ended");
    Ok(End::Ended)
}

/// Where an attempt rests whose journal may have failed it: then it keeps its claims, and the next start
/// goes on from what the journal holds.
fn rest(attempt: &Attempt, outcome: Result<End, JournalError>) -> End {
    match outcome {
        Ok(end) => end,
        Err(error) => {
            tracing::error!(run = %attempt.run, error = &error as &dyn std::error::Error, "left to the next start of the worker");
            End::Halted
        }
    }
}
