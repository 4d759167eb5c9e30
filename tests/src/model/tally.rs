//! How often each action and each fault really took effect over a whole run. One that never did proves
//! nothing, so a run with such a one fails.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

/// Everything that a run must have seen at least once.
pub const ALL: &[&str] = &[
    "a task was made",
    "a task was refused by the hub",
    "a cancel ended a task at the hub at once",
    "a cancel became a message",
    "a cancel came before its task",
    "a cancel ended a task that waited",
    "a cancel stopped a task that ran",
    "a cancel was refused by the worker",
    "an operator's retry made an attempt",
    "the sweeper made an attempt",
    "a task's message never arrived",
    "a task's message arrived and its confirm was lost",
    "a message had no queue",
    "the hub died",
    "the hub died with unnoted messages",
    "the hub died between commit and ack",
    "a worker died",
    "a worker died before its journal had the task",
    "a worker died between journal and ack",
    "a worker died between intent and act",
    "a worker died while it rolled back",
    "a worker died past a point of no return",
    "a worker was told to stop with work at hand",
    "a machine was rebuilt with work at hand",
    "an ack was lost",
    "a doubled message was recognised",
    "an ended task's message was answered",
    "an older attempt was refused",
    "a task waited for an object",
    "a step failed",
    "an undo failed",
    "a final step failed",
    "an operator had an undo tried again",
    "an operator abandoned a stuck task",
    "a task happened whole",
    "a task was rolled back whole",
    "a report never arrived",
    "a report arrived and its confirm was lost",
    "a report of an older attempt was ignored",
    "a new journal told of an old attempt",
    "a gap between reports was told",
    "a message was doubled",
    "an old message came back",
    "a message was delayed",
    "a queue was deleted with messages",
    "the hub asked a worker",
    "a worker said what it does not know",
    "a lost message was sent again",
    "a lost journal's attempt was ended by the hub",
];

/// The counts.
#[derive(Debug, Default)]
pub struct Tally(RefCell<BTreeMap<&'static str, u64>>);

impl Tally {
    /// It took effect.
    pub fn fired(&self, what: &'static str) {
        debug_assert!(ALL.contains(&what), "{what:?} is not in the list");
        *self.0.borrow_mut().entry(what).or_default() += 1;
    }

    /// What never took effect.
    #[must_use]
    pub fn never(&self) -> Vec<&'static str> {
        let counts = self.0.borrow();
        ALL.iter()
            .copied()
            .filter(|what| !counts.contains_key(what))
            .collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.0.borrow();
        for what in ALL {
            writeln!(f, "{:8}  {what}", counts.get(what).copied().unwrap_or(0))?;
        }
        Ok(())
    }
}
