//! What a person may change about an attempt: cancel it (through the hub), or decide about a stuck one (on
//! the spoke).

use std::time::Instant;

use kolga_protocol::id::Run;
use kolga_protocol::message::{Failure, ReportBody};
use kolga_protocol::state::Event;

use super::actor::{Actor, Phase, ended};
use super::recover::{back_or_forward, unfinished};
use super::runner::Verdict;
use crate::cx::StopCause;
use crate::journal::{Change, Commit, Entry, LiveTask, Reader};

/// What a cancel led to.
pub(super) enum Cancel {
    /// There is no such attempt.
    Unknown,
    /// It is being rolled back.
    Stopping,
    /// It ended, or the cancel was refused; the hub will be told once this is durable.
    Told(Commit),
}

impl Actor {
    pub(super) fn cancel(&mut self, run: Run, by: &str) -> Cancel {
        let Some(tracked) = self.attempts.get(&run) else {
            return Cancel::Unknown;
        };
        let refused = match &tracked.phase {
            Phase::Waiting(_) => {
                let reason = format!("cancelled by {by}");
                return Cancel::Told(self.drop_waiting(run, Event::Cancelled, reason));
            }
            Phase::Running { attempt, .. } if attempt.interrupt(StopCause::Cancelled) => {
                return Cancel::Stopping;
            }
            Phase::Running { .. } => {
                "it is past its point of no return: what it removes cannot come back, so it is finished"
            }
            Phase::Stuck => {
                "it is stuck: run `kolga-worker journal retry-undo` or `abandon` on its server"
            }
        };
        let reason = refused.to_owned();
        Cancel::Told(self.journal.enter(Entry {
            run,
            changes: vec![Change::Report(ReportBody::CancelRefused { reason })],
        }))
    }

    /// Ends an attempt that never began.
    pub(super) fn drop_waiting(&mut self, run: Run, event: Event, message: String) -> Commit {
        self.schedule.remove(run);
        if self.attempts.remove(&run).is_some() {
            self.counts.waiting -= 1;
        }
        self.journal.enter(Entry {
            run,
            changes: vec![ended(event, message)],
        })
    }

    async fn stuck(&self, run: Run) -> Result<LiveTask, String> {
        match self.attempts.get(&run).map(|tracked| &tracked.phase) {
            None => {
                return Err(format!(
                    "no attempt {run} is waiting, running or stuck here"
                ));
            }
            Some(Phase::Stuck) => {}
            Some(_) => return Err(format!("{run} is not stuck")),
        }
        let mut reader = Reader::open(&self.journal_path)
            .await
            .map_err(|error| error.to_string())?;
        let live = reader.live().await.map_err(|error| error.to_string())?;
        live.into_iter()
            .find(|task| task.run == run)
            .ok_or_else(|| format!("the journal does not hold {run} any more"))
    }

    pub(super) async fn retry_undo(&mut self, run: Run) -> Verdict {
        let task = self.stuck(run).await?;
        let attempt = self.attempt_at(&task);
        if let Some(tracked) = self.attempts.get_mut(&run) {
            tracked.phase = Phase::Running {
                attempt: attempt.clone(),
                since: Instant::now(),
            };
        }
        self.schedule.start_regardless(run);
        self.counts.stuck -= 1;
        self.counts.running += 1;
        self.spawn(run, async move { back_or_forward(&attempt, task).await });
        Ok(())
    }

    pub(super) async fn abandon(&mut self, run: Run, comment: &str) -> Verdict {
        let task = self.stuck(run).await?;
        let left: Vec<String> = unfinished(&task.steps)
            .map(|row| format!("whatever step {} did", row.place.name))
            .collect();
        let failure = Failure {
            step: None,
            message: format!("abandoned by an operator: {comment}"),
            left_behind: left,
        };
        self.journal
            .enter(Entry {
                run,
                changes: vec![Change::Ended {
                    event: Event::Failed,
                    failure: Some(failure),
                    output: None,
                }],
            })
            .durable()
            .await
            .map_err(|error| error.to_string())?;
        self.counts.stuck -= 1;
        self.schedule.remove(run);
        self.attempts.remove(&run);
        Ok(())
    }
}
