//! A tree that somebody else has made, weighed and copied: what an operator imports. Of the files only what is in them is
//! taken; who may do what in the copy is said by the folders that it goes into, whose lists what is made in them inherits.
//!
//! Whoever can write in the source can make it whatever he likes, and change it meanwhile. So all of it is reached by
//! descriptor and through no link; links are copied as links, and only where they stay inside; what is neither a file, a
//! folder nor a link, what lends rights, and what could be a second name of a file of the worker's own is refused; and
//! depth, names and bytes have a bound. Called by [`crate::import`] and step `copy_source`.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;

use super::Dir;

/// No real application nests its files deeper.
const DEPTH: usize = 64;
/// So many problems are told one by one.
const MOST_PROBLEMS: usize = 20;
const PIECE: usize = 1024 * 1024;
const OPEN: OFlags = OFlags::NOFOLLOW
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK);

/// How much there may be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Files, folders and links.
    pub names: u64,
    /// Bytes in the files.
    pub bytes: u64,
}

/// What is taken, and what is not.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Paths in the source that are left out, with all below them.
    pub leave_out: Vec<PathBuf>,
    /// How much there may be.
    pub bounds: Bounds,
}

/// What there is, or what was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Files.
    pub files: u64,
    /// Folders.
    pub folders: u64,
    /// Links.
    pub links: u64,
    /// Bytes in the files.
    pub bytes: u64,
}

impl Taken {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            files: self.files + other.files,
            folders: self.folders + other.folders,
            links: self.links + other.links,
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

/// A source that was looked at.
#[derive(Debug, Default)]
pub struct Weighed {
    /// What there is to take.
    pub taken: Taken,
    /// Why it cannot be taken, the first of it, and how much more there is.
    pub problems: Vec<String>,
}

impl Dir {
    /// Looks at all that [`Dir::take_in`] would take at `from` in this folder, and at why it would not.
    ///
    /// # Errors
    /// That of `check`; when nothing is there, or more than the bounds say.
    pub fn weigh(
        &self,
        from: &Path,
        choice: &Choice,
        check: &mut dyn FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<Weighed> {
        let (mut walk, folder) = Walk::begin(self, from, choice, check)?;
        walk.folder(&folder, None, from, &|_| 0)?;
        let mut problems = walk.problems;
        if walk.more > 0 {
            problems.push(format!("and {} more of that sort", walk.more));
        }
        Ok(Weighed {
            taken: walk.taken,
            problems,
        })
    }

    /// Copies what there is at `from` in `source` into this folder. Folders that are there already are added to. `mode` says
    /// what a file's owner and the users of the folder's list may do, by its path below this folder; those who may run a
    /// file may run its copy.
    ///
    /// # Errors
    /// That of `check`; when something is there that is not taken, or cannot be read or written. What was copied until then
    /// stays, for the caller to remove.
    pub fn take_in(
        &self,
        source: &Dir,
        from: &Path,
        choice: &Choice,
        mode: &dyn Fn(&Path) -> u32,
        check: &mut dyn FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<Taken> {
        let (mut walk, folder) = Walk::begin(source, from, choice, check)?;
        walk.folder(&folder, Some(self), from, mode)?;
        Ok(walk.taken)
    }
}

struct Walk<'a> {
    choice: &'a Choice,
    check: &'a mut dyn FnMut() -> anyhow::Result<()>,
    /// What of a path below the source the copy does not have.
    base: PathBuf,
    device: u64,
    own: u32,
    taken: Taken,
    problems: Vec<String>,
    more: u64,
    buffer: Vec<u8>,
}

impl<'a> Walk<'a> {
    fn begin(
        source: &Dir,
        from: &Path,
        choice: &'a Choice,
        check: &'a mut dyn FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<(Self, Dir)> {
        let folder = match from.as_os_str().is_empty() {
            true => source.clone(),
            false => source.dir(from)?,
        };
        let found = rustix::fs::fstat(source)
            .with_context(|| format!("cannot look at {}", source.path().display()))?;
        let walk = Self {
            choice,
            check,
            base: from.to_owned(),
            device: found.st_dev,
            own: rustix::process::geteuid().as_raw(),
            taken: Taken::default(),
            problems: Vec::new(),
            more: 0,
            buffer: Vec::new(),
        };
        Ok((walk, folder))
    }

    /// All in one folder. `path` is where that lies below the source, `to` where it goes when it is copied.
    fn folder(
        &mut self,
        from: &Dir,
        to: Option<&Dir>,
        path: &Path,
        mode: &dyn Fn(&Path) -> u32,
    ) -> anyhow::Result<()> {
        let entries = match rustix::fs::Dir::read_from(from) {
            Ok(entries) => entries,
            Err(error) => return self.refuse(to, path, &format!("cannot be read: {error}")),
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return self.refuse(to, path, &format!("cannot be read: {error}")),
            };
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            (self.check)()?;
            let path = path.join(OsStr::from_bytes(name.to_bytes()));
            if self.choice.leave_out.contains(&path) {
                continue;
            }
            let all = self.taken.files + self.taken.folders + self.taken.links;
            let most = self.choice.bounds.names;
            anyhow::ensure!(
                all < most,
                "there are more than {most} files and folders in it"
            );
            self.entry(from, to, name, &path, mode)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        from: &Dir,
        to: Option<&Dir>,
        name: &CStr,
        path: &Path,
        mode: &dyn Fn(&Path) -> u32,
    ) -> anyhow::Result<()> {
        let found = match rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => found,
            // It has gone meanwhile, as if it had gone before.
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return self.refuse(to, path, &format!("cannot be looked at: {error}")),
        };
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Symlink => self.link(from, to, name, path),
            FileType::Directory => self.below(from, to, name, path, mode),
            FileType::RegularFile => self.file(from, to, name, path, mode),
            _ => self.refuse(to, path, "is neither a file, a folder nor a link"),
        }
    }

    fn link(
        &mut self,
        from: &Dir,
        to: Option<&Dir>,
        name: &CStr,
        path: &Path,
    ) -> anyhow::Result<()> {
        let target = match rustix::fs::readlinkat(from, name, Vec::new()) {
            Ok(target) => target,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return self.refuse(to, path, &format!("cannot be read: {error}")),
        };
        let to_where = Path::new(OsStr::from_bytes(target.to_bytes()));
        let below = path.strip_prefix(&self.base).unwrap_or(path);
        if !stays_inside(below, to_where) {
            let said = format!("is a link that leads out of it, to {}", to_where.display());
            return self.refuse(to, path, &said);
        }
        self.taken.links += 1;
        match to {
            Some(to) => rustix::fs::symlinkat(target, to, name)
                .with_context(|| format!("cannot copy the link {}", path.display())),
            None => Ok(()),
        }
    }

    fn below(
        &mut self,
        from: &Dir,
        to: Option<&Dir>,
        name: &CStr,
        path: &Path,
        mode: &dyn Fn(&Path) -> u32,
    ) -> anyhow::Result<()> {
        if path.components().count() > DEPTH {
            return self.refuse(to, path, "is nested too deep");
        }
        let opened = rustix::fs::openat(from, name, OPEN | OFlags::DIRECTORY, Mode::empty());
        let opened = match opened {
            Ok(opened) => opened,
            Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ACCESS) => {
                return self.refuse(to, path, "cannot be read by the worker's user");
            }
            Err(error) => return self.refuse(to, path, &format!("cannot be read: {error}")),
        };
        let found = rustix::fs::fstat(&opened)?;
        if found.st_dev != self.device {
            return self.refuse(to, path, "is on another file system");
        }
        self.taken.folders += 1;
        let folder = Dir::new(opened, from.path().join(OsStr::from_bytes(name.to_bytes())));
        let into = match to {
            Some(to) => Some(added(to, name)?),
            None => None,
        };
        self.folder(&folder, into.as_ref(), path, mode)?;
        if let Some(into) = &into {
            set_time(into, &found)?;
        }
        Ok(())
    }

    fn file(
        &mut self,
        from: &Dir,
        to: Option<&Dir>,
        name: &CStr,
        path: &Path,
        mode: &dyn Fn(&Path) -> u32,
    ) -> anyhow::Result<()> {
        // Opened without waiting, in case it has become a pipe since it was looked at.
        let opened = rustix::fs::openat(from, name, OPEN | OFlags::RDONLY, Mode::empty());
        let opened = match opened {
            Ok(opened) => opened,
            Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ACCESS) => {
                return self.refuse(to, path, "cannot be read by the worker's user");
            }
            Err(error) => return self.refuse(to, path, &format!("cannot be read: {error}")),
        };
        let found = rustix::fs::fstat(&opened)?;
        if let Some(why) = self.unwanted(&found) {
            return self.refuse(to, path, why);
        }
        self.taken.files += 1;
        let size = u64::try_from(found.st_size).unwrap_or_default();
        self.taken.bytes = self.taken.bytes.saturating_add(size);
        let most = self.choice.bounds.bytes;
        anyhow::ensure!(
            self.taken.bytes <= most,
            "there are more than {most} bytes in it"
        );
        let Some(to) = to else { return Ok(()) };
        let below = path.strip_prefix(&self.base).unwrap_or(path);
        let runs = if found.st_mode & 0o100 == 0 { 0 } else { 0o110 };
        let bits = Mode::from_raw_mode(mode(below) | runs);
        let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::CREATE | OFlags::EXCL;
        let target = rustix::fs::openat(to, name, flags | OFlags::WRONLY, bits)
            .with_context(|| format!("cannot make {}", path.display()))?;
        self.content(opened, &target, &found)
            .with_context(|| format!("cannot copy {}", path.display()))?;
        set_time(&target, &found)
    }

    fn unwanted(&self, found: &Stat) -> Option<&'static str> {
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Some("changes while it is looked at");
        }
        if found.st_mode & 0o6000 != 0 {
            return Some("lends its owner's rights (set-user-id or set-group-id)");
        }
        // Somebody could have given a second name to what only the worker may read.
        (found.st_uid == self.own && found.st_nlink > 1)
            .then_some("is the worker's own and has another name besides")
    }

    /// As much as there was when it was opened: what grows has no end.
    fn content(&mut self, from: OwnedFd, to: &OwnedFd, found: &Stat) -> anyhow::Result<()> {
        let mut source = File::from(from).take(u64::try_from(found.st_size).unwrap_or_default());
        let mut target = File::from(to.try_clone()?);
        self.buffer.resize(PIECE, 0);
        loop {
            match source.read(&mut self.buffer)? {
                0 => return Ok(()),
                count => target.write_all(&self.buffer[..count])?,
            }
            (self.check)()?;
        }
    }

    /// Where it is copied that is the end; where it is only looked at it is told.
    fn refuse(&mut self, to: Option<&Dir>, path: &Path, why: &str) -> anyhow::Result<()> {
        let shown = match path.as_os_str().is_empty() {
            true => "the folder itself".to_owned(),
            false => path.display().to_string(),
        };
        anyhow::ensure!(to.is_none(), "{shown} {why}");
        match self.problems.len() < MOST_PROBLEMS {
            true => self.problems.push(format!("{shown} {why}")),
            false => self.more += 1,
        }
        Ok(())
    }
}

/// The folder of this name, made where it is missing. Nobody but the worker can make one here.
fn added(to: &Dir, name: &CStr) -> anyhow::Result<Dir> {
    match rustix::fs::mkdirat(to, name, Mode::from_raw_mode(0o770)) {
        Ok(()) | Err(Errno::EXIST) => to.dir(Path::new(OsStr::from_bytes(name.to_bytes()))),
        Err(error) => {
            Err(error).with_context(|| format!("cannot make a folder in {}", to.path().display()))
        }
    }
}

/// Whether a link at this place below the source leads to a place in it, whatever other such links there are: it goes up
/// at its beginning only, and never above the source.
fn stays_inside(place: &Path, target: &Path) -> bool {
    let mut up = place.components().count().saturating_sub(1);
    let mut down = false;
    for part in target.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(_) => down = true,
            Component::ParentDir if !down && up > 0 => up -= 1,
            _ => return false,
        }
    }
    true
}

/// When it was changed last.
fn set_time(target: impl AsFd, found: &Stat) -> anyhow::Result<()> {
    let changed = Timespec {
        tv_sec: found.st_mtime,
        tv_nsec: i64::try_from(found.st_mtime_nsec)?,
    };
    let times = Timestamps {
        last_access: changed,
        last_modification: changed,
    };
    rustix::fs::futimens(target, &times)?;
    Ok(())
}

#[cfg(test)]
mod tests;
