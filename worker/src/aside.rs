//! What steps leave aside while a task goes on: the old vhost, the old owner's mark, the old link, each by a second name
//! that the run has to itself. So an undo has only to rename, which a full disk does not keep it from.
//!
//! Steps say which they leave ([`crate::step::Step::aside`]); [`crate::plan::Plan::closed`] has final step `drop_aside`
//! take them away when the task succeeds.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use kolga_protocol::id::Run;
use kolga_protocol::names::HostName;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::files::Dir;
use crate::layout;
use crate::services::nginx::Kept;
use crate::steps::mend_site::parent_if_there;

/// Something that a step leaves aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "aside", rename_all = "snake_case")]
pub enum Aside {
    /// A site's former vhost, by what took its place.
    Vhost {
        /// See [`Kept::of`].
        why: String,
    },
    /// The mark of the former owner, in a site's folder.
    Mark {
        /// Whose folder.
        host: HostName,
    },
    /// A link in a site's folder.
    Link {
        /// Whose folder.
        host: HostName,
        /// What it was called, below it.
        path: String,
    },
}

impl Aside {
    /// Takes it away; it need not be there.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn drop_of(&self, cx: &Cx, run: Run) -> anyhow::Result<()> {
        match self {
            Self::Vhost { why } => cx.spoke.nginx.drop_kept(&Kept::of(run, why)),
            Self::Mark { host } => {
                layout::sites(&cx.spoke.config)?.drop_former_mark(host.as_str(), &run.to_string())
            }
            Self::Link { host, path } => {
                let sites = layout::sites(&cx.spoke.config)?;
                let name = Path::new(path).file_name();
                let aside = name.and_then(|name| beside(name, run));
                let (Some(aside), true) = (aside, sites.kind(host.as_str())?.is_some()) else {
                    return Ok(());
                };
                let top = sites.dir(host.as_str())?;
                match parent_if_there(&top, path)? {
                    Some(folder) => folder.remove_file(aside),
                    None => Ok(()),
                }
            }
        }
    }
}

/// No file's name is longer.
const LONGEST: usize = 255;

/// The name beside another that only this run gives; none where that would be too long for a name.
pub(crate) fn beside(name: &OsStr, run: Run) -> Option<OsString> {
    let mut beside = OsString::from(".");
    beside.push(name);
    beside.push(format!(".{run}"));
    (beside.len() <= LONGEST).then_some(beside)
}

/// Gives `name` back what this run has put aside, where that is free by now. Whether there was anything aside.
///
/// # Errors
/// When it cannot be moved.
pub(crate) fn put_back(folder: &Dir, name: &OsStr, run: Run) -> anyhow::Result<bool> {
    let Some(aside) = beside(name, run) else {
        return Ok(false);
    };
    if folder.kind(&aside)?.is_none() {
        return Ok(false);
    }
    match folder.kind(name)? {
        None => folder.move_to(&aside, folder, name)?,
        // Somebody has put his own there meanwhile, and it stays.
        Some(_) => folder.remove_file(&aside)?,
    }
    Ok(true)
}
