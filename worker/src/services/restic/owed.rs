//! Snapshots that do not count and are still to go: of runs that were undone while the host of the backups could not be
//! asked. That a host is away is no reason to keep a site from everybody, so the run is over; what may have come of it is in
//! no list from then on, is restored by nobody, and is forgotten when the host answers ([`crate::cron`] sees to that).
//!
//! Each is an empty file, named by the run, in a folder of the worker's own that is the repository's. The folder is made before
//! a backup begins, so that undoing takes no room on the disk.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kolga_protocol::id::Run;
use sha2::{Digest as _, Sha256};

use super::forget::Mark;
use super::{Restic, Snapshot};
use crate::cx::Cx;
use crate::files::Dir;
use crate::services::database::hex;

/// Below the worker's own folder.
const FOLDER: &str = "owed-snapshots";
/// Digits of the repository's folder.
const DIGITS: usize = 16;

impl Restic {
    /// Forgets the snapshot that names this run; or, where that lies on a host that cannot be asked, sees to it that it does
    /// not count and is forgotten later.
    ///
    /// # Errors
    /// When neither is possible.
    pub async fn take_back(&self, cx: &Cx, run: Run, before: Option<Mark>) -> anyhow::Result<()> {
        let Err(error) = self.forget_run(cx, run, before).await else {
            return Ok(());
        };
        if self.config.folder().is_some() {
            return Err(error);
        }
        self.owe(&cx.spoke.config.state_dir, run)?;
        cx.log.warn(format!(
            "what may have been kept of this backup does not count, and goes when the repository can be reached: {error:#}"
        ));
        Ok(())
    }

    /// Makes room for what may have to be owed.
    ///
    /// # Errors
    /// When the folder can be neither opened nor made.
    pub(super) fn expect_to_owe(&self, state_dir: &Path) -> anyhow::Result<Dir> {
        drop(Dir::open_or_make(&state_dir.join(FOLDER), 0o700)?);
        Dir::open_or_make(&self.owed_folder(state_dir), 0o700)
    }

    fn owe(&self, state_dir: &Path, run: Run) -> anyhow::Result<()> {
        let (folder, name) = (self.expect_to_owe(state_dir)?, run.to_string());
        if folder.kind(&name)?.is_none() {
            folder.create_file(&name)?.sync_all()?;
            folder.sync()?;
        }
        Ok(())
    }

    /// The runs whose snapshots are still to be forgotten.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn owed(&self, state_dir: &Path) -> anyhow::Result<BTreeSet<String>> {
        let path = self.owed_folder(state_dir);
        // Nothing was ever owed.
        if self.config.folder().is_some() || !path.exists() {
            return Ok(BTreeSet::new());
        }
        let names = Dir::open(&path)?.names()?.into_iter();
        Ok(names.filter_map(|name| name.into_string().ok()).collect())
    }

    /// Forgets all of them, and the locks of what was killed; how many snapshots there were.
    ///
    /// # Errors
    /// When the repository cannot be reached, or somebody else has it to himself for too long: they are owed still.
    pub async fn settle_owed(&self, cx: &Cx) -> anyhow::Result<usize> {
        let state_dir = &cx.spoke.config.state_dir;
        let owed = self.owed(state_dir)?;
        if owed.is_empty() {
            return Ok(0);
        }
        let _alone = self.turn.write().await;
        self.unlock(cx).await?;
        let all = self.snapshots(cx, "kolga").await?.into_iter();
        let ids: Vec<String> = all
            .filter(|snapshot| is_owed(&owed, snapshot))
            .map(|snapshot| snapshot.id)
            .collect();
        self.forget(cx, &ids).await?;
        let folder = self.expect_to_owe(state_dir)?;
        owed.iter().try_for_each(|run| folder.remove_file(run))?;
        Ok(ids.len())
    }

    /// Another repository owes nothing.
    fn owed_folder(&self, state_dir: &Path) -> PathBuf {
        let name = hex(&Sha256::digest(&self.config.repository));
        state_dir.join(FOLDER).join(&name[..DIGITS])
    }
}

/// How many there are, whichever repository they are owed to.
///
/// # Errors
/// When a folder cannot be read.
pub fn owed_anywhere(state_dir: &Path) -> anyhow::Result<usize> {
    let top = state_dir.join(FOLDER);
    if !top.exists() {
        return Ok(0);
    }
    let top = Dir::open(&top)?;
    let owed = top.names()?.into_iter();
    owed.map(|repository| Ok(top.dir(repository)?.names()?.len()))
        .sum()
}

/// Whether it is one of these runs'.
pub(super) fn is_owed(owed: &BTreeSet<String>, snapshot: &Snapshot) -> bool {
    snapshot.tag("run").is_some_and(|run| owed.contains(run))
}

#[cfg(test)]
mod tests {
    use kolga_protocol::id::{Attempt, TaskId};

    use super::*;
    use crate::testing::Scratch;

    fn restic(repository: &str) -> Restic {
        let text = format!("repository = {repository:?}\npassword_file = \"/p\"");
        Restic::new(&toml::from_str(&text).expect("backups"), None)
    }

    #[test]
    fn what_is_owed_to_one_repository_is_not_owed_to_another_and_a_folder_is_owed_nothing() {
        let scratch = Scratch::new();
        let (one, other) = (restic("rest:http://a/"), restic("rest:http://b/"));
        let run = Run::new(TaskId::generate(), Attempt::FIRST);
        assert!(one.owed(scratch.path()).expect("none").is_empty());
        for _ in 0..2 {
            one.owe(scratch.path(), run).expect("noted");
        }
        let owed = one.owed(scratch.path()).expect("read");
        assert_eq!(owed, [run.to_string()].into());
        assert_eq!(owed_anywhere(scratch.path()).expect("read"), 1);
        for nobodys in [other, restic("/srv/restic")] {
            assert!(nobodys.owed(scratch.path()).expect("read").is_empty());
        }
        let snapshot = |run: &str| Snapshot {
            id: "1".to_owned(),
            tags: vec!["kolga".to_owned(), format!("run={run}")],
        };
        assert!(is_owed(&owed, &snapshot(&run.to_string())));
        assert!(!is_owed(&owed, &snapshot("another")));
    }
}
