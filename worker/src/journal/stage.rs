//! What one attempt will look like after an entry: judged in memory first, so that a change which cannot
//! be leaves no trace, and written by [`super::writer`] once per transaction.

use std::collections::HashMap;

use kolga_protocol::id::{Run, UnixMillis};
use kolga_protocol::message::{Failure, Report, ReportBody, StateReport, StepPhase, StepReport};
use kolga_protocol::state::{Event, Next, State};
use kolga_protocol::task::Payload;

use super::JournalError;
use super::entry::{Cause, Change, Place, StepRow};

/// An attempt that has not ended, as the writer holds it in memory.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) run: Run,
    pub(super) state: State,
    pub(super) last_seq: u64,
    /// The result, from the point of no return on.
    pub(super) output: Option<Payload>,
    pub(super) has_steps: bool,
}

/// What an entry writes besides the attempt's own row.
#[derive(Debug, PartialEq)]
pub(super) enum StepWrite {
    /// A new row in this state.
    Insert(StepRow, &'static str),
    /// The row of this place is now in this state.
    Mark(u16, &'static str),
}

/// An attempt after an entry, and what has to be written for that.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) live: Live,
    pub(super) cause: Option<Cause>,
    pub(super) committed: bool,
    pub(super) steps: Vec<StepWrite>,
    pub(super) reports: Vec<Report>,
    /// The report that ends it: from the point of no return on with number 0, at the end with its own.
    pub(super) result: Option<Report>,
}

/// What one transaction has gathered.
#[derive(Default)]
pub(super) struct Gathered {
    /// Every attempt that it touches, as it will be.
    pub(super) live: HashMap<Run, Live>,
    /// What goes into the spool.
    pub(super) reports: Vec<Report>,
    /// Whether something has gone into it.
    pub(super) spooled: bool,
}

impl Staged {
    pub(super) fn of(live: Live) -> Self {
        Self {
            live,
            cause: None,
            committed: false,
            steps: Vec::new(),
            reports: Vec::new(),
            result: None,
        }
    }

    /// Takes one more change in.
    pub(super) fn take(&mut self, change: Change) -> Result<(), JournalError> {
        match change {
            Change::Started => self.event(StateReport::bare(Event::Started)),
            Change::Intent(row) => {
                self.step(&row.place, StepPhase::Applying);
                self.live.has_steps = true;
                self.steps.push(StepWrite::Insert(row, "intent"));
                Ok(())
            }
            Change::Done(place) => self.mark(&place, "done", StepPhase::Applied),
            Change::RollingBack(cause) => {
                let failure = cause.failure.clone();
                self.cause = Some(cause);
                self.event(StateReport::because(Event::RollingBack, failure))
            }
            Change::Undone(place) => self.mark(&place, "undone", StepPhase::Undone),
            Change::Stuck(failure) => self.event(StateReport::because(Event::Stuck, failure)),
            Change::Resumed => self.event(StateReport::bare(Event::Resumed)),
            Change::PointOfNoReturn { finals, output } => {
                self.live.has_steps = true;
                for row in finals {
                    self.steps.push(StepWrite::Insert(row, "final"));
                }
                self.result = Some(self.success(0, output.clone()));
                self.committed = true;
                self.live.output = Some(output);
                Ok(())
            }
            Change::Finished(place) => self.mark(&place, "finished", StepPhase::Applied),
            Change::Ended {
                event,
                failure,
                output,
            } => self.end(event, failure, output),
            Change::Report(body) => {
                self.report(body);
                Ok(())
            }
        }
    }

    fn mark(
        &mut self,
        place: &Place,
        state: &'static str,
        phase: StepPhase,
    ) -> Result<(), JournalError> {
        self.step(place, phase);
        self.steps.push(StepWrite::Mark(place.position, state));
        Ok(())
    }

    fn step(&mut self, place: &Place, phase: StepPhase) {
        self.report(ReportBody::Step(StepReport {
            name: place.name.clone(),
            position: place.position,
            total: place.total,
            phase,
        }));
    }

    fn end(
        &mut self,
        event: Event,
        failure: Option<Failure>,
        output: Option<Payload>,
    ) -> Result<(), JournalError> {
        // What is abandoned past its point of no return leaves its result behind.
        let kept = self.live.output.take();
        let output = match event {
            Event::Succeeded => output.or(kept),
            _ => output,
        };
        if (event == Event::Succeeded) != output.is_some() {
            return Err(self.illegal("a result belongs to success, and success needs a result"));
        }
        self.event(StateReport {
            event,
            failure,
            output,
        })?;
        if !self.live.state.is_terminal() {
            return Err(self.illegal("that is not an end"));
        }
        self.result = self.reports.last().cloned();
        Ok(())
    }

    fn event(&mut self, report: StateReport) -> Result<(), JournalError> {
        match self.live.state.on(report.event) {
            Ok(Next::To(state)) => {
                self.live.state = state;
                self.report(ReportBody::State(report));
                Ok(())
            }
            Ok(Next::Stale) => Ok(()),
            Err(illegal) => Err(self.illegal(&illegal.to_string())),
        }
    }

    pub(super) fn report(&mut self, body: ReportBody) {
        self.live.last_seq += 1;
        self.reports.push(Report {
            run: self.live.run,
            seq: self.live.last_seq,
            at: UnixMillis::now(),
            body,
        });
    }

    fn success(&self, seq: u64, output: Payload) -> Report {
        Report {
            run: self.live.run,
            seq,
            at: UnixMillis::now(),
            body: ReportBody::State(StateReport {
                event: Event::Succeeded,
                failure: None,
                output: Some(output),
            }),
        }
    }

    fn illegal(&self, reason: &str) -> JournalError {
        JournalError::Illegal {
            run: self.live.run,
            reason: reason.to_owned(),
        }
    }
}
