//! A site's former vhost, kept beside the others under a name that nginx does not read, until the task that has changed
//! it has succeeded: going back is then a rename, for which a full disk has room.
//!
//! [`super::turn`] keeps it and puts it back; [`crate::aside`] has it taken away.

use std::ffi::OsStr;

use kolga_protocol::fault;
use kolga_protocol::id::Run;
use kolga_protocol::names::HostName;
use serde::{Deserialize, Serialize};

use super::{Nginx, file_name};
use crate::files::Dir;

/// The name under which a former vhost is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kept(String);

impl Kept {
    /// What this run keeps for this reason; a run has one of each at most. It is nothing that our include file includes.
    #[must_use]
    pub fn of(run: Run, why: &str) -> Self {
        Self(format!(".kept-{run}-{why}"))
    }
}

impl AsRef<OsStr> for Kept {
    fn as_ref(&self) -> &OsStr {
        self.0.as_ref()
    }
}

impl Nginx {
    /// Forgets a former vhost; there need not be one.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn drop_kept(&self, kept: &Kept) -> anyhow::Result<()> {
        self.sites_dir()?.remove_file(kept)
    }

    /// Puts this text in the place of what is there, which is kept.
    pub(super) fn swap(
        &self,
        host: &HostName,
        text: &str,
        keep: Option<&Kept>,
    ) -> anyhow::Result<()> {
        let (dir, name) = (self.sites_dir()?, file_name(host));
        if let Some(keep) = keep
            && dir.kind(&name)?.is_some()
        {
            dir.link(&name, keep)?;
            fault::point("nginx:kept");
        }
        dir.write_atomically(name, text.as_bytes(), 0o644)
    }

    /// Takes away what is there, and keeps it.
    pub(super) fn put_aside(&self, host: &HostName, keep: &Kept) -> anyhow::Result<()> {
        let (dir, name) = (self.sites_dir()?, file_name(host));
        dir.remove_half_written(&name)?;
        match dir.kind(&name)? {
            Some(_) => dir.move_to(&name, &dir, keep),
            None => Ok(()),
        }
    }

    /// Makes the file what it was, or nothing. Only where nothing was kept, and it is not that already, does that need
    /// room on the disk.
    pub(super) fn back(
        &self,
        host: &HostName,
        previous: Option<&str>,
        kept: Option<&Kept>,
    ) -> anyhow::Result<()> {
        let (dir, name) = (self.sites_dir()?, file_name(host));
        let kept = match kept {
            Some(kept) => dir.kind(kept)?.map(|_| kept),
            None => None,
        };
        let is_that = self
            .vhost(host)
            .is_ok_and(|there| there.as_deref() == previous);
        match kept {
            _ if is_that => drop_half(&dir, &name, kept),
            Some(kept) => {
                dir.remove_half_written(&name)?;
                dir.put_back(kept, &name)
            }
            None => self.write(host, previous),
        }
    }
}

/// The file is right: what else this run may have left goes.
fn drop_half(dir: &Dir, name: &str, kept: Option<&Kept>) -> anyhow::Result<()> {
    dir.remove_half_written(name)?;
    match kept {
        Some(kept) => dir.remove_file(kept),
        None => Ok(()),
    }
}
