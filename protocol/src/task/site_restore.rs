//! `site.restore`: a site becomes what it was when a backup of it was made. What it is now goes to the trash.

use serde::{Deserialize, Serialize};

use super::Task;
use crate::id::TaskId;
use crate::names::{BackupName, DatabaseName, HostName, PlatformName};
use crate::object::{Claim, Lane, Object};

/// Which site, and from what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Its name. It has to be there.
    pub site: HostName,
    /// One of its backups.
    pub backup: BackupName,
}

/// What is there now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Where the site answers.
    pub url: String,
    /// Its folder on the spoke.
    pub path: String,
    /// The backup's whole name.
    pub backup: String,
    /// Files that came back.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// The platform that it is on: the one of then.
    pub platform: Option<PlatformName>,
    /// Its database, which is a new one.
    pub database: Option<DatabaseName>,
    /// How long the dump was that came into it.
    pub database_bytes: Option<u64>,
    /// The item of the trash that the site as it was before is now; nothing where the spoke keeps no trash.
    pub former: Option<TaskId>,
    /// What it took, from the first look into the backup.
    pub milliseconds: u64,
}

impl Task for Params {
    const VERSION: u16 = 1;
    const LANE: Lane = Lane::Heavy;
    const REPEATABLE: bool = true;
    const GROWS: bool = true;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        vec![
            Claim::exclusive(Object::Site(self.site.clone())),
            Claim::shared(Object::Backups),
        ]
    }
}
