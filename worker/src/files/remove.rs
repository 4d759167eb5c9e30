//! Removing a whole tree without following a link, leaving its file system, or running out of descriptors.

use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use anyhow::Context as _;
use kolga_protocol::fault;
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::{Dir, Identity, component};

/// Deeper than this, a folder is first moved up to the top of the tree: nesting costs a descriptor and
/// a stack frame a level, and whoever wrote the tree chose the depth.
const DEPTH: usize = 48;
/// How often a folder is looked at again because something was in it anew.
const PASSES: usize = 10_000;

impl Dir {
    /// Removes what stands at this name and all below it; nothing has to be there.
    ///
    /// # Errors
    /// Names what could not be removed and why. What could be is gone.
    pub fn remove_tree(&self, name: impl AsRef<OsStr>) -> anyhow::Result<()> {
        let name = component(name.as_ref())?;
        match rustix::fs::unlinkat(self, name, AtFlags::empty()) {
            Ok(()) => return self.sync(),
            Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR) => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot remove {}", self.shown(name)));
            }
        }
        let top = open(self.as_fd(), name)
            .with_context(|| format!("cannot open the folder {}", self.shown(name)))?;
        let device = rustix::fs::fstat(&top)?.st_dev;
        anyhow::ensure!(
            device == rustix::fs::fstat(self)?.st_dev,
            "{} is where another file system is mounted: unmount it first",
            self.shown(name)
        );
        let mut removal = Removal {
            top: top.try_clone()?,
            device,
            moved: 0,
        };
        fault::point("files:remove");
        removal.empty(&top, &self.path().join(name), 0)?;
        fault::point("files:emptied");
        rustix::fs::unlinkat(self, name, AtFlags::REMOVEDIR)
            .with_context(|| format!("cannot remove the folder {}", self.shown(name)))?;
        self.sync()
    }

    /// Removes the tree at this name when it is this very one; says whether there was anything to do.
    ///
    /// # Errors
    /// Those of [`Dir::remove_tree`], and when another one stands there.
    pub fn remove_tree_of(&self, name: impl AsRef<OsStr>, of: &Identity) -> anyhow::Result<bool> {
        let name = name.as_ref();
        match self.identity(name)? {
            None => Ok(false),
            Some(found) if found == *of => self.remove_tree(name).map(|()| true),
            Some(_) => anyhow::bail!("{} is not the one that this task made", self.shown(name)),
        }
    }
}

struct Removal {
    top: OwnedFd,
    device: u64,
    moved: u64,
}

impl Removal {
    fn empty(&mut self, dir: &OwnedFd, path: &Path, depth: usize) -> anyhow::Result<()> {
        // What is ours may lack the right to be emptied; what is not ours fails below, with its name.
        rustix::fs::fchmod(dir, Mode::RWXU).ok();
        for _ in 0..PASSES {
            let mut seen = false;
            for entry in rustix::fs::Dir::read_from(dir)? {
                let entry = entry.with_context(|| format!("cannot read {}", path.display()))?;
                let name = entry.file_name();
                if name == c"." || name == c".." {
                    continue;
                }
                seen = true;
                let path = path.join(OsStr::from_bytes(name.to_bytes()));
                self.remove(dir, name, &path, depth)?;
            }
            if !seen {
                return Ok(());
            }
        }
        anyhow::bail!("{} is filled while it is being emptied", path.display())
    }

    fn remove(
        &mut self,
        dir: &OwnedFd,
        name: &CStr,
        path: &Path,
        depth: usize,
    ) -> anyhow::Result<()> {
        let context = || format!("cannot remove {}", path.display());
        match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR) => {}
            Err(error) => return Err(error).with_context(context),
        }
        if depth >= DEPTH {
            return self.move_up(dir, name).with_context(context);
        }
        let below = match open(dir.as_fd(), name) {
            Ok(below) => below,
            Err(error) if is_another_now(error) => return Ok(()),
            Err(error) => return Err(error).with_context(context),
        };
        anyhow::ensure!(
            rustix::fs::fstat(&below)?.st_dev == self.device,
            "{} is where another file system is mounted: unmount it first",
            path.display()
        );
        self.empty(&below, path, depth + 1)?;
        match rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
            Ok(()) => Ok(()),
            Err(error) if is_another_now(error) => Ok(()),
            Err(error) => Err(error).with_context(context),
        }
    }

    /// To the top, whose next pass finds it there.
    fn move_up(&mut self, dir: &OwnedFd, name: &CStr) -> Result<(), Errno> {
        loop {
            self.moved += 1;
            let new = format!(".kolga-deep-{}", self.moved);
            let moved =
                rustix::fs::renameat_with(dir, name, &self.top, new, RenameFlags::NOREPLACE);
            match moved {
                Err(Errno::EXIST) => {}
                other => return other,
            }
        }
    }
}

/// Whether somebody has put something else at a name since it was looked at, or into what it names: the next pass finds it. A
/// tenant who swaps folders for links would keep himself from being deleted otherwise.
fn is_another_now(error: Errno) -> bool {
    [Errno::NOENT, Errno::NOTDIR, Errno::LOOP, Errno::NOTEMPTY].contains(&error)
}

fn open<P: rustix::path::Arg + Copy>(dir: BorrowedFd<'_>, name: P) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(dir, name, flags | OFlags::RDONLY, Mode::empty()) {
        // A folder of ours that we may not read: by a descriptor that needs no right, so that the mode
        // is changed of this very folder and not of what a link at its name would lead to.
        Err(Errno::ACCESS) => {
            use std::os::fd::AsRawFd as _;
            let folder = rustix::fs::openat(dir, name, flags | OFlags::PATH, Mode::empty())?;
            rustix::fs::chmod(format!("/proc/self/fd/{}", folder.as_raw_fd()), Mode::RWXU)?;
            rustix::fs::openat(&folder, c".", flags | OFlags::RDONLY, Mode::empty())
        }
        other => other,
    }
}
