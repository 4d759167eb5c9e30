//! Past the point of no return: final steps are done one after the other, each tried until it succeeds.
//!
//! Handed attempts by [`super::execute`], by recovery, and by an operator's `retry-undo`.

use kolga_protocol::message::{Failure, StepPhase};
use kolga_protocol::state::Event;
use kolga_protocol::task::Payload;

use super::attempt::{Attempt, End, guarded};
use super::patience::{Patience, Worn};
use crate::journal::{Change, JournalError, Place, StepRow};
use crate::{steps, tasks};
use kolga_protocol::fault;

/// Does these and ends the attempt as a success, with this result.
pub(super) async fn finish(attempt: &Attempt, finals: Vec<StepRow>, output: &Payload) -> End {
    match all(attempt, finals, output).await {
        Ok(end) => end,
        Err(error) => {
            tracing::error!(run = %attempt.run, error = &error as &dyn std::error::Error, "left to the next start of the worker");
            End::Halted
        }
    }
}

async fn all(
    attempt: &Attempt,
    finals: Vec<StepRow>,
    output: &Payload,
) -> Result<End, JournalError> {
    for StepRow { place, record } in finals {
        attempt.at.send_replace(Some(place.clone()));
        attempt.tell(&place, StepPhase::Applying);
        if let Some(end) = until_done(attempt, &place, &record).await? {
            return Ok(end);
        }
        fault::point(&format!("finished:{}", place.name));
        attempt
            .commit_for_sure(|| vec![Change::Finished(place.clone())])
            .await?;
    }
    fault::point("end");
    let output = tasks::at_the_end(output, &attempt.cx(None)).unwrap_or_else(|error| {
        let error = format!("{error:#}");
        tracing::error!(run = %attempt.run, error, "what the final steps have left is not told");
        None
    });
    attempt
        .commit_for_sure(|| {
            vec![Change::Ended {
                event: Event::Succeeded,
                failure: None,
                output: output.clone(),
            }]
        })
        .await?;
    fault::point("ended");
    Ok(End::Ended)
}

/// `None` when it is done; where the attempt rests otherwise.
async fn until_done(
    attempt: &Attempt,
    place: &Place,
    record: &serde_json::Value,
) -> Result<Option<End>, JournalError> {
    let name = &place.name;
    let cx = attempt.steady_cx(name);
    let mut patience = Patience::new(attempt);
    loop {
        fault::point(&format!("finish:{name}"));
        let done = match fault::fail(&format!("finish:{name}")) {
            Ok(()) => guarded(steps::finish(name, &cx, record)).await,
            Err(ordered) => Err(ordered.into()),
        };
        let Err(error) = done else { return Ok(None) };
        cx.log.warn(format!("{error:#}"));
        attempt.tell(place, StepPhase::Retrying);
        match patience.pause().await {
            Ok(()) => {}
            Err(Worn::Halted) => return Ok(Some(End::Halted)),
            Err(Worn::Out) => {
                let failure = Failure {
                    step: Some(name.clone()),
                    message: format!(
                        "the task is past its point of no return and this step cannot be finished: {error:#}"
                    ),
                    left_behind: Vec::new(),
                };
                attempt
                    .commit_for_sure(|| vec![Change::Stuck(failure.clone())])
                    .await?;
                return Ok(Some(End::Stuck));
            }
        }
    }
}
