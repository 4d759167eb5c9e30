//! Copying a tree that others go on changing: files, folders, links as links, with their modes, access lists and times;
//! files of several names stay so, holes stay holes. Nothing else is copied, and no set-user-id bits of files.
//!
//! Whoever can write there cannot lead the copy elsewhere: every name is opened from the descriptor of its folder, and no
//! link is followed. What has gone when its turn comes is not in the copy, as if it had gone before; what has become
//! something else is looked at again. The copy's folder is one that nobody else can enter.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, SeekFrom, Stat, Timespec, Timestamps};
use rustix::io::Errno;

use super::Dir;
use super::acl::copy_lists;

/// No real application nests its code deeper.
const DEPTH: usize = 128;
const PIECE: usize = 1024 * 1024;
/// How often something is looked at again that becomes something else all the while.
const LOOKS: usize = 1000;
const OPEN: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC);

/// What was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Files and links.
    pub files: u64,
    /// Bytes in the files, holes apart.
    pub bytes: u64,
    /// Files and folders that were another user's than the worker's, by their paths below the copied folder.
    pub foreign: BTreeSet<PathBuf>,
    /// What is no file, folder or link, such as a socket, and is not in the copy.
    pub left_out: Vec<PathBuf>,
}

impl Dir {
    /// Copies all that is in `source`, but for what `leave_out` names by its path below it, into this folder, which
    /// should be empty. `check` is asked all the while; its error ends the copying.
    ///
    /// # Errors
    /// That of `check`; when something cannot be read or written. What was copied until then stays, for the caller to
    /// remove.
    pub fn copy_from(
        &self,
        source: &Dir,
        leave_out: &dyn Fn(&Path) -> bool,
        check: &mut dyn FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<Copied> {
        let mut copy = Copy {
            top: self,
            shown: source.path(),
            own: rustix::process::geteuid().as_raw(),
            copied: Copied::default(),
            names: HashMap::new(),
            leave_out,
            check,
            buffer: vec![0; PIECE],
        };
        copy.folder(source.as_fd(), self.as_fd(), Path::new(""), 0)?;
        Ok(copy.copied)
    }
}

/// What became of a name.
enum Found {
    /// It is copied.
    Copied,
    /// There is nothing of it any more.
    Gone,
    /// It is something else than it was a moment ago.
    Changed,
}

struct Copy<'a> {
    top: &'a Dir,
    shown: &'a Path,
    own: u32,
    copied: Copied,
    /// Where in the copy the files are that have other names too.
    names: HashMap<(u64, u64), PathBuf>,
    leave_out: &'a dyn Fn(&Path) -> bool,
    check: &'a mut dyn FnMut() -> anyhow::Result<()>,
    buffer: Vec<u8>,
}

impl Copy<'_> {
    fn folder(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        below: &Path,
        depth: usize,
    ) -> anyhow::Result<()> {
        let shown = self.shown.join(below);
        anyhow::ensure!(depth < DEPTH, "{} is nested too deep", shown.display());
        let names = names(from).with_context(|| format!("cannot read {}", shown.display()))?;
        for name in names {
            (self.check)()?;
            let path = below.join(OsStr::from_bytes(name.to_bytes()));
            if !(self.leave_out)(&path) {
                self.entry(from, to, &name, &path, depth)?;
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &CStr,
        path: &Path,
        depth: usize,
    ) -> anyhow::Result<()> {
        let shown = self.shown.join(path);
        let context = || format!("cannot copy {}", shown.display());
        for _ in 0..LOOKS {
            let looked = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW);
            let Some(looked) = there(looked).with_context(context)? else {
                return Ok(());
            };
            let found = match FileType::from_raw_mode(looked.st_mode) {
                FileType::Symlink => self.link(from, to, name, &looked).with_context(context)?,
                FileType::Directory => self.below(from, to, name, path, depth)?,
                FileType::RegularFile => self.file(from, to, name, path).with_context(context)?,
                _ => {
                    self.copied.left_out.push(path.to_owned());
                    Found::Gone
                }
            };
            match found {
                Found::Copied | Found::Gone => return Ok(()),
                Found::Changed => (self.check)()?,
            }
        }
        anyhow::bail!("{} becomes something else all the while", shown.display())
    }

    fn link(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &CStr,
        looked: &Stat,
    ) -> anyhow::Result<Found> {
        let target = match rustix::fs::readlinkat(from, name, Vec::new()) {
            Ok(target) => target,
            Err(error) => return changed(error),
        };
        rustix::fs::symlinkat(target, to, name)?;
        rustix::fs::utimensat(to, name, &times(looked)?, AtFlags::SYMLINK_NOFOLLOW)?;
        self.copied.files += 1;
        Ok(Found::Copied)
    }

    fn below(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &CStr,
        path: &Path,
        depth: usize,
    ) -> anyhow::Result<Found> {
        let shown = self.shown.join(path);
        let context = || format!("cannot copy the folder {}", shown.display());
        let flags = OPEN | OFlags::DIRECTORY | OFlags::RDONLY;
        let source = match rustix::fs::openat(from, name, flags, Mode::empty()) {
            Ok(source) => source,
            Err(error) => return changed(error).with_context(context),
        };
        rustix::fs::mkdirat(to, name, Mode::RWXU).with_context(context)?;
        let target = rustix::fs::openat(to, name, flags, Mode::empty()).with_context(context)?;
        self.folder(source.as_fd(), target.as_fd(), path, depth + 1)?;
        let found = rustix::fs::fstat(&source).with_context(context)?;
        finish(&source, &target, &found).with_context(context)?;
        self.note_owner(&found, path);
        Ok(Found::Copied)
    }

    fn file(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &CStr,
        path: &Path,
    ) -> anyhow::Result<Found> {
        // Opened without blocking, in case it has become a pipe since it was looked at.
        let flags = OPEN | OFlags::RDONLY | OFlags::NONBLOCK;
        let source = match rustix::fs::openat(from, name, flags, Mode::empty()) {
            Ok(source) => source,
            Err(error) => return changed(error),
        };
        let found = rustix::fs::fstat(&source)?;
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Ok(Found::Changed);
        }
        let key = (found.st_dev, found.st_ino);
        if let (Some(known), true) = (self.names.get(&key), found.st_nlink > 1) {
            match rustix::fs::linkat(self.top, known, to, name, AtFlags::empty()) {
                Ok(()) => {
                    self.note_owner(&found, path);
                    self.copied.files += 1;
                    return Ok(Found::Copied);
                }
                // Then there are two files of it.
                Err(Errno::NAMETOOLONG | Errno::MLINK) => {}
                Err(error) => return Err(error.into()),
            }
        } else if found.st_nlink > 1 {
            self.names.insert(key, path.to_owned());
        }
        let flags = OPEN | OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
        let target = rustix::fs::openat(to, name, flags, Mode::RUSR | Mode::WUSR)?;
        let (source, target) = (File::from(source), File::from(target));
        let length = u64::try_from(found.st_size)?;
        self.content(&source, &target, length)?;
        finish(&source.into(), &target.into(), &found)?;
        self.note_owner(&found, path);
        self.copied.files += 1;
        Ok(Found::Copied)
    }

    /// As long as the file was when it was opened, or what is left of it: one that grows all the while has an end too.
    fn content(&mut self, source: &File, target: &File, length: u64) -> anyhow::Result<()> {
        let mut at = 0;
        while at < length {
            let data = match rustix::fs::seek(source, SeekFrom::Data(at)) {
                Ok(data) => data,
                // From here on there is a hole only, or no file any more.
                Err(Errno::NXIO) => break,
                Err(error) => return Err(error.into()),
            };
            let hole = rustix::fs::seek(source, SeekFrom::Hole(data)).unwrap_or(length);
            at = data;
            while at < hole.min(length) {
                let most = usize::try_from(hole.min(length) - at)?.min(PIECE);
                let count = source.read_at(&mut self.buffer[..most], at)?;
                if count == 0 {
                    target.set_len(at)?;
                    return Ok(());
                }
                target.write_all_at(&self.buffer[..count], at)?;
                self.copied.bytes += count as u64;
                at += count as u64;
                (self.check)()?;
            }
        }
        target.set_len(length.min(source.metadata()?.len()))?;
        Ok(())
    }

    fn note_owner(&mut self, found: &Stat, path: &Path) {
        if found.st_uid != self.own {
            self.copied.foreign.insert(path.to_owned());
        }
    }
}

/// Every name once: a folder that changes while it is read may show one twice.
fn names(folder: BorrowedFd<'_>) -> Result<BTreeSet<CString>, Errno> {
    let mut names = BTreeSet::new();
    for entry in rustix::fs::Dir::read_from(folder)? {
        let entry = entry?;
        if entry.file_name() != c"." && entry.file_name() != c".." {
            names.insert(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

fn there<T>(looked: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match looked {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What an error says when something was there a moment ago: that it has gone, or has become a link, a file, a socket.
fn changed(error: Errno) -> anyhow::Result<Found> {
    match error {
        Errno::NOENT => Ok(Found::Gone),
        Errno::LOOP | Errno::NOTDIR | Errno::INVAL | Errno::NXIO => Ok(Found::Changed),
        error => Err(error.into()),
    }
}

/// Lists, mode and the time of the last change. What lends its owner's rights to whoever runs a file stays behind.
fn finish(source: &OwnedFd, target: &OwnedFd, found: &Stat) -> anyhow::Result<()> {
    let is_folder = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
    copy_lists(source, target, is_folder)?;
    let kept = if is_folder { 0o7777 } else { 0o1777 };
    rustix::fs::fchmod(target, Mode::from_raw_mode(found.st_mode & kept))?;
    rustix::fs::futimens(target, &times(found)?)?;
    Ok(())
}

fn times(found: &Stat) -> anyhow::Result<Timestamps> {
    let changed = Timespec {
        tv_sec: found.st_mtime,
        tv_nsec: i64::try_from(found.st_mtime_nsec)?,
    };
    Ok(Timestamps {
        last_access: changed,
        last_modification: changed,
    })
}
