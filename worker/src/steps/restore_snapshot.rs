//! Step `restore_snapshot`: all of a backup into a new folder that nobody else can enter: among the sites, where it can
//! take a site's place by a rename, or where the operator wants to look at it.
//!
//! Undo needs the place and the run, which the folder names.

use std::path::PathBuf;

use anyhow::Context as _;
use kolga_protocol::fault;
use kolga_protocol::id::Run;
use kolga_protocol::names::FolderName;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::discard;
use crate::files::{Dir, blocking};
use crate::layout;
use crate::step::{Step, UndoError};

/// Restores a backup.
pub struct RestoreSnapshot {
    /// The snapshot's whole name.
    pub id: String,
    /// Where to.
    pub into: Into,
}

/// A place for a backup.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Into {
    /// The run's own folder among the sites.
    Sites,
    /// A new folder for an operator to look at, below this one.
    Extracted {
        /// Which belongs to the worker alone.
        below: PathBuf,
        /// Its name there.
        folder: FolderName,
    },
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    into: Into,
    run: Run,
}

impl Step for RestoreSnapshot {
    const NAME: &'static str = "restore_snapshot";
    type Record = Record;

    async fn ready(&self, cx: &Cx) -> anyhow::Result<()> {
        let possible = cx.spoke.supervision.need_confinement();
        possible.context("restic is run confined or not at all")
    }

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        cx.spoke.need_backups()?;
        let record = Record {
            into: self.into.clone(),
            run: cx.run,
        };
        let (parent, name) = place(cx, &record)?;
        anyhow::ensure!(
            parent.kind(&name)?.is_none(),
            "{} is there already: move it away",
            parent.path().join(name).display()
        );
        Ok(record)
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let (parent, name) = place(cx, record)?;
        let folder = parent.make_owned_dir(name, 0o700, &record.run.to_string())?;
        fault::point("restore_snapshot:made");
        let restic = cx.spoke.need_backups()?;
        restic.restore(cx, &self.id, &folder).await?;
        match record.into {
            // Whoever puts it among the sites makes a site of it.
            Into::Sites => Ok(()),
            Into::Extracted { .. } => lend_nothing(cx, folder).await,
        }
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        remove(cx, record).await.map_err(|error| {
            let left = place(cx, record).map(|(parent, name)| parent.path().join(name));
            UndoError::leaves(left.unwrap_or_default().display().to_string(), error)
        })
    }
}

/// The folder in which a record's lies, and its name there.
fn place(cx: &Cx, record: &Record) -> anyhow::Result<(Dir, String)> {
    match &record.into {
        Into::Sites => Ok((
            layout::sites(&cx.spoke.config)?,
            layout::restored(record.run),
        )),
        Into::Extracted { below, folder } => Ok((Dir::open(below)?, folder.to_string())),
    }
}

/// A tenant's programs are the worker's own now: none may run with its rights, wherever an operator puts it.
async fn lend_nothing(cx: &Cx, folder: Dir) -> anyhow::Result<()> {
    let (stop, own) = (cx.stop.clone(), rustix::process::geteuid().as_raw());
    blocking(move || folder.settle_tree(own, &|_| false, &[], &mut || Ok(stop.check()?)))
        .await
        .map(drop)
}

async fn remove(cx: &Cx, record: &Record) -> anyhow::Result<()> {
    let (parent, name) = place(cx, record)?;
    remove_owned(cx, parent, name, record.run).await
}

/// Removes what this run had restored among the sites; it need not be there.
pub(super) async fn remove_restored(cx: &Cx, run: Run) -> anyhow::Result<()> {
    let sites = layout::sites(&cx.spoke.config)?;
    remove_owned(cx, sites, layout::restored(run), run).await
}

async fn remove_owned(cx: &Cx, parent: Dir, name: String, run: Run) -> anyhow::Result<()> {
    let owner = run.to_string();
    if parent.owner_of(&name)?.as_ref() == Some(&owner) {
        // A site that was in its place for a moment may have been written to.
        discard::prepare(cx, &parent, &name).await?;
    }
    blocking(move || parent.remove_owned_dir(name, &owner).map(drop)).await
}

/// Where the site's folder is in what was restored among the sites.
pub(super) fn restored(cx: &Cx, run: Run) -> anyhow::Result<Dir> {
    layout::sites(&cx.spoke.config)?.dir(PathBuf::from(layout::restored(run)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::testing::site_context;
    use crate::testing::Scratch;

    #[tokio::test]
    async fn undo_takes_the_runs_own_folder_whatever_is_in_it_and_leaves_a_strangers() {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let record = Record {
            into: Into::Sites,
            run: cx.run,
        };
        let (parent, name) = place(&cx, &record).expect("a place");
        let undo = || RestoreSnapshot::undo(&cx, &record);
        undo().await.expect("never ran");
        let owner = cx.run.to_string();
        let made = parent.make_owned_dir(&name, 0o700, &owner).expect("made");
        undo().await.expect("ran by half");
        assert!(parent.names().expect("read").is_empty());
        drop(made);
        parent.make_owned_dir(&name, 0o700, &owner).expect("made");
        let deep = parent.path().join(&name).join("srv/sites/a.test");
        std::fs::create_dir_all(&deep).expect("restored");
        std::os::unix::fs::symlink("/etc", deep.join("link")).expect("restored");
        undo().await.expect("ran whole");
        undo().await.expect("twice");
        assert!(parent.names().expect("read").is_empty());
        parent.make_dir(&name, 0o700).expect("planted");
        undo().await.expect("not ours");
        assert_eq!(parent.names().expect("read"), [name.as_str()]);
    }
}
