//! `server.verify`: probe everything that later tasks will need, and report all that is wrong.

use serde::{Deserialize, Serialize};

use super::Task;
use crate::object::{Claim, Lane, Object};

/// Nothing to say: the worker's own configuration names what there is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// What was probed. The task succeeds only when every check passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Each probe, in the order in which they were made.
    pub checks: Vec<Check>,
}

/// One probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was probed, such as `nginx configuration`.
    pub name: String,
    /// Whether all was well.
    pub passed: bool,
    /// What was found; for a failure also what to do.
    pub detail: String,
}

impl Task for Params {
    const VERSION: u16 = 1;
    const LANE: Lane = Lane::Light;
    const REPEATABLE: bool = true;
    const GROWS: bool = false;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        vec![Claim::shared(Object::Server)]
    }
}
