//! `site.backup`: a site's files and its database into the spoke's backups, and looked at there.

use serde::{Deserialize, Serialize};

use super::Task;
use crate::names::HostName;
use crate::object::{Claim, Lane, Object};

/// Which site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Its name.
    pub site: HostName,
}

/// What was kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The backup's name, which is that of restic's snapshot.
    pub backup: String,
    /// Files in it.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Bytes that were not in the backups before.
    pub bytes_added: u64,
    /// Of these files, the database: how long its dump is.
    pub database_bytes: Option<u64>,
    /// What it took, from the first step to the look at what is there.
    pub milliseconds: u64,
}

impl Task for Params {
    const VERSION: u16 = 1;
    const LANE: Lane = Lane::Heavy;
    const REPEATABLE: bool = true;
    const GROWS: bool = true;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        // It only reads: a login link need not wait for it.
        vec![Claim::shared(Object::Site(self.site.clone()))]
    }
}
