//! Files and folders by descriptor. Whatever a tenant or a task may write is reached only from here.
//!
//! A [`Dir`] is an open folder; everything below it is reached by name from its descriptor, beneath it,
//! through no symbolic link, so that nobody who can write there can lead the worker elsewhere. Steps and
//! [`crate::secrets`], [`crate::registry`] and [`crate::services`] work on it. All of it blocks, mostly
//! shortly; what walks a tree belongs into [`blocking`].

mod acl;
mod copy;
mod look;
mod mounts;
mod owned;
mod remove;
mod settle;
mod size;
mod take_in;
mod users;
mod write;

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use kolga_protocol::fault;
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;

pub use acl::{Access, Rights};
pub use copy::Copied;
pub use look::{Identity, Kind, Looks};
pub use mounts::mounted_below;
pub use owned::MARK;
pub use take_in::{Bounds, Choice, Taken, Weighed};
pub use users::user_id;

/// How often a lookup is tried again when somebody renames on the way (openat2(2), `EAGAIN`).
const RETRIES: usize = 64;

/// An open folder.
#[derive(Clone, Debug)]
pub struct Dir {
    fd: Arc<OwnedFd>,
    path: PathBuf,
}

/// Runs what takes long on a thread where that is right.
///
/// # Errors
/// Those of `work`.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let work = || {
        // These threads do nothing else.
        crate::process::give_way();
        work()
    };
    tokio::task::spawn_blocking(work)
        .await
        .context("the work on files broke off")?
}

impl Dir {
    /// Opens a folder that the operator's configuration names, so links on the way to it are the
    /// operator's own.
    ///
    /// # Errors
    /// When it is not there or may not be read.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let fd = rustix::fs::open(
            path,
            OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .with_context(|| format!("cannot open the folder {}", path.display()))?;
        Ok(Self::new(fd, path.to_owned()))
    }

    /// Opens a folder of the worker's own, made with this mode where it is missing; its parent must be
    /// there.
    ///
    /// # Errors
    /// When it can be neither opened nor made.
    pub fn open_or_make(path: &Path, mode: u32) -> anyhow::Result<Self> {
        if let Ok(dir) = Self::open(path) {
            return Ok(dir);
        }
        let parent = Self::open(path.parent().context("the root folder is not to be made")?)?;
        let name = path.file_name().context("a folder has a name")?;
        match parent.make_dir(name, mode) {
            Ok(dir) => Ok(dir),
            // Somebody else of this process was faster.
            Err(error) => Self::open(path).map_err(|_| error),
        }
    }

    fn new(fd: OwnedFd, path: PathBuf) -> Self {
        Self {
            fd: Arc::new(fd),
            path,
        }
    }

    /// Where it was when it was opened: for showing, and for children's argv.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder at this relative path, beneath, through no link.
    ///
    /// # Errors
    /// When it is not there, is no folder, or a link is on the way.
    pub fn dir(&self, relative: impl AsRef<Path>) -> anyhow::Result<Self> {
        let relative = relative.as_ref();
        let fd = self
            .open_beneath(relative, OFlags::DIRECTORY | OFlags::RDONLY)
            .with_context(|| format!("cannot open the folder {}", self.shown(relative)))?;
        Ok(Self::new(fd, self.path.join(relative)))
    }

    fn open_beneath(&self, relative: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        for _ in 0..RETRIES {
            let opened = rustix::fs::openat2(
                &*self.fd,
                relative,
                flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK,
                Mode::empty(),
                ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
            );
            match opened {
                Err(Errno::AGAIN) => {}
                other => return other,
            }
        }
        Err(Errno::AGAIN)
    }

    /// Makes a folder with exactly this mode, whatever the umask.
    ///
    /// # Errors
    /// When anything of that name is there, or it cannot be made.
    pub fn make_dir(&self, name: impl AsRef<OsStr>, mode: u32) -> anyhow::Result<Self> {
        let name = component(name.as_ref())?;
        let context = || format!("cannot make the folder {}", self.shown(name));
        rustix::fs::mkdirat(&*self.fd, name, Mode::RWXU).with_context(context)?;
        let dir = self.dir(name)?;
        dir.set_mode(mode).with_context(context)?;
        self.sync()?;
        Ok(dir)
    }

    /// Gives this folder exactly this mode.
    ///
    /// # Errors
    /// When it is another user's.
    pub fn set_mode(&self, mode: u32) -> anyhow::Result<()> {
        rustix::fs::fchmod(&*self.fd, Mode::from_raw_mode(mode))
            .with_context(|| format!("cannot change the mode of {}", self.path.display()))
    }

    /// Gives the file or folder of this name the mode `to` when it has the mode `from`, whatever rights that one
    /// gives; no link is followed, and nothing has to be there.
    ///
    /// # Errors
    /// When it is another user's.
    pub fn change_mode(&self, name: impl AsRef<OsStr>, from: u32, to: u32) -> anyhow::Result<()> {
        use std::os::fd::AsRawFd as _;
        let name = component(name.as_ref())?;
        let context = || format!("cannot change the mode of {}", self.shown(name));
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = match rustix::fs::openat(&*self.fd, name, flags, Mode::empty()) {
            Ok(found) => found,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error).with_context(context),
        };
        if rustix::fs::fstat(&found).with_context(context)?.st_mode & 0o7777 != from {
            return Ok(());
        }
        let opened = format!("/proc/self/fd/{}", found.as_raw_fd());
        rustix::fs::chmod(opened, Mode::from_raw_mode(to)).with_context(context)
    }

    /// Moves what stands at `name` to another folder of the same file system, durably. Never over
    /// anything.
    ///
    /// # Errors
    /// When nothing is there, something is at the target, or the target is on another file system.
    pub fn move_to(
        &self,
        name: impl AsRef<OsStr>,
        target: &Dir,
        target_name: impl AsRef<OsStr>,
    ) -> anyhow::Result<()> {
        let name = component(name.as_ref())?;
        let target_name = component(target_name.as_ref())?;
        rustix::fs::renameat_with(
            &*self.fd,
            name,
            &*target.fd,
            target_name,
            RenameFlags::NOREPLACE,
        )
        .with_context(|| {
            let to = target.shown(target_name);
            format!("cannot move {} to {to}", self.shown(name))
        })?;
        fault::point("files:moved");
        target.sync()?;
        self.sync()
    }

    /// Has what stands at `name` and what stands at `other_name` in another folder of the same file system change places, in one
    /// move, durably.
    ///
    /// # Errors
    /// When one of them is not there, or they are on different file systems.
    pub fn exchange(
        &self,
        name: impl AsRef<OsStr>,
        other: &Dir,
        other_name: impl AsRef<OsStr>,
    ) -> anyhow::Result<()> {
        let name = component(name.as_ref())?;
        let other_name = component(other_name.as_ref())?;
        let (from, to) = (&*self.fd, &*other.fd);
        rustix::fs::renameat_with(from, name, to, other_name, RenameFlags::EXCHANGE).with_context(
            || {
                let with = other.shown(other_name);
                format!("cannot have {} and {with} change places", self.shown(name))
            },
        )?;
        fault::point("files:exchanged");
        other.sync()?;
        self.sync()
    }

    /// Gives a file another name in this folder beside the one it has. Never over anything.
    ///
    /// # Errors
    /// When nothing is there, it is a folder, or something has the other name.
    pub fn link(&self, name: impl AsRef<OsStr>, other: impl AsRef<OsStr>) -> anyhow::Result<()> {
        let (name, other) = (component(name.as_ref())?, component(other.as_ref())?);
        rustix::fs::linkat(&*self.fd, name, &*self.fd, other, AtFlags::empty())
            .with_context(|| format!("cannot name {} {} too", self.shown(name), other.display()))?;
        self.sync()
    }

    /// Gives back to `name` the file that is called `other`, in place of the one that may be there; the
    /// other name goes.
    ///
    /// # Errors
    /// When there is no `other`, or it cannot be moved.
    pub fn put_back(
        &self,
        other: impl AsRef<OsStr>,
        name: impl AsRef<OsStr>,
    ) -> anyhow::Result<()> {
        let (other, name) = (component(other.as_ref())?, component(name.as_ref())?);
        rustix::fs::renameat(&*self.fd, other, &*self.fd, name)
            .with_context(|| format!("cannot put {} back", self.shown(name)))?;
        // Where both names were the same file's, rename(2) has left both.
        match rustix::fs::unlinkat(&*self.fd, other, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => self.sync(),
            Err(error) => {
                Err(error).with_context(|| format!("cannot remove {}", self.shown(other)))
            }
        }
    }

    /// Makes names that were added or removed here durable.
    ///
    /// # Errors
    /// When the disk says so.
    pub fn sync(&self) -> anyhow::Result<()> {
        rustix::fs::fsync(&*self.fd)
            .with_context(|| format!("cannot write the folder {} to disk", self.path.display()))
    }

    /// Makes everything on its file system durable: after a tree was written.
    ///
    /// # Errors
    /// When the disk says so.
    pub fn sync_file_system(&self) -> anyhow::Result<()> {
        rustix::fs::syncfs(&*self.fd)
            .with_context(|| format!("cannot write {} to disk", self.path.display()))
    }

    /// Locks the folder against other processes that lock it too, until this descriptor is closed or its
    /// process ends; whether nobody else has it.
    ///
    /// # Errors
    /// When the file system has no locks.
    pub fn try_lock(&self) -> anyhow::Result<bool> {
        match rustix::fs::flock(
            &*self.fd,
            rustix::fs::FlockOperation::NonBlockingLockExclusive,
        ) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => {
                Err(error).with_context(|| format!("cannot lock {}", self.path.display()))
            }
        }
    }

    fn shown(&self, name: impl AsRef<Path>) -> String {
        self.path.join(name).display().to_string()
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// One component of a path and nothing else, so that no call can be led through a link on the way.
fn component(name: &OsStr) -> anyhow::Result<&OsStr> {
    use std::os::unix::ffi::OsStrExt as _;
    let bytes = name.as_bytes();
    let plain = !matches!(bytes, b"" | b"." | b"..")
        && bytes.len() <= 255
        && !bytes.iter().any(|&b| b == b'/' || b == 0);
    anyhow::ensure!(plain, "{name:?} is not the name of a file");
    Ok(name)
}

#[cfg(test)]
mod tests;
