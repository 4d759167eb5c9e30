//! `trash.list`: what a spoke keeps for a while of sites that were deleted, restored over or moved.

use serde::{Deserialize, Serialize};

use super::{Task, site_install};
use crate::id::{TaskId, UnixMillis};
use crate::object::{Claim, Lane, Object};

/// Nothing to choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// What is there, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The newest of them, as many as one answer holds.
    pub items: Vec<Item>,
    /// How many more there are.
    pub more: u32,
}

/// What one task has put there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The task that put it there, which is its name.
    pub id: TaskId,
    /// Of what type that task was.
    pub why: String,
    /// When.
    pub at: UnixMillis,
    /// The site as it was: what would have to be asked for to have one like it.
    pub site: site_install::Params,
    /// Whether its folder is there, without which it cannot be brought back.
    pub folder: bool,
    /// Its database, where it had one.
    pub database: Option<String>,
    /// Bytes in its files and its database.
    pub bytes: u64,
}

impl Task for Params {
    const VERSION: u16 = 1;
    const LANE: Lane = Lane::Light;
    const REPEATABLE: bool = true;
    const GROWS: bool = false;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        vec![Claim::shared(Object::Trash)]
    }
}
