//! How an attempt goes on by one durable write or one effect: the order of the real executor, rollback and
//! finish (`worker/src/run/`), entered into the real journal.

use anyhow::{Context, Result, ensure};
use kolga_protocol::id::Run;
use kolga_protocol::message::Failure;
use kolga_protocol::state::Event;
use kolga_worker::journal::{Cause, Change};

use super::phase::{Back, Finish, Forward, Phase, Stage};
use super::plan::{self, Plan};
use super::tally::Tally;
use super::truth::Truth;
use super::worker::Worker;

/// What follows from one move.
enum Then {
    /// It is in this phase.
    Is(Phase),
    /// It has ended.
    Ended(Event),
}

impl Worker {
    /// One move of an attempt that is at work; with `fails` what it tries fails.
    ///
    /// # Errors
    /// When something happens that must not.
    pub async fn work(
        &mut self,
        run: Run,
        fails: bool,
        truth: &mut Truth,
        tally: &Tally,
    ) -> Result<()> {
        let task = truth.tasks.get(&run.task);
        let plan = task.with_context(|| format!("{run} is nobody's"))?.plan;
        let tracked = self.attempts.get_mut(&run);
        let tracked = tracked.with_context(|| format!("{run} is not there"))?;
        let output = plan::output(&tracked.params);
        let phase = std::mem::replace(&mut tracked.phase, Phase::Stuck);
        let then = match phase {
            Phase::Forward(forward) => {
                self.forward(run, plan, forward, fails, output, truth, tally)
                    .await?
            }
            Phase::Back(back) => self.back(run, back, fails, tally).await?,
            Phase::Finish(finish) => self.finish(run, finish, fails, tally).await?,
            idle => Then::Is(idle),
        };
        match then {
            Then::Is(phase) => {
                if matches!(phase, Phase::Stuck) {
                    self.schedule.keep_claims_only(run);
                    self.recovering.remove(&run);
                }
                if let Some(tracked) = self.attempts.get_mut(&run) {
                    tracked.phase = phase;
                }
            }
            Then::Ended(event) => {
                tally.fired(if event == Event::Succeeded {
                    "a task happened whole"
                } else {
                    "a task was rolled back whole"
                });
                truth.life(run, self.generation).ended = Some(event);
                self.schedule.remove(run);
                self.attempts.remove(&run);
                self.recovering.remove(&run);
            }
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments)]
    async fn forward(
        &mut self,
        run: Run,
        plan: Plan,
        mut forward: Forward,
        fails: bool,
        output: kolga_protocol::task::Payload,
        truth: &mut Truth,
        tally: &Tally,
    ) -> Result<Then> {
        // What acts cannot be stopped between its effect and its return.
        let acts = matches!(forward.stage, Stage::Act(_));
        if let Some(event) = forward.stop.filter(|_| !acts) {
            let failure = Failure::plain("told to stop");
            return self.turn_back(run, forward, Cause { event, failure }).await;
        }
        let failed = |position: u16| Cause {
            event: Event::Failed,
            failure: plan::failure(&plan.place(position), "it failed"),
        };
        if fails && !acts {
            tally.fired("a step failed");
            return self.turn_back(run, forward, failed(1)).await;
        }
        let end = Change::Ended {
            event: Event::Succeeded,
            failure: None,
            output: Some(output.clone()),
        };
        let mut entry: Vec<Change> = forward.owed.take().map(Change::Done).into_iter().collect();
        match forward.stage {
            Stage::Start => {
                truth.starts(run, self.generation)?;
                entry.push(Change::Started);
                if plan.steps + plan.finals == 0 {
                    entry.push(end);
                    self.enter(run, entry).await?;
                    return Ok(Then::Ended(Event::Succeeded));
                }
                self.enter(run, entry).await?;
                forward.stage = Stage::Intend(1);
            }
            Stage::Intend(position) if position <= plan.steps => {
                let row = plan.row(position);
                entry.push(Change::Intent(row.clone()));
                forward.begun.push(row);
                self.enter(run, entry).await?;
                forward.stage = Stage::Act(position);
            }
            Stage::Intend(_) if plan.finals > 0 => {
                entry.push(Change::PointOfNoReturn {
                    finals: plan.final_rows(),
                    output,
                });
                self.enter(run, entry).await?;
                return Ok(Then::Is(Phase::Finish(Finish {
                    resumes: false,
                    left: plan.final_rows().into(),
                    done: None,
                })));
            }
            Stage::Intend(_) => {
                entry.push(end);
                self.enter(run, entry).await?;
                return Ok(Then::Ended(Event::Succeeded));
            }
            Stage::Act(position) => {
                self.take_effect(run, position, truth)?;
                if fails {
                    tally.fired("a step failed");
                    return self.turn_back(run, forward, failed(position)).await;
                }
                forward.owed = Some(plan.place(position));
                forward.stage = Stage::Intend(position + 1);
            }
        }
        Ok(Then::Is(Phase::Forward(forward)))
    }

    /// A step's effect on the machine.
    fn take_effect(&mut self, run: Run, position: u16, truth: &mut Truth) -> Result<()> {
        truth.applies(run, self.generation, position)?;
        for (other, lives) in truth.runs(run.task) {
            let excused = lives.values().any(|life| life.abandoned)
                || truth.is_in_doubt(other, self.generation);
            ensure!(
                other == run || excused || !self.effects.contains_key(&other),
                "{run} takes effect beside what {other} did"
            );
        }
        self.effects.entry(run).or_default().insert(position);
        Ok(())
    }

    async fn turn_back(&mut self, run: Run, forward: Forward, cause: Cause) -> Result<Then> {
        let back = Back {
            cause,
            noted: false,
            owed: forward.owed,
            left: forward.begun,
            undone: None,
        };
        self.note_back(run, back).await
    }

    /// Notes that it is rolled back, or ends it where there is nothing to undo.
    async fn note_back(&mut self, run: Run, mut back: Back) -> Result<Then> {
        if back.left.is_empty() {
            return self.end_back(run, back.cause).await;
        }
        let mut entry: Vec<Change> = back.owed.take().map(Change::Done).into_iter().collect();
        entry.push(Change::RollingBack(back.cause.clone()));
        self.enter(run, entry).await?;
        back.noted = true;
        Ok(Then::Is(Phase::Back(back)))
    }

    async fn end_back(&mut self, run: Run, cause: Cause) -> Result<Then> {
        let Cause { event, failure } = cause;
        let end = Change::Ended {
            event,
            failure: Some(failure),
            output: None,
        };
        self.enter(run, vec![end]).await?;
        Ok(Then::Ended(event))
    }

    async fn back(&mut self, run: Run, mut back: Back, fails: bool, tally: &Tally) -> Result<Then> {
        if !back.noted {
            return self.note_back(run, back).await;
        }
        if let Some(place) = back.undone.take() {
            self.enter(run, vec![Change::Undone(place)]).await?;
            return Ok(Then::Is(Phase::Back(back)));
        }
        let Some(row) = back.left.pop() else {
            return self.end_back(run, back.cause).await;
        };
        if fails {
            tally.fired("an undo failed");
            let failure = plan::failure(&row.place, "it could not be undone");
            self.enter(run, vec![Change::Stuck(failure)]).await?;
            return Ok(Then::Is(Phase::Stuck));
        }
        if let Some(effects) = self.effects.get_mut(&run) {
            effects.remove(&row.place.position);
            if effects.is_empty() {
                self.effects.remove(&run);
            }
        }
        back.undone = Some(row.place);
        Ok(Then::Is(Phase::Back(back)))
    }

    async fn finish(
        &mut self,
        run: Run,
        mut finish: Finish,
        fails: bool,
        tally: &Tally,
    ) -> Result<Then> {
        if std::mem::take(&mut finish.resumes) {
            self.enter(run, vec![Change::Resumed]).await?;
            return Ok(Then::Is(Phase::Finish(finish)));
        }
        if let Some(place) = finish.done.take() {
            self.enter(run, vec![Change::Finished(place)]).await?;
            return Ok(Then::Is(Phase::Finish(finish)));
        }
        let Some(row) = finish.left.pop_front() else {
            let end = Change::Ended {
                event: Event::Succeeded,
                failure: None,
                output: None,
            };
            self.enter(run, vec![end]).await?;
            return Ok(Then::Ended(Event::Succeeded));
        };
        if fails {
            tally.fired("a final step failed");
            let failure = plan::failure(&row.place, "it could not be finished");
            self.enter(run, vec![Change::Stuck(failure)]).await?;
            return Ok(Then::Is(Phase::Stuck));
        }
        // Finishing twice is finishing once: a death before its note has it done again.
        self.effects
            .entry(run)
            .or_default()
            .insert(row.place.position);
        finish.done = Some(row.place);
        Ok(Then::Is(Phase::Finish(finish)))
    }

    async fn enter(&mut self, run: Run, changes: Vec<Change>) -> Result<()> {
        Ok(self.port()?.enter(run, changes).await?)
    }

    /// An operator has a stuck attempt tried again.
    ///
    /// # Errors
    /// When the journal does not have it.
    pub async fn retry_undo(&mut self, run: Run, tally: &Tally) -> Result<()> {
        let live = self.port()?.live().await?;
        let task = live.into_iter().find(|(task, _)| task.run == run);
        let (task, _) = task.with_context(|| format!("the journal has lost {run}"))?;
        tally.fired("an operator had an undo tried again");
        self.schedule.start_regardless(run);
        if let Some(tracked) = self.attempts.get_mut(&run) {
            tracked.phase = Phase::from_journal(task);
        }
        Ok(())
    }

    /// An operator gives a stuck attempt up.
    ///
    /// # Errors
    /// When the journal refuses it.
    pub async fn abandon(&mut self, run: Run, truth: &mut Truth, tally: &Tally) -> Result<()> {
        tally.fired("an operator abandoned a stuck task");
        let end = Change::Ended {
            event: Event::Failed,
            failure: Some(Failure::plain("abandoned")),
            output: None,
        };
        self.enter(run, vec![end]).await?;
        let life = truth.life(run, self.generation);
        life.ended = Some(Event::Failed);
        life.abandoned = true;
        self.schedule.remove(run);
        self.attempts.remove(&run);
        Ok(())
    }
}
