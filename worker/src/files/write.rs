//! Whole files: written aside and renamed, so that a reader or a crash sees the old one or the new one.

use std::ffi::{OsStr, OsString};
use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::Context as _;
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, Timespec, Timestamps, UTIME_NOW};
use rustix::io::Errno;

use super::{Dir, component};
use kolga_protocol::fault;

/// The name under which a file is written aside. Always the same for a file, so that what a crash left
/// there is overwritten by the next try and removed together with the file.
fn aside(name: &OsStr) -> OsString {
    let mut aside = OsString::from(".");
    aside.push(name);
    aside.push(".new");
    aside
}

impl Dir {
    /// Writes a file of exactly this mode, in place of one that may be there, durably.
    ///
    /// # Errors
    /// When it cannot be written; what was there before is then there still.
    pub fn write_atomically(
        &self,
        name: impl AsRef<OsStr>,
        bytes: &[u8],
        mode: u32,
    ) -> anyhow::Result<()> {
        self.write(name.as_ref(), bytes, mode, RenameFlags::empty())
    }

    /// The same, but never over anything.
    ///
    /// # Errors
    /// Also when something of that name is there.
    pub fn write_new(
        &self,
        name: impl AsRef<OsStr>,
        bytes: &[u8],
        mode: u32,
    ) -> anyhow::Result<()> {
        self.write(name.as_ref(), bytes, mode, RenameFlags::NOREPLACE)
    }

    fn write(&self, name: &OsStr, bytes: &[u8], mode: u32, how: RenameFlags) -> anyhow::Result<()> {
        let name = component(name)?;
        let aside = aside(name);
        let written = (|| {
            self.write_aside(&aside, bytes, mode)?;
            fault::point("files:written_aside");
            rustix::fs::renameat_with(self, &aside, self, name, how)?;
            fault::point("files:written");
            Ok::<_, anyhow::Error>(())
        })();
        if written.is_err() {
            rustix::fs::unlinkat(self, &aside, AtFlags::empty()).ok();
        }
        written.with_context(|| format!("cannot write {}", self.shown(name)))?;
        self.sync()
    }

    fn write_aside(&self, aside: &OsStr, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
        match rustix::fs::unlinkat(self, aside, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let fd = rustix::fs::openat(
            self,
            aside,
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::RUSR | Mode::WUSR,
        )?;
        let mut file = std::fs::File::from(fd);
        file.write_all(bytes)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        file.sync_all()?;
        Ok(())
    }

    /// A regular file's content; `None` when nothing is there.
    ///
    /// # Errors
    /// When something else than a regular file is there, it is longer than `most`, or cannot be read.
    pub fn read(&self, name: impl AsRef<OsStr>, most: u64) -> anyhow::Result<Option<Vec<u8>>> {
        let name = component(name.as_ref())?;
        let context = || format!("cannot read {}", self.shown(name));
        let fd = match self.open_beneath(Path::new(name), OFlags::RDONLY) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error).with_context(context),
        };
        let file = std::fs::File::from(fd);
        let found = file.metadata().with_context(context)?;
        anyhow::ensure!(
            found.is_file(),
            "{} is not a regular file",
            self.shown(name)
        );
        let mut bytes = Vec::new();
        file.take(most + 1)
            .read_to_end(&mut bytes)
            .with_context(context)?;
        anyhow::ensure!(
            bytes.len() as u64 <= most,
            "{} is longer than {most} bytes",
            self.shown(name)
        );
        Ok(Some(bytes))
    }

    /// Makes a file of the worker's own, mode 0600, to be written piece by piece. Never over anything.
    ///
    /// # Errors
    /// When something of that name is there, or it cannot be made.
    pub fn create_file(&self, name: impl AsRef<OsStr>) -> anyhow::Result<std::fs::File> {
        let name = component(name.as_ref())?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(self, name, flags, Mode::RUSR | Mode::WUSR)
            .with_context(|| format!("cannot make {}", self.shown(name)))?;
        Ok(fd.into())
    }

    /// Opens a regular file to read it piece by piece.
    ///
    /// # Errors
    /// When it is not there, is something else, or cannot be read.
    pub fn open_file(&self, name: impl AsRef<OsStr>) -> anyhow::Result<std::fs::File> {
        let name = component(name.as_ref())?;
        let context = || format!("cannot read {}", self.shown(name));
        let fd = self.open_beneath(Path::new(name), OFlags::RDONLY);
        let file = std::fs::File::from(fd.with_context(context)?);
        anyhow::ensure!(
            file.metadata().with_context(context)?.is_file(),
            "{} is not a regular file",
            self.shown(name)
        );
        Ok(file)
    }

    /// Makes a file as new as if it had been written now.
    ///
    /// # Errors
    /// When it is not there, or not ours.
    pub fn touch(&self, name: impl AsRef<OsStr>) -> anyhow::Result<()> {
        let name = component(name.as_ref())?;
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_NOW,
        };
        let times = Timestamps {
            last_access: now,
            last_modification: now,
        };
        rustix::fs::utimensat(self, name, &times, AtFlags::SYMLINK_NOFOLLOW)
            .with_context(|| format!("cannot touch {}", self.shown(name)))
    }

    /// Removes a file or a link, and what a crash left of writing it; neither has to be there.
    ///
    /// # Errors
    /// When a folder is there, or it cannot be removed.
    pub fn remove_file(&self, name: impl AsRef<OsStr>) -> anyhow::Result<()> {
        let name = component(name.as_ref())?;
        for name in [name, aside(name).as_os_str()] {
            match rustix::fs::unlinkat(self, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT | Errno::NAMETOOLONG) => {}
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("cannot remove {}", self.shown(name)));
                }
            }
        }
        self.sync()
    }

    /// Removes what a crash left of writing this file, and leaves the file.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove_half_written(&self, name: impl AsRef<OsStr>) -> anyhow::Result<()> {
        let aside = aside(component(name.as_ref())?);
        match rustix::fs::unlinkat(self, &aside, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT | Errno::NAMETOOLONG) => Ok(()),
            Err(error) => {
                Err(error).with_context(|| format!("cannot remove {}", self.shown(&aside)))
            }
        }
    }
}
