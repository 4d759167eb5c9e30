//! `site.pool`: whether the PHP of a site that is there runs in a pool that is its alone, or in the one that sites share.

use serde::{Deserialize, Serialize};

use super::Task;
use crate::names::HostName;
use crate::object::{Claim, Lane, Object};

/// Which site, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Its name.
    pub site: HostName,
    /// Whether it is to have a pool to itself.
    pub own: bool,
}

/// How it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Where it answers.
    pub url: String,
    /// The Unix user as whom its PHP runs.
    pub user: String,
    /// Whether that was another one before.
    pub changed: bool,
    /// Files that were copied.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
}

impl Task for Params {
    const VERSION: u16 = 1;
    const LANE: Lane = Lane::Heavy;
    const REPEATABLE: bool = true;
    const GROWS: bool = true;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        vec![Claim::exclusive(Object::Site(self.site.clone()))]
    }
}
