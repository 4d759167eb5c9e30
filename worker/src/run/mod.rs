//! Runs what has been accepted: one task at a time per object, several at once over all.
//!
//! `actor`, reached through `runner`, owns every attempt that has not ended. It is handed new ones by [`crate::intake`] and old
//! ones by the journal at start; `schedule` says which may run, `gates` whether the machine
//! has room for heavy ones; each that may goes through `execute`
//! (forward), `rollback` (backward) or `finish` (past the point of no return), all of which write to
//! the [`crate::journal`], from whose spool [`crate::outgoing`] tells the hub.

mod actor;
mod attempt;
mod bounds;
mod execute;
mod finish;
mod gates;
mod log;
mod operator;
mod patience;
mod recover;
mod rollback;
mod runner;
pub mod schedule;
mod status;
mod turn;

pub use runner::{Accepted, CancelOutcome, Runner};
pub use status::{AttemptStatus, Counts, RunnerStatus};
pub use turn::Turn;
