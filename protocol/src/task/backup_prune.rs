//! `backup.prune`: forget the backups that a policy does not keep: so many of the last days, weeks and months, and always
//! each site's newest.
//!
//! Version 1 knew of no host that is away when they are to be forgotten.

use serde::{Deserialize, Serialize};

use super::backup_list::Backup;
use super::{Older, Task};
use crate::envelope::decode_body;
use crate::names::HostName;
use crate::object::{Claim, Lane, Object};

/// Whose backups, and what is kept. What is left out is as the spoke's configuration has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Only those of this site.
    #[serde(default)]
    pub site: Option<HostName>,
    /// The newest of so many days.
    #[serde(default)]
    pub daily: Option<u32>,
    /// The newest of so many weeks, which begin on Monday.
    #[serde(default)]
    pub weekly: Option<u32>,
    /// The newest of so many months.
    #[serde(default)]
    pub monthly: Option<u32>,
    /// Only tell what would go.
    #[serde(default)]
    pub dry_run: bool,
}

/// What is gone, and what is not; or what would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Whether nothing was done.
    pub dry_run: bool,
    /// How many stay.
    pub kept: u32,
    /// How many go.
    pub gone: u32,
    /// The newest of those that go, as many as one answer holds.
    pub removed: Vec<Backup>,
    /// How many of those that go are still in the repository, whose host could not be asked any more: they count for
    /// nothing, and go when it answers.
    pub owed: u32,
}

/// Version 1.
#[derive(Deserialize)]
struct Output1 {
    dry_run: bool,
    kept: u32,
    gone: u32,
    removed: Vec<Backup>,
}

impl Task for Params {
    const VERSION: u16 = 2;
    const LANE: Lane = Lane::Heavy;
    const REPEATABLE: bool = true;
    const GROWS: bool = false;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        vec![match self.dry_run {
            true => Claim::shared(Object::Backups),
            false => Claim::exclusive(Object::Backups),
        }]
    }

    fn older(version: u16, body: &[u8]) -> Older<Self> {
        (version == 1).then(|| decode_body(body))
    }

    fn older_output(version: u16, body: &[u8]) -> Older<Output> {
        (version == 1).then(|| {
            let was: Output1 = decode_body(body)?;
            Ok(Output {
                dry_run: was.dry_run,
                kept: was.kept,
                gone: was.gone,
                removed: was.removed,
                owed: 0,
            })
        })
    }
}
