//! Copying a tree: files, folders, links as links. Nothing else, and no set-user-id bits.

use std::ffi::CStr;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::{FileType, Mode, OFlags, Timespec, Timestamps};

use super::Dir;

/// No real application nests its code deeper.
const DEPTH: usize = 128;
const PIECE: usize = 1024 * 1024;

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Files and links.
    pub files: u64,
    /// Bytes in the files.
    pub bytes: u64,
}

impl Dir {
    /// Copies all that is in `source` into this folder, which should be empty. `check` is asked all the
    /// while; its error ends the copying.
    ///
    /// # Errors
    /// That of `check`; when something is neither file, folder nor link, or cannot be read or written.
    /// What was copied until then stays, for the caller to remove.
    pub fn copy_from(
        &self,
        source: &Dir,
        check: &mut dyn FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<Copied> {
        let mut copy = Copy {
            copied: Copied::default(),
            check,
            buffer: vec![0; PIECE],
        };
        copy.folder(source.as_fd(), self.as_fd(), source.path(), 0)?;
        Ok(copy.copied)
    }
}

struct Copy<'a> {
    copied: Copied,
    check: &'a mut dyn FnMut() -> anyhow::Result<()>,
    buffer: Vec<u8>,
}

impl Copy<'_> {
    fn folder(
        &mut self,
        from: impl AsFd,
        to: impl AsFd,
        path: &Path,
        depth: usize,
    ) -> anyhow::Result<()> {
        anyhow::ensure!(depth < DEPTH, "{} is nested too deep", path.display());
        for entry in rustix::fs::Dir::read_from(&from)
            .with_context(|| format!("cannot read the folder {}", path.display()))?
        {
            let entry = entry.with_context(|| format!("cannot read {}", path.display()))?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            (self.check)()?;
            let path: PathBuf = path.join(std::ffi::OsStr::from_bytes(name.to_bytes()));
            self.entry(&from, &to, name, &path, depth)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        from: impl AsFd,
        to: impl AsFd,
        name: &CStr,
        path: &Path,
        depth: usize,
    ) -> anyhow::Result<()> {
        let context = || format!("cannot copy {}", path.display());
        let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = rustix::fs::statat(&from, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
            .with_context(context)?;
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Symlink => {
                let target =
                    rustix::fs::readlinkat(&from, name, Vec::new()).with_context(context)?;
                rustix::fs::symlinkat(target, &to, name).with_context(context)?;
                self.copied.files += 1;
            }
            FileType::Directory => {
                let source = rustix::fs::openat(
                    &from,
                    name,
                    flags | OFlags::DIRECTORY | OFlags::RDONLY,
                    Mode::empty(),
                )
                .with_context(context)?;
                rustix::fs::mkdirat(&to, name, Mode::RWXU).with_context(context)?;
                let target = rustix::fs::openat(
                    &to,
                    name,
                    flags | OFlags::DIRECTORY | OFlags::RDONLY,
                    Mode::empty(),
                )
                .with_context(context)?;
                self.folder(&source, &target, path, depth + 1)?;
                finish(&source, &target).with_context(context)?;
            }
            FileType::RegularFile => {
                // Opened without blocking, in case it has become a pipe since it was looked at.
                let source = rustix::fs::openat(
                    &from,
                    name,
                    flags | OFlags::RDONLY | OFlags::NONBLOCK,
                    Mode::empty(),
                )
                .with_context(context)?;
                let target = rustix::fs::openat(
                    &to,
                    name,
                    flags | OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY,
                    Mode::RUSR | Mode::WUSR,
                )
                .with_context(context)?;
                let (mut source, mut target) = (File::from(source), File::from(target));
                anyhow::ensure!(
                    source.metadata()?.is_file(),
                    "{} changes while it is copied",
                    path.display()
                );
                self.content(&mut source, &mut target)
                    .with_context(context)?;
                finish(&source.into(), &target.into()).with_context(context)?;
                self.copied.files += 1;
            }
            _ => anyhow::bail!("{} is neither a file, a folder nor a link", path.display()),
        }
        Ok(())
    }

    fn content(&mut self, source: &mut File, target: &mut File) -> anyhow::Result<()> {
        loop {
            let count = source.read(&mut self.buffer)?;
            if count == 0 {
                return Ok(());
            }
            target.write_all(&self.buffer[..count])?;
            self.copied.bytes += count as u64;
            (self.check)()?;
        }
    }
}

/// The mode without its special bits, and the time of the last change.
fn finish(source: &OwnedFd, target: &OwnedFd) -> anyhow::Result<()> {
    let found = rustix::fs::fstat(source)?;
    rustix::fs::fchmod(target, Mode::from_raw_mode(found.st_mode & 0o777))?;
    let changed = Timespec {
        tv_sec: found.st_mtime,
        tv_nsec: i64::try_from(found.st_mtime_nsec)?,
    };
    rustix::fs::futimens(
        target,
        &Timestamps {
            last_access: changed,
            last_modification: changed,
        },
    )?;
    Ok(())
}
