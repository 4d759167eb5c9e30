//! Where an attempt stands in memory, between two durable writes: what a death of the worker forgets.

use std::collections::VecDeque;

use kolga_protocol::message::Failure;
use kolga_protocol::state::{Event, State};
use kolga_worker::journal::{Cause, LiveTask, Place, StepRow, StoredStep};

use super::tally::Tally;

/// What an attempt does.
pub enum Phase {
    /// It waits for its claims, or for room.
    Waiting,
    /// Its steps are done.
    Forward(Forward),
    /// Its steps are undone.
    Back(Back),
    /// It is past its point of no return.
    Finish(Finish),
    /// An operator has to decide.
    Stuck,
}

/// Forward.
pub struct Forward {
    /// It was told to stop, and how it ends then.
    pub stop: Option<Event>,
    /// What comes next.
    pub stage: Stage,
    /// The step whose end is not journaled.
    pub owed: Option<Place>,
    /// Steps that were begun, oldest first.
    pub begun: Vec<StepRow>,
}

/// What comes next on the way forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The note that it was started.
    Start,
    /// The note that this step is meant.
    Intend(u16),
    /// This step's effect.
    Act(u16),
}

/// Backward.
pub struct Back {
    /// Why, and so how it ends.
    pub cause: Cause,
    /// Whether that is in the journal.
    pub noted: bool,
    /// The step whose end is not journaled.
    pub owed: Option<Place>,
    /// What has to be undone, the newest last.
    pub left: Vec<StepRow>,
    /// What is undone and not noted so.
    pub undone: Option<Place>,
}

/// Past the point of no return.
pub struct Finish {
    /// Whether it was stuck, and that it goes on is not in the journal.
    pub resumes: bool,
    /// What has to be finished, in order.
    pub left: VecDeque<StepRow>,
    /// What is finished and not noted so.
    pub done: Option<Place>,
}

impl Phase {
    /// It may begin.
    #[must_use]
    pub fn begun() -> Self {
        Self::Forward(Forward {
            stop: None,
            stage: Stage::Start,
            owed: None,
            begun: Vec::new(),
        })
    }

    /// Which way the journal says that it goes.
    #[must_use]
    pub fn from_journal(task: LiveTask) -> Self {
        let of = |wanted: fn(&StoredStep) -> bool| {
            let steps = task.steps.iter().filter(move |step| wanted(step));
            steps.map(|step| step.row.clone())
        };
        if task.output.is_some() {
            return Self::Finish(Finish {
                resumes: task.state == State::Stuck,
                left: of(|step| step.state == "final").collect(),
                done: None,
            });
        }
        let died = Cause {
            event: Event::Interrupted,
            failure: Failure::plain("the worker died"),
        };
        Self::Back(Back {
            noted: task.state == State::RollingBack,
            owed: None,
            left: of(|step| matches!(step.state.as_str(), "intent" | "done")).collect(),
            undone: None,
            cause: task.cause.unwrap_or(died),
        })
    }

    /// Counts what a death does to it.
    pub fn tell_death(&self, tally: &Tally) {
        match self {
            Self::Forward(Forward {
                stage: Stage::Act(_),
                ..
            }) => tally.fired("a worker died between intent and act"),
            Self::Back(_) => tally.fired("a worker died while it rolled back"),
            Self::Finish(_) => tally.fired("a worker died past a point of no return"),
            _ => {}
        }
    }
}
