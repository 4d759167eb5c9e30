//! Folders that say whose they are: the mark by which an undo knows its own folder from a stranger's.
//!
//! A step's record is durable before the folder is made, so it cannot name an inode. Instead the folder
//! is made aside with the owner's name in it, and only then gets its name, never over anything.

use std::ffi::{OsStr, OsString};

use anyhow::Context as _;

use super::{Dir, Kind, component};
use kolga_protocol::fault;

/// The file that names the owner.
pub const MARK: &str = ".kolga-owner";
const MARK_BYTES: u64 = 4096;

/// The name under which the mark of the owner before `owner` is kept.
fn former(owner: &str) -> String {
    format!("{MARK}.{owner}")
}

fn aside(name: &OsStr) -> OsString {
    let mut aside = OsString::from(".");
    aside.push(name);
    aside.push(".made");
    aside
}

impl Dir {
    /// Makes a folder with exactly this mode that belongs to `owner`, such as `run.to_string()`.
    ///
    /// # Errors
    /// When anything of that name is there, or it cannot be made.
    pub fn make_owned_dir(
        &self,
        name: impl AsRef<OsStr>,
        mode: u32,
        owner: &str,
    ) -> anyhow::Result<Dir> {
        let name = component(name.as_ref())?;
        anyhow::ensure!(
            self.kind(name)?.is_none(),
            "{} is there already: move it away first",
            self.shown(name)
        );
        let aside = aside(name);
        // Only a crash leaves one: the caller holds the lock on what the folder is for.
        self.remove_tree(&aside)?;
        let dir = self.make_dir(&aside, 0o700)?;
        dir.write_atomically(MARK, owner.as_bytes(), 0o444)?;
        dir.set_mode(mode)?;
        dir.sync()?;
        fault::point("files:made_aside");
        self.move_to(&aside, self, name)?;
        self.dir(name)
    }

    /// Who owns the folder of this name: `None` when it is not there or says nothing.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn owner_of(&self, name: impl AsRef<OsStr>) -> anyhow::Result<Option<String>> {
        let name = component(name.as_ref())?;
        if self.kind(name)? != Some(Kind::Dir) {
            return Ok(None);
        }
        let mark = self.dir(name)?.read(MARK, MARK_BYTES)?;
        mark.map(|bytes| String::from_utf8(bytes).context("the mark of an owner is not text"))
            .transpose()
    }

    /// Gives the folder of this name, which has an owner, another one.
    ///
    /// # Errors
    /// When it has none, or the mark cannot be written; it is then as it was.
    pub fn give_to(&self, name: impl AsRef<OsStr>, owner: &str) -> anyhow::Result<()> {
        let name = component(name.as_ref())?;
        let folder = self.dir(name)?;
        anyhow::ensure!(
            folder.kind(MARK)? == Some(Kind::File),
            "{} belongs to nobody",
            self.shown(name)
        );
        folder.write_atomically(MARK, owner.as_bytes(), 0o444)
    }

    /// The same, and the mark that was there is kept, so that [`Dir::give_back`] needs no room.
    ///
    /// # Errors
    /// As [`Dir::give_to`].
    pub fn lend_to(&self, name: impl AsRef<OsStr>, owner: &str) -> anyhow::Result<()> {
        let name = component(name.as_ref())?;
        let folder = self.dir(name)?;
        if folder.kind(MARK)? == Some(Kind::File) {
            folder.link(MARK, former(owner))?;
            fault::point("files:former_mark");
        }
        self.give_to(name, owner)
    }

    /// Gives the folder of this name, which was lent to `owner`, back to whose it was, who is called `former_owner`.
    ///
    /// # Errors
    /// When the mark cannot be put back.
    pub fn give_back(
        &self,
        name: impl AsRef<OsStr>,
        owner: &str,
        former_owner: &str,
    ) -> anyhow::Result<()> {
        let name = component(name.as_ref())?;
        let folder = self.dir(name)?;
        match folder.kind(former(owner))? {
            Some(_) => folder.put_back(former(owner), MARK),
            // Lent by a release that kept none.
            None => self.give_to(name, former_owner),
        }
    }

    /// Removes the mark that was kept when the folder of this name was lent to `owner`; neither has to be there.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn drop_former_mark(&self, name: impl AsRef<OsStr>, owner: &str) -> anyhow::Result<()> {
        let name = component(name.as_ref())?;
        match self.kind(name)? {
            Some(Kind::Dir) => self.dir(name)?.remove_file(former(owner)),
            _ => Ok(()),
        }
    }

    /// Removes what a crash left of [`Dir::give_to`]; nothing has to be there.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn clean_mark(&self, name: impl AsRef<OsStr>) -> anyhow::Result<()> {
        let name = component(name.as_ref())?;
        match self.kind(name)? {
            Some(Kind::Dir) => self.dir(name)?.remove_half_written(MARK),
            _ => Ok(()),
        }
    }

    /// Removes the folder of this name with all in it when it is `owner`'s, and what a crash left of
    /// making it. Says whether the folder was there. One that is somebody else's stays.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove_owned_dir(&self, name: impl AsRef<OsStr>, owner: &str) -> anyhow::Result<bool> {
        let name = component(name.as_ref())?;
        self.remove_tree(aside(name))?;
        if self.owner_of(name)?.as_deref() != Some(owner) {
            return Ok(false);
        }
        // Out of the way first: its mark may go before the rest does, and a crash in between must
        // leave something that the next try knows again.
        self.move_to(name, self, aside(name))?;
        fault::point("files:moved_aside");
        self.remove_tree(aside(name))?;
        Ok(true)
    }
}
