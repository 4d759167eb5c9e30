//! `backup.delete`: forget one backup for good.
//!
//! Version 1 knew of no host that is away when it is to be forgotten.

use serde::{Deserialize, Serialize};

use super::backup_list::Backup;
use super::{Older, Task};
use crate::envelope::decode_body;
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
    /// How many of them are still in the repository, whose host could not be asked any more: they count for nothing, and
    /// go when it answers.
    pub owed: u32,
}

/// Version 1.
#[derive(Deserialize)]
struct Output1 {
    removed: Vec<Backup>,
}

impl Task for Params {
    const VERSION: u16 = 2;
    const LANE: Lane = Lane::Heavy;
    const REPEATABLE: bool = true;
    const GROWS: bool = false;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        vec![Claim::exclusive(Object::Backups)]
    }

    fn older(version: u16, body: &[u8]) -> Older<Self> {
        (version == 1).then(|| decode_body(body))
    }

    fn older_output(version: u16, body: &[u8]) -> Older<Output> {
        (version == 1).then(|| {
            let Output1 { removed } = decode_body(body)?;
            Ok(Output { removed, owed: 0 })
        })
    }
}
