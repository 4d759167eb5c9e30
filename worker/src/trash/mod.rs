//! The trash: what was a site's and is needed no more, kept until it is old enough (`[trash] keep_days`).
//!
//! An item is what one task has put there past its point of no return ([`mod@discard`] adds the steps): a site's
//! folder, its database, which stays where it is with its user locked out, its secrets and its entry in the
//! spoke's book. It is listed from the moment at which all of it is there.
//!
//! ```text
//! <sites>/.trash/<run>/                 the folder
//! <state>/trash/<run>.json              the item
//! <state>/trash/<run>.secrets           the secrets
//! <state>/trash/<run>.taken             the item while it is brought back
//! <state>/trash/<run>.emptied           the item while it is destroyed
//! ```
//!
//! Task `trash.restore` brings a site back, `trash.empty` and, by age, [`sweep`] destroy. Who renames the item
//! has it, so that two of them are never at one.

mod destroy;
mod discard;
pub mod sweep;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kolga_protocol::id::{Run, TaskId, UnixMillis};
use kolga_protocol::names::{DatabaseName, HostName};
use serde::{Deserialize, Serialize};

use crate::files::Dir;
use crate::registry::SiteEntry;
use crate::secrets::Secrets;

pub use destroy::destroy;
pub use discard::{Discarded, discard};

const FOLDER: &str = "trash";
const LONGEST: u64 = 256 * 1024;
const DAY: i64 = 24 * 60 * 60 * 1000;

/// What one task has put there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The run that did; the item's name.
    pub run: Run,
    /// Of what type its task was.
    pub why: String,
    /// When.
    pub at: UnixMillis,
    /// The site as it was; its database and its database user are the item's.
    pub entry: SiteEntry,
    /// Whether its folder is there.
    pub folder: bool,
    /// Bytes in its folder and its database.
    #[serde(default)]
    pub bytes: u64,
}

impl Item {
    /// Whether it has lain there for so many days.
    #[must_use]
    pub fn is_older_than(&self, days: u32, now: UnixMillis) -> bool {
        now.0.saturating_sub(self.at.0) >= i64::from(days).saturating_mul(DAY)
    }
}

/// The trash of this spoke.
#[derive(Clone, Debug)]
pub struct Trash {
    folder: PathBuf,
}

impl Trash {
    /// That below the worker's own folder.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self {
            folder: state_dir.join(FOLDER),
        }
    }

    /// What is there, the newest first.
    ///
    /// # Errors
    /// When an item cannot be read.
    pub fn list(&self) -> anyhow::Result<Vec<Item>> {
        let mut items = self.all(&[ITEM])?;
        items.sort_by_key(|item| std::cmp::Reverse((item.at, item.run)));
        Ok(items)
    }

    /// What this task has put there.
    ///
    /// # Errors
    /// When nothing is there of it.
    pub fn find(&self, task: TaskId) -> anyhow::Result<Item> {
        let found = self.list()?.into_iter().find(|item| item.run.task == task);
        found.with_context(|| format!("nothing of task {task} is in the trash of this spoke"))
    }

    /// Whether this is the name of a database in the trash, or of one on its way out of it.
    ///
    /// # Errors
    /// When an item cannot be read.
    pub fn holds_database(&self, name: &DatabaseName) -> anyhow::Result<bool> {
        let items = self.all(&[ITEM, TAKEN, EMPTIED])?;
        Ok(items
            .iter()
            .any(|item| item.entry.database.as_ref() == Some(name)))
    }

    /// Lists an item from now on. Its parts have to be there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, item: &Item) -> anyhow::Result<()> {
        let bytes = serde_json::to_vec_pretty(item)?;
        self.dir()?
            .write_atomically(file(item.run, ITEM), &bytes, 0o600)
    }

    /// Moves a site's secrets here, when they are `owner`'s.
    ///
    /// # Errors
    /// When they cannot be moved.
    pub fn keep_secrets(
        &self,
        secrets: &Secrets,
        host: &HostName,
        owner: &str,
        run: Run,
    ) -> anyhow::Result<()> {
        if secrets
            .load(host)?
            .is_some_and(|there| there.owner == owner)
        {
            secrets.move_out(host, &self.dir()?, &file(run, SECRETS))?;
        }
        Ok(())
    }

    /// Moves them back to the site, whose name must be free; nothing has to be there.
    ///
    /// # Errors
    /// When they cannot be moved.
    pub fn give_secrets_back(
        &self,
        secrets: &Secrets,
        host: &HostName,
        run: Run,
    ) -> anyhow::Result<()> {
        let dir = self.dir()?;
        if dir.kind(file(run, SECRETS))?.is_some() {
            secrets.move_in(&dir, &file(run, SECRETS), host)?;
        }
        Ok(())
    }

    /// Takes an item out of the list, to bring it back or (`emptied`) to destroy it; what it says. `None` when
    /// somebody else has it, or nobody knows it.
    ///
    /// # Errors
    /// When it cannot be moved or read.
    pub fn take(&self, run: Run, emptied: bool) -> anyhow::Result<Option<Item>> {
        let dir = self.dir()?;
        let taken = file(run, if emptied { EMPTIED } else { TAKEN });
        if dir.kind(file(run, ITEM))?.is_some() {
            dir.move_to(file(run, ITEM), &dir, &taken)?;
        }
        read(&dir, &taken)
    }

    /// Lists an item again that was taken to be brought back.
    ///
    /// # Errors
    /// When it cannot be moved.
    pub fn give_back(&self, run: Run) -> anyhow::Result<()> {
        let dir = self.dir()?;
        if dir.kind(file(run, TAKEN))?.is_some() {
            dir.move_to(file(run, TAKEN), &dir, file(run, ITEM))?;
        }
        Ok(())
    }

    /// Forgets an item that was brought back or destroyed, with secrets that may still lie here.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn forget(&self, run: Run) -> anyhow::Result<()> {
        let dir = self.dir()?;
        for sort in [SECRETS, TAKEN, EMPTIED] {
            dir.remove_file(file(run, sort))?;
        }
        dir.remove_half_written(file(run, ITEM))
    }

    /// Every item with a folder, also those that are being brought back or destroyed.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn all_with_folders(&self) -> anyhow::Result<Vec<Item>> {
        let mut items = self.all(&[ITEM, TAKEN, EMPTIED])?;
        items.retain(|item| item.folder);
        Ok(items)
    }

    /// Items whose destruction was begun and not finished.
    fn begun(&self) -> anyhow::Result<Vec<Item>> {
        self.all(&[EMPTIED])
    }

    fn all(&self, sorts: &[&str]) -> anyhow::Result<Vec<Item>> {
        let dir = self.dir()?;
        let mut items = Vec::new();
        for name in dir.names()? {
            let Some(name) = name.to_str() else { continue };
            let parts = name.rsplit_once('.');
            if let Some((run, sort)) = parts
                && sorts.contains(&sort)
                && run.parse::<Run>().is_ok()
            {
                items.extend(read(&dir, name)?);
            }
        }
        Ok(items)
    }

    fn dir(&self) -> anyhow::Result<Dir> {
        Dir::open_or_make(&self.folder, 0o700).context("cannot get at the trash's list")
    }
}

const ITEM: &str = "json";
const SECRETS: &str = "secrets";
const TAKEN: &str = "taken";
const EMPTIED: &str = "emptied";

fn file(run: Run, sort: &str) -> String {
    format!("{run}.{sort}")
}

fn read(dir: &Dir, name: &str) -> anyhow::Result<Option<Item>> {
    let Some(bytes) = dir.read(name, LONGEST)? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .with_context(|| format!("{} is damaged", dir.path().join(name).display()))
}

#[cfg(test)]
mod tests;
