//! At start: takes over what the journal says has not ended. What waited waits again; what ran is rolled
//! back, or finished when it is past its point of no return; what is stuck keeps its objects locked.

use std::time::Instant;

use kolga_protocol::fault;
use kolga_protocol::message::Failure;
use kolga_protocol::object::Lane;
use kolga_protocol::state::{Event, State};
use kolga_protocol::task::Params;
use tokio::sync::oneshot;

use super::actor::{Actor, Phase, Tracked};
use super::attempt::{Attempt, End};
use super::runner::Accepted;
use super::{finish, rollback};
use crate::journal::{Cause, Change, LiveTask, StepRow, StoredStep};
use crate::process;
use crate::recipe;

impl Actor {
    pub(super) async fn recover(&mut self, live: Vec<LiveTask>, done: oneshot::Sender<()>) {
        self.recovered = Some(done);
        for task in live {
            let run = task.run;
            let params = Params::from_payload(&task.message.payload);
            match (task.state, params) {
                (State::Accepted, Ok(params)) => self.enqueue(Accepted {
                    message: task.message,
                    params,
                }),
                (State::Accepted, Err(error)) => {
                    let reason =
                        format!("{error}: the worker was replaced by one that does not know it");
                    // If this is lost, the next start says it again.
                    drop(self.drop_waiting(run, Event::Failed, reason));
                }
                (_, params) => self.resume(task, params.ok()).await,
            }
        }
        self.recovery_may_be_over();
    }

    /// Goes on with an attempt that a former process left in the middle.
    async fn resume(&mut self, task: LiveTask, params: Option<Params>) {
        let run = task.run;
        let claims = params.as_ref().map(recipe::claims_held);
        let claims = claims.unwrap_or_default();
        let lane = params.map_or(Lane::Heavy, |p| p.lane());
        // What has begun is held by no gate.
        self.schedule.add(run, &claims, lane, false);
        let mut tracked = Tracked {
            kind: task.message.payload.kind.clone(),
            objects: claims
                .iter()
                .map(|claim| claim.object.to_string())
                .collect(),
            phase: Phase::Stuck,
        };
        if task.state == State::Stuck {
            // It holds its claims, since those who hold come first in the journal's order.
            self.schedule.start_regardless(run);
            self.schedule.keep_claims_only(run);
            self.counts.stuck += 1;
            self.attempts.insert(run, tracked);
            return;
        }
        let attempt = self.attempt_at(&task);
        tracked.phase = Phase::Running {
            attempt: attempt.clone(),
            since: Instant::now(),
        };
        self.attempts.insert(run, tracked);
        self.schedule.start_regardless(run);
        self.counts.running += 1;
        if task.output.is_none() {
            self.recovering.push(run);
        }
        self.spawn(run, async move {
            fault::point("recover");
            process::kill_leftovers(run).await;
            fault::point("recovering");
            back_or_forward(&attempt, task).await
        });
    }
}

/// What the journal holds of an attempt says which way it goes.
pub(super) async fn back_or_forward(attempt: &Attempt, task: LiveTask) -> End {
    if let Some(output) = &task.output {
        if task.state == State::Stuck
            && attempt
                .commit_for_sure(|| vec![Change::Resumed])
                .await
                .is_err()
        {
            return End::Halted;
        }
        let finals = task
            .steps
            .into_iter()
            .filter(|step| step.state == "final")
            .map(|step| step.row)
            .collect();
        return finish::finish(attempt, finals, output).await;
    }
    let cause = task.cause.unwrap_or_else(|| Cause {
        event: Event::Interrupted,
        failure: Failure::plain("the worker died in the middle of it"),
    });
    let begun: Vec<StepRow> = unfinished(&task.steps).cloned().collect();
    if task.state == State::RollingBack {
        return rollback::undo_all(attempt, &cause, begun).await;
    }
    rollback::begin(attempt, cause, None, begun).await
}

/// Steps that are neither undone nor for after the point of no return.
pub(super) fn unfinished(steps: &[StoredStep]) -> impl Iterator<Item = &StepRow> {
    steps
        .iter()
        .filter(|step| matches!(step.state.as_str(), "intent" | "done"))
        .map(|step| &step.row)
}
