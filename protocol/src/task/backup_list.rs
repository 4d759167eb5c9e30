//! `backup.list`: what a spoke's backups hold of its sites, also of those that are gone.

use serde::{Deserialize, Serialize};

use super::Task;
use crate::id::UnixMillis;
use crate::names::HostName;
use crate::object::{Claim, Lane};

/// Which of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Only those of this site.
    #[serde(default)]
    pub site: Option<HostName>,
}

/// What is there, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The newest of them, as many as one answer holds.
    pub backups: Vec<Backup>,
    /// How many more there are.
    pub more: u32,
    /// What became of it when the spoke pruned them by itself last; none where it never has.
    pub pruned: Option<Pruned>,
    /// When it does so next; none where it does not.
    pub prunes_at: Option<UnixMillis>,
}

/// Backups that were pruned by the spoke itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// When it began.
    pub at: UnixMillis,
    /// How many were to stay.
    pub kept: u32,
    /// How many were to go.
    pub gone: u32,
    /// Why they did not go.
    pub failure: Option<String>,
}

/// One backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// Its name, which is that of restic's snapshot.
    pub id: String,
    /// Of which site.
    pub site: HostName,
    /// When it was made.
    pub at: UnixMillis,
}

impl Task for Params {
    const VERSION: u16 = 2;
    const LANE: Lane = Lane::Light;
    const REPEATABLE: bool = true;
    const GROWS: bool = false;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        Vec::new()
    }
}
