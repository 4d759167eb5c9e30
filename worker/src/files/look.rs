//! Looking at what is there, without following a link.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use anyhow::Context as _;
use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::{Dir, component};

/// Which file or folder something is, whatever its name: for undo to know its own again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The device.
    pub dev: u64,
    /// The inode on it.
    pub ino: u64,
    /// When it was made, in nanoseconds, where the file system tells: inode numbers are given again.
    #[serde(default)]
    pub born: Option<i128>,
}

/// What stands at a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Dir,
    /// A symbolic link, wherever to.
    Link,
    /// A device, a socket or a pipe.
    Other,
}

/// How something looks from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looks {
    /// What it is.
    pub kind: Kind,
    /// Its mode, without the kind.
    pub mode: u32,
    /// Its owner's number.
    pub owner: u32,
}

impl Dir {
    /// What stands at this name, links not followed; `None` when nothing does.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn kind(&self, name: impl AsRef<OsStr>) -> anyhow::Result<Option<Kind>> {
        Ok(self.looks(name)?.map(|looks| looks.kind))
    }

    /// How what stands at this name looks, links not followed; `None` when nothing does.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn looks(&self, name: impl AsRef<OsStr>) -> anyhow::Result<Option<Looks>> {
        let name = component(name.as_ref())?;
        match rustix::fs::statat(&*self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Looks {
                kind: match FileType::from_raw_mode(stat.st_mode) {
                    FileType::RegularFile => Kind::File,
                    FileType::Directory => Kind::Dir,
                    FileType::Symlink => Kind::Link,
                    _ => Kind::Other,
                },
                mode: stat.st_mode & 0o7777,
                owner: stat.st_uid,
            })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => {
                Err(error).with_context(|| format!("cannot look at {}", self.shown(name)))
            }
        }
    }

    /// Where the link of this name leads to; `None` when nothing is there, or no link.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn link_target(&self, name: impl AsRef<OsStr>) -> anyhow::Result<Option<PathBuf>> {
        use std::os::unix::ffi::OsStringExt as _;
        let name = component(name.as_ref())?;
        match rustix::fs::readlinkat(&*self.fd, name, Vec::new()) {
            Ok(target) => Ok(Some(OsString::from_vec(target.into_bytes()).into())),
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(error) => {
                Err(error).with_context(|| format!("cannot look at {}", self.shown(name)))
            }
        }
    }

    /// Which one stands at this name; `None` when nothing does.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn identity(&self, name: impl AsRef<OsStr>) -> anyhow::Result<Option<Identity>> {
        use rustix::fs::StatxFlags;
        let name = component(name.as_ref())?;
        let wanted = StatxFlags::INO | StatxFlags::BTIME;
        match rustix::fs::statx(&*self.fd, name, AtFlags::SYMLINK_NOFOLLOW, wanted) {
            Ok(found) => {
                let born = StatxFlags::from_bits_retain(found.stx_mask)
                    .contains(StatxFlags::BTIME)
                    .then(|| {
                        i128::from(found.stx_btime.tv_sec) * 1_000_000_000
                            + i128::from(found.stx_btime.tv_nsec)
                    });
                Ok(Some(Identity {
                    dev: u64::from(found.stx_dev_major) << 32 | u64::from(found.stx_dev_minor),
                    ino: found.stx_ino,
                    born,
                }))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(error) => {
                Err(error).with_context(|| format!("cannot look at {}", self.shown(name)))
            }
        }
    }

    /// The names in it, in their order.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn names(&self) -> anyhow::Result<Vec<OsString>> {
        use std::os::unix::ffi::OsStrExt as _;
        let context = || format!("cannot read the folder {}", self.path.display());
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&*self.fd).with_context(context)? {
            let entry = entry.with_context(context)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Bytes that its file system still has for us.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn free_bytes(&self) -> anyhow::Result<u64> {
        let found = rustix::fs::fstatvfs(&*self.fd)
            .with_context(|| format!("cannot ask how full {} is", self.path.display()))?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }
}
