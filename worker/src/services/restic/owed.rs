//! Snapshots that do not count and are still to go, since the host of the backups could not be asked when it was decided: those
//! of runs that were undone, and those that a task was to forget. That a host is away is no reason to keep a site, or all backups,
//! from everybody, so the task is over; what is owed is in no list from then on, is restored by nobody, and is forgotten when the
//! host answers ([`crate::cron`] sees to that).
//!
//! Each debt is a file in a folder of the worker's own that is the repository's: of a run that was undone an empty one with its
//! name, of a task that forgets one that says which. The folder is made before a backup begins, so that undoing takes no room
//! on the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kolga_protocol::fault;
use kolga_protocol::id::Run;
use serde::{Deserialize, Serialize};
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
/// How the name begins of what a task was to forget; its run follows.
const FORGET: &str = "forget-";
/// No list of names is longer: a million of them.
const LONGEST: u64 = 80 * 1024 * 1024;

/// What is owed to a repository.
#[derive(Debug, Default)]
pub struct Owed {
    /// Runs that were undone, whose snapshots are to go.
    undone: BTreeSet<String>,
    /// What tasks were to forget, by their runs.
    forgets: BTreeMap<String, Forget>,
}

/// What a task was to forget.
#[derive(Debug, Serialize, Deserialize)]
struct Forget {
    /// Whole names of snapshots.
    ids: BTreeSet<String>,
    /// Whether nothing of them may stay.
    wholly: bool,
}

impl Owed {
    /// How many backups are to go.
    #[must_use]
    pub fn len(&self) -> usize {
        let forgets = self.forgets.values().map(|forget| forget.ids.len());
        self.undone.len() + forgets.sum::<usize>()
    }

    /// Whether nothing is owed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.undone.is_empty() && self.forgets.is_empty()
    }

    /// How many of them a run was to forget.
    #[must_use]
    pub fn left_by(&self, run: Run) -> usize {
        let forget = self.forgets.get(&run.to_string());
        forget.map_or(0, |forget| forget.ids.len())
    }

    /// Whether the snapshot of this whole name, made by this run, is to go.
    #[must_use]
    pub fn has(&self, id: &str, run: Option<&str>) -> bool {
        let mut forgets = self.forgets.values();
        run.is_some_and(|run| self.undone.contains(run))
            || forgets.any(|forget| forget.ids.contains(id))
    }

    /// The same of one that restic has listed.
    pub(super) fn is(&self, snapshot: &Snapshot) -> bool {
        self.has(&snapshot.id, snapshot.tag("run"))
    }

    /// How much of what nobody needs may stay when all is forgotten; `None` where nothing is to be taken out at all, as
    /// after an undo.
    fn unused(&self) -> Option<&'static str> {
        let wholly = self.forgets.values().any(|forget| forget.wholly);
        (!self.forgets.is_empty()).then(|| unused(wholly))
    }
}

/// How much of what no other backup needs may stay, as restic says it.
fn unused(wholly: bool) -> &'static str {
    if wholly { "0" } else { "5%" }
}

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

    /// Forgets these snapshots for this run, as [`Restic::forget_for_good`] does; or, where they lie on a host that cannot be
    /// asked, sees to it that they count no more and go later. May be called again.
    ///
    /// # Errors
    /// When neither is possible.
    pub async fn forget_or_owe(&self, cx: &Cx, ids: &[String], wholly: bool) -> anyhow::Result<()> {
        let (state_dir, note) = (&cx.spoke.config.state_dir, forget_of(cx.run));
        let Err(error) = self.forget_for_good(cx, ids, unused(wholly)).await else {
            // It may have been noted before a crash.
            if self.owed(state_dir)?.left_by(cx.run) > 0 {
                self.expect_to_owe(state_dir)?.remove_file(note)?;
            }
            return Ok(());
        };
        if self.config.folder().is_some() {
            return Err(error);
        }
        let ids = ids.iter().cloned().collect();
        let text = serde_json::to_vec(&Forget { ids, wholly })?;
        let folder = self.expect_to_owe(state_dir)?;
        folder.write_atomically(&note, &text, 0o600)?;
        fault::point("restic:owed");
        cx.log.warn(format!(
            "the backups are NOT gone yet: they count for nothing, and go when the repository can be reached: {error:#}"
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

    /// The snapshots that are still to be forgotten.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn owed(&self, state_dir: &Path) -> anyhow::Result<Owed> {
        let path = self.owed_folder(state_dir);
        // Nothing was ever owed.
        if self.config.folder().is_some() || !path.exists() {
            return Ok(Owed::default());
        }
        read(&Dir::open(&path)?)
    }

    /// Forgets all of them, and the locks of what was killed, and takes out of the repository what tasks were to take out; how
    /// many snapshots there were.
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
        let due = all.filter(|snapshot| owed.is(snapshot));
        let ids: Vec<String> = due.map(|snapshot| snapshot.id).collect();
        fault::point("restic:settle");
        self.forget(cx, &ids).await?;
        if let Some(unused) = owed.unused() {
            self.take_out(cx, unused).await?;
        }
        let folder = self.expect_to_owe(state_dir)?;
        let forgets = owed.forgets.keys().map(|run| format!("{FORGET}{run}"));
        let mut names = owed.undone.iter().cloned().chain(forgets);
        names.try_for_each(|name| folder.remove_file(name))?;
        Ok(ids.len())
    }

    /// Another repository owes nothing.
    fn owed_folder(&self, state_dir: &Path) -> PathBuf {
        let name = hex(&Sha256::digest(&self.config.repository));
        state_dir.join(FOLDER).join(&name[..DIGITS])
    }
}

/// What is owed to the repository whose folder this is.
fn read(folder: &Dir) -> anyhow::Result<Owed> {
    let mut owed = Owed::default();
    let names = folder.names()?.into_iter();
    // What is being written has a name of its own until it is whole.
    let names = names.filter_map(|name| name.into_string().ok());
    for name in names.filter(|name| !name.starts_with('.')) {
        let Some(run) = name.strip_prefix(FORGET) else {
            owed.undone.insert(name);
            continue;
        };
        // It may have been settled just now.
        if let Some(text) = folder.read(&name, LONGEST)? {
            let forget = serde_json::from_slice(&text);
            let forget = forget.with_context(|| format!("{name} of what is owed is damaged"))?;
            owed.forgets.insert(run.to_owned(), forget);
        }
    }
    Ok(owed)
}

/// The name of what this run was to forget.
fn forget_of(run: Run) -> String {
    format!("{FORGET}{run}")
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
    owed.map(|repository| Ok(read(&top.dir(repository)?)?.len()))
        .sum()
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
        assert_eq!((owed.len(), owed.left_by(run)), (1, 0));
        assert_eq!(owed_anywhere(scratch.path()).expect("read"), 1);
        for nobodys in [&other, &restic("/srv/restic")] {
            assert!(nobodys.owed(scratch.path()).expect("read").is_empty());
        }
        let snapshot = |id: &str, run: &str| Snapshot {
            id: id.to_owned(),
            tags: vec!["kolga".to_owned(), format!("run={run}")],
        };
        assert!(owed.is(&snapshot("1", &run.to_string())));
        assert!(!owed.is(&snapshot("1", "another")));
        assert_eq!(owed.unused(), None);

        // What a task was to forget goes by the snapshots' own names, and the strictest has its way.
        let folder = other.expect_to_owe(scratch.path()).expect("made");
        for (wholly, ids) in [(false, "1 2"), (true, "3")] {
            let ids = ids.split(' ').map(str::to_owned).collect();
            let text = serde_json::to_vec(&Forget { ids, wholly }).expect("JSON");
            let run = Run::new(TaskId::generate(), Attempt::FIRST);
            let written = folder.write_atomically(forget_of(run), &text, 0o600);
            written.expect("written");
        }
        let owed = other.owed(scratch.path()).expect("read");
        assert_eq!((owed.len(), owed.unused()), (3, Some("0")));
        assert!(owed.is(&snapshot("3", "another")) && !owed.is(&snapshot("4", "another")));
        assert_eq!(owed_anywhere(scratch.path()).expect("read"), 4);
    }
}
