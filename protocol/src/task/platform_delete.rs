//! `platform.delete`: remove the code that sites shared, when none does any more.

use serde::{Deserialize, Serialize};

use super::Task;
use crate::names::PlatformName;
use crate::object::{Claim, Lane, Object};

/// Which platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Its name on this spoke.
    pub platform: PlatformName,
}

/// What is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The folder that was removed.
    pub path: String,
}

impl Task for Params {
    const VERSION: u16 = 1;
    const LANE: Lane = Lane::Heavy;
    const REPEATABLE: bool = true;
    const GROWS: bool = false;
    type Output = Output;

    /// Alone: whatever makes a site on the platform shares it for as long as that takes.
    fn claims(&self) -> Vec<Claim> {
        vec![Claim::exclusive(Object::Platform(self.platform.clone()))]
    }
}
