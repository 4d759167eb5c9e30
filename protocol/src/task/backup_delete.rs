//! `backup.delete`: forget one backup for good.

use serde::{Deserialize, Serialize};

use super::Task;
use super::backup_list::Backup;
use crate::names::{BackupName, HostName};
use crate::object::{Claim, Lane, Object};

/// Which backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The site that it is of. The spoke refuses when it is another's.
    pub site: HostName,
    /// Its name.
    pub backup: BackupName,
    /// Also when it is the only one of that site.
    #[serde(default)]
    pub last: bool,
}

/// What is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The backup.
    pub removed: Vec<Backup>,
}

impl Task for Params {
    const VERSION: u16 = 1;
    const LANE: Lane = Lane::Heavy;
    const REPEATABLE: bool = true;
    const GROWS: bool = false;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        vec![Claim::exclusive(Object::Backups)]
    }
}
