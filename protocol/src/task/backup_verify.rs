//! `backup.verify`: read everything that a backup holds, and see whether the repository that it lies in is sound.

use serde::{Deserialize, Serialize};

use super::Task;
use crate::id::UnixMillis;
use crate::names::{BackupName, HostName};
use crate::object::{Claim, Lane, Object};

/// Which backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Its name.
    pub backup: BackupName,
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The backup's whole name.
    pub backup: String,
    /// Of which site it is.
    pub site: HostName,
    /// When it was made.
    pub at: UnixMillis,
    /// Files in it.
    pub files: u64,
    /// Bytes in them, each of which was read.
    pub bytes: u64,
    /// What it took.
    pub milliseconds: u64,
}

impl Task for Params {
    const VERSION: u16 = 1;
    const LANE: Lane = Lane::Heavy;
    const REPEATABLE: bool = true;
    const GROWS: bool = false;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        vec![Claim::shared(Object::Backups)]
    }
}
