//! `trash.empty`: destroy for good what lies in a spoke's trash.

use serde::{Deserialize, Serialize};

use super::Task;
use crate::id::TaskId;
use crate::object::{Claim, Lane, Object};

/// What of it: one item, or all that is old enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The item: the task that put it there.
    #[serde(default)]
    pub item: Option<TaskId>,
    /// Whatever has lain there for so many days; 0 is everything.
    #[serde(default)]
    pub older_than_days: Option<u32>,
}

/// What is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// How many items.
    pub items: u32,
    /// Bytes that were in them.
    pub bytes: u64,
}

impl Task for Params {
    const VERSION: u16 = 1;
    const LANE: Lane = Lane::Heavy;
    const REPEATABLE: bool = true;
    const GROWS: bool = false;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        vec![Claim::exclusive(Object::Trash)]
    }
}
