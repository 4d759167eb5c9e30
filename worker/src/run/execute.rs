//! Forward: plan, then each step as *look, journal, act*; then the point of no return and the end.
//!
//! Called by [`super::runner`] once an attempt holds its claims and a place in its lane. Whatever stops it
//! goes to [`super::rollback`]; what comes after the point of no return to [`super::finish`].

use kolga_protocol::message::Failure;
use kolga_protocol::state::Event;
use kolga_protocol::task::Params;

use super::attempt::{Attempt, End, failure_at, guarded};
use super::{finish, rollback};
use crate::cx::{StopCause, Stopped};
use crate::journal::{Cause, Change, Place, StepRow};
use crate::plan::Plan;
use crate::step::AnyStep;
use crate::tasks;
use kolga_protocol::fault;

/// Steps that have been begun, oldest first, and the one whose end is not journaled yet.
#[derive(Default)]
struct Progress {
    begun: Vec<StepRow>,
    done: Option<Place>,
}

impl Progress {
    /// What has to go into the next entry.
    fn owed(&mut self) -> Vec<Change> {
        self.done.take().map(Change::Done).into_iter().collect()
    }
}

/// Carries the task out, or leaves nothing of it.
pub(super) async fn execute(attempt: &Attempt, params: &Params) -> End {
    let mut progress = Progress::default();
    match forward(attempt, params, &mut progress).await {
        Ok(end) => end,
        Err(cause) => rollback::begin(attempt, cause, progress.done, progress.begun).await,
    }
}

/// `Err` is why it has to be rolled back.
async fn forward(
    attempt: &Attempt,
    params: &Params,
    progress: &mut Progress,
) -> Result<End, Cause> {
    let cx = attempt.cx(None);
    let planned = tokio::select! {
        planned = guarded(tasks::plan(params, &cx)) => planned,
        () = attempt.stop.wanted() => Err(stopped(attempt)),
    };
    let plan = planned.map_err(|error| cause(attempt, None, &error))?;
    if plan.steps.is_empty() && plan.finals.is_empty() {
        return succeed(attempt, plan, vec![Change::Started]).await;
    }
    // In order before the first step's intent, and so durable with it.
    drop(attempt.log.enter(vec![Change::Started]));
    fault::point("started");
    let total = u16::try_from(plan.steps.len() + plan.finals.len()).unwrap_or(u16::MAX);
    for (position, step) in (1..).zip(&plan.steps) {
        let place = Place {
            position,
            total,
            name: step.name().to_owned(),
        };
        attempt.at.send_replace(Some(place.clone()));
        one_step(attempt, step.as_ref(), place, progress)
            .await
            .map_err(|error| cause(attempt, Some(step.name()), &error))?;
    }
    if plan.finals.is_empty() {
        let owed = progress.owed();
        return succeed(attempt, plan, owed).await;
    }
    commit_to_finals(attempt, plan, progress, total).await
}

async fn one_step(
    attempt: &Attempt,
    step: &dyn AnyStep,
    place: Place,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let name = step.name();
    attempt.stop.check()?;
    let cx = attempt.cx(Some(name));
    fault::point(&format!("inspect:{name}"));
    fault::fail(&format!("inspect:{name}"))?;
    let record = tokio::select! {
        found = guarded(step.inspect(&cx)) => found?,
        // It only looks, so it may be dropped anywhere.
        () = attempt.stop.wanted() => return Err(stopped(attempt)),
    };
    let row = StepRow {
        place: place.clone(),
        record,
    };
    let mut entry = progress.owed();
    entry.push(Change::Intent(row.clone()));
    fault::point(&format!("intend:{name}"));
    // Before the commit: if it fails it may be on disk all the same, and undoing it harms nothing.
    progress.begun.push(row);
    attempt.commit(entry).await?;
    fault::point(&format!("intended:{name}"));
    fault::fail(&format!("apply:{name}"))?;
    let record = &progress.begun[progress.begun.len() - 1].record;
    guarded(step.apply(&cx, record)).await?;
    fault::point(&format!("applied:{name}"));
    fault::fail(&format!("applied:{name}"))?;
    progress.done = Some(place);
    Ok(())
}

/// The end of a task that needs no point of no return of its own.
async fn succeed(attempt: &Attempt, plan: Plan, mut entry: Vec<Change>) -> Result<End, Cause> {
    let output = (plan.output)().map_err(|error| cause(attempt, None, &error))?;
    attempt
        .pass_point_of_no_return()
        .map_err(|why| cause(attempt, None, &Stopped(why).into()))?;
    fault::point("end");
    entry.push(Change::Ended {
        event: Event::Succeeded,
        failure: None,
        output: Some(output.to_payload()),
    });
    attempt
        .commit(entry)
        .await
        .map_err(|error| cause(attempt, None, &error.into()))?;
    fault::point("ended");
    Ok(End::Ended)
}

/// Makes the final steps and the result durable, and from there on only goes forward.
async fn commit_to_finals(
    attempt: &Attempt,
    plan: Plan,
    progress: &mut Progress,
    total: u16,
) -> Result<End, Cause> {
    let mut finals = Vec::with_capacity(plan.finals.len());
    for (index, step) in plan.finals.iter().enumerate() {
        let name = step.name();
        let failed = |error: &anyhow::Error| cause(attempt, Some(name), error);
        fault::point(&format!("inspect:{name}"));
        fault::fail(&format!("inspect:{name}")).map_err(|ordered| failed(&ordered.into()))?;
        let cx = attempt.cx(Some(name));
        let record = guarded(step.inspect(&cx))
            .await
            .map_err(|error| failed(&error))?;
        finals.push(StepRow {
            place: Place {
                position: u16::try_from(plan.steps.len() + index + 1).unwrap_or(u16::MAX),
                total,
                name: name.to_owned(),
            },
            record,
        });
    }
    let output = (plan.output)().map_err(|error| cause(attempt, None, &error))?;
    let output = output.to_payload();
    attempt
        .pass_point_of_no_return()
        .map_err(|why| cause(attempt, None, &Stopped(why).into()))?;
    let mut entry = progress.owed();
    entry.push(Change::PointOfNoReturn {
        finals: finals.clone(),
        output: output.clone(),
    });
    fault::point("commit");
    attempt
        .commit(entry)
        .await
        .map_err(|error| cause(attempt, None, &error.into()))?;
    fault::point("committed");
    Ok(finish::finish(attempt, finals, &output).await)
}

fn stopped(attempt: &Attempt) -> anyhow::Error {
    Stopped(attempt.stop.cause().unwrap_or(StopCause::Shutdown)).into()
}

/// How an attempt ends that met this error. Once it was told to stop, that is the reason, whatever its
/// step says on the way out.
fn cause(attempt: &Attempt, step: Option<&str>, error: &anyhow::Error) -> Cause {
    let told = attempt.stop.cause();
    let failure = match told {
        Some(why) => Failure {
            step: step.map(str::to_owned),
            message: Stopped(why).to_string(),
            left_behind: Vec::new(),
        },
        None => failure_at(step, error),
    };
    let event = match told {
        Some(StopCause::Cancelled) => Event::Cancelled,
        Some(StopCause::Shutdown) => Event::Interrupted,
        Some(StopCause::TimedOut) | None => Event::Failed,
    };
    Cause { event, failure }
}
