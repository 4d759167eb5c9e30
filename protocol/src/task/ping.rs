//! `ping`: the whole durable way and back, with nothing done at the end of it.

use serde::{Deserialize, Serialize};

use super::Task;
use crate::object::{Claim, Lane};

/// Nothing to say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// Who answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The version of the worker.
    pub worker_version: String,
    /// When the worker began it, by its clock, in microseconds since 1970.
    pub at_micros: u64,
}

impl Task for Params {
    const VERSION: u16 = 1;
    const LANE: Lane = Lane::Instant;
    const REPEATABLE: bool = true;
    const GROWS: bool = false;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        Vec::new()
    }
}
