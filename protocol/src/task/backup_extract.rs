//! `backup.extract`: put all that a backup holds into a new private folder on the spoke, for somebody to look at.

use serde::{Deserialize, Serialize};

use super::Task;
use crate::names::{BackupName, FolderName, HostName};
use crate::object::{Claim, Lane, Object};

/// Which backup, and where to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Its name.
    pub backup: BackupName,
    /// The new folder's name, below the one that the spoke's configuration names.
    pub folder: FolderName,
}

/// What is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The folder on the spoke, which only its worker's user can enter.
    pub path: String,
    /// The backup's whole name.
    pub backup: String,
    /// Of which site it is.
    pub site: HostName,
    /// Files in it.
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
        vec![Claim::shared(Object::Backups)]
    }
}
