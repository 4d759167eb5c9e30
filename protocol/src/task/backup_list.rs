//! `backup.list`: what a spoke's backups hold of its sites, also of those that are gone.
//!
//! Version 1 knew nothing of spokes that prune by themselves, version 2 of backups that are to go and cannot yet.

use serde::{Deserialize, Serialize};

use super::{Older, Task};
use crate::envelope::decode_body;
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
    /// How many are in the repository and not in this list, since they are to go: their host was away when it was decided,
    /// and is asked again.
    pub owed: u32,
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

/// Version 1.
#[derive(Deserialize)]
struct Output1 {
    backups: Vec<Backup>,
    more: u32,
}

/// Version 2.
#[derive(Deserialize)]
struct Output2 {
    backups: Vec<Backup>,
    more: u32,
    pruned: Option<Pruned>,
    prunes_at: Option<UnixMillis>,
}

impl Task for Params {
    const VERSION: u16 = 3;
    const LANE: Lane = Lane::Light;
    const REPEATABLE: bool = true;
    const GROWS: bool = false;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        Vec::new()
    }

    fn older(version: u16, body: &[u8]) -> Older<Self> {
        matches!(version, 1 | 2).then(|| decode_body(body))
    }

    fn older_output(version: u16, body: &[u8]) -> Older<Output> {
        let read = || {
            let was = match version {
                1 => {
                    let Output1 { backups, more } = decode_body(body)?;
                    Output2 {
                        backups,
                        more,
                        pruned: None,
                        prunes_at: None,
                    }
                }
                _ => decode_body(body)?,
            };
            Ok(Output {
                backups: was.backups,
                more: was.more,
                pruned: was.pruned,
                prunes_at: was.prunes_at,
                owed: 0,
            })
        };
        matches!(version, 1 | 2).then(read)
    }
}
