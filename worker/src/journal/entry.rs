//! What can be written into the journal about one attempt, and what that means.
//!
//! The executor ([`crate::run`]) says what happened as [`Change`]s; [`super::writer`] makes them rows
//! and reports.

use kolga_protocol::id::Run;
use kolga_protocol::message::{Failure, ReportBody, TaskMessage};
use kolga_protocol::state::Event;
use kolga_protocol::task::Payload;
use serde::{Deserialize, Serialize};

/// Changes of one attempt, made durable together.
#[derive(Debug)]
pub struct Entry {
    /// Which attempt.
    pub run: Run,
    /// What happened, in order.
    pub changes: Vec<Change>,
}

/// One thing that happened to an attempt.
#[derive(Debug)]
pub enum Change {
    /// Its first step is about to be looked at.
    Started,
    /// A step has looked at the world and is about to change it.
    Intent(StepRow),
    /// The step did what it wanted.
    Done(Place),
    /// Undoing begins, for this cause.
    RollingBack(Cause),
    /// The step has been undone.
    Undone(Place),
    /// An undo failed, or a final step cannot be finished: a person has to look.
    Stuck(Failure),
    /// An operator had a stuck attempt, that is past its point of no return, tried again.
    Resumed,
    /// From here on it only goes forward: the final steps and the result.
    PointOfNoReturn {
        /// The final steps, with the places after the last step.
        finals: Vec<StepRow>,
        /// The result.
        output: Payload,
    },
    /// The final step is done.
    Finished(Place),
    /// The end. With `Succeeded` after a point of no return `output` is what was written there, or says what is left for later.
    Ended {
        /// How.
        event: Event,
        /// Why, unless it succeeded.
        failure: Option<Failure>,
        /// The result, if it succeeded.
        output: Option<Payload>,
    },
    /// Something to tell the hub that changes nothing here.
    Report(ReportBody),
}

/// A step as the journal holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct StepRow {
    /// Its place in the plan.
    pub place: Place,
    /// What undoing or finishing needs.
    pub record: serde_json::Value,
}

/// Which step of how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub position: u16,
    /// How many steps the plan has, final ones included; 0 when recovery does not know any more.
    pub total: u16,
    /// The step's name.
    pub name: String,
}

/// Why an attempt is rolled back, and so how it ends after that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// `Failed`, `Cancelled` or `Interrupted`.
    pub event: Event,
    /// For a person.
    pub failure: Failure,
}

/// A message of the task queue as intake judged it.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// The message.
    pub message: TaskMessage,
    /// Why it cannot be taken, if it cannot.
    pub refusal: Option<String>,
}

/// An incoming message, and its result when accepting it is all that it needs.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The message as it was judged.
    pub incoming: Incoming,
    /// The result of a task that has no step: it ends where it is accepted.
    pub result: Option<Payload>,
}

/// What became of an incoming message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is in the journal and waits to be run; or it has been carried out with that.
    Accepted,
    /// It had been taken before and has not ended: nothing to do.
    Known,
    /// It had ended before: its result is being sent again.
    AlreadyEnded,
    /// It is refused, and the hub is told.
    Rejected,
}
