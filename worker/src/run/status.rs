//! What the runner shows of itself: counts for intake and heartbeats, and the list for
//! `kolga-worker status`.

use kolga_protocol::message::Deferral;
use serde::{Deserialize, Serialize};

/// How many attempts there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Running, rolling back or finishing.
    pub running: usize,
    /// Accepted and waiting.
    pub waiting: usize,
    /// Waiting for an operator.
    pub stuck: usize,
}

/// Everything that has not ended.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RunnerStatus {
    /// How many.
    pub counts: Counts,
    /// Why tasks wait that could begin otherwise.
    pub deferring: Option<Deferral>,
    /// Each, in the order of asking; at most a hundred of those that wait.
    pub attempts: Vec<AttemptStatus>,
}

/// One attempt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AttemptStatus {
    /// `<task uuid>.<attempt>`.
    pub run: String,
    /// The task's type.
    pub kind: String,
    /// `waiting`, `running` or `stuck`.
    pub phase: String,
    /// What it works on.
    pub objects: Vec<String>,
    /// The step it is at, as `3/9 create_database`.
    pub step: Option<String>,
    /// Seconds since it began.
    pub running_seconds: Option<u64>,
    /// Why it does not run.
    pub waits_for: Option<String>,
}
