//! The list of a platform's files: made when it is built, kept beside the code, compared when it is verified.
//!
//! A line a file or link: kind, size, SHA-256, path. What was unpacked has names in UTF-8 without control
//! characters ([`crate::unpack`]), so a line is a line.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use anyhow::Context as _;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use sha2::{Digest as _, Sha256};

use crate::cx::Stop;
use crate::files::Dir;

/// Its name, in the platform's folder.
pub const FILE: &str = ".kolga-files";
/// The longest list: as many files as a platform may have.
const LONGEST: u64 = 256 * 1024 * 1024;
const PIECE: usize = 256 * 1024;

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// `file`, `program` or `link`; anything else is no part of a platform.
    kind: &'static str,
    size: u64,
    hash: String,
}

/// Every file and link below a folder, by its path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing(BTreeMap<String, Found>);

/// What has changed since a list was made, each a list of paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    /// There now, and not then.
    pub added: Vec<String>,
    /// There then, and not now.
    pub removed: Vec<String>,
    /// Another content, or another kind.
    pub changed: Vec<String>,
}

impl Listing {
    /// Reads and hashes all that is below `code`.
    ///
    /// # Errors
    /// When something cannot be read, or the task should stop.
    pub fn of(code: &Dir, stop: &Stop) -> anyhow::Result<Self> {
        let mut listing = Self::default();
        listing.folder(code, "", stop)?;
        Ok(listing)
    }

    fn folder(&mut self, dir: &Dir, prefix: &str, stop: &Stop) -> anyhow::Result<()> {
        for name in dir.names()? {
            stop.check()?;
            let path = format!("{prefix}{}", name.to_string_lossy());
            let found = rustix::fs::statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW)
                .with_context(|| format!("cannot look at {path}"))?;
            let kind = FileType::from_raw_mode(found.st_mode);
            if kind == FileType::Directory {
                self.folder(&dir.dir(Path::new(&name))?, &format!("{path}/"), stop)?;
                continue;
            }
            let found = match kind {
                FileType::RegularFile => {
                    let kind = match found.st_mode & 0o100 {
                        0 => "file",
                        _ => "program",
                    };
                    let (size, hash) =
                        content(dir, &name, stop).with_context(|| format!("cannot read {path}"))?;
                    Found { kind, size, hash }
                }
                FileType::Symlink => {
                    let target = dir.link_target(&name)?.unwrap_or_default();
                    let target = target.as_os_str().as_bytes();
                    Found {
                        kind: "link",
                        size: target.len() as u64,
                        hash: hex(&Sha256::digest(target)),
                    }
                }
                _ => Found {
                    kind: "other",
                    size: 0,
                    hash: "-".to_owned(),
                },
            };
            self.0.insert(path, found);
        }
        Ok(())
    }

    /// How many files and links there are, and their bytes.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        let bytes = self.0.values().map(|found| found.size).sum();
        (self.0.len() as u64, bytes)
    }

    /// Whether the file at this path was one to be run.
    #[must_use]
    pub fn is_program(&self, path: &str) -> Option<bool> {
        self.0.get(path).map(|found| found.kind == "program")
    }

    /// Writes it into the platform's folder.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, platform: &Dir) -> anyhow::Result<()> {
        let mut text = String::new();
        for (path, found) in &self.0 {
            let Found { kind, size, hash } = found;
            writeln!(text, "{kind} {size} {hash} {path}")?;
        }
        platform.write_atomically(FILE, text.as_bytes(), 0o444)
    }

    /// That of a platform's folder; `None` for one that was built by a release that made none.
    ///
    /// # Errors
    /// When it cannot be read or is not what it should be.
    pub fn load(platform: &Dir) -> anyhow::Result<Option<Self>> {
        let Some(bytes) = platform.read(FILE, LONGEST)? else {
            return Ok(None);
        };
        let damaged = || format!("{} is damaged", platform.path().join(FILE).display());
        let text = String::from_utf8(bytes).with_context(damaged)?;
        let mut listing = Self::default();
        for line in text.lines() {
            let (path, found) = read_line(line).with_context(damaged)?;
            listing.0.insert(path, found);
        }
        Ok(Some(listing))
    }

    /// What has changed since `then`.
    #[must_use]
    pub fn since(&self, then: &Self) -> Drift {
        let mut drift = Drift::default();
        for (path, found) in &self.0 {
            match then.0.get(path) {
                None => drift.added.push(path.clone()),
                Some(before) if before != found => drift.changed.push(path.clone()),
                Some(_) => {}
            }
        }
        let gone = then.0.keys().filter(|path| !self.0.contains_key(*path));
        drift.removed = gone.cloned().collect();
        drift
    }
}

fn read_line(line: &str) -> Option<(String, Found)> {
    let mut words = line.splitn(4, ' ');
    let (kind, size, hash, path) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let kind = ["file", "program", "link", "other"]
        .into_iter()
        .find(|known| *known == kind)?;
    let found = Found {
        kind,
        size: size.parse().ok()?,
        hash: hash.to_owned(),
    };
    Some((path.to_owned(), found))
}

fn content(dir: &Dir, name: &std::ffi::OsStr, stop: &Stop) -> anyhow::Result<(u64, String)> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut file = File::from(rustix::fs::openat(dir, name, flags, Mode::empty())?);
    let (mut hash, mut size, mut buffer) = (Sha256::new(), 0, vec![0; PIECE]);
    loop {
        stop.check()?;
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok((size, hex(&hash.finalize())));
        }
        size += count as u64;
        hash.update(&buffer[..count]);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A string takes everything.
        write!(text, "{byte:02x}").ok();
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    fn code(scratch: &Scratch) -> Dir {
        let inc = scratch.path().join("inc");
        std::fs::create_dir(&inc).expect("a folder");
        std::fs::write(scratch.path().join("index.php"), "<?php").expect("a file");
        std::fs::write(inc.join("a b\\ é.php"), "").expect("a file");
        std::os::unix::fs::symlink("index.php", inc.join("link")).expect("a link");
        Dir::open(scratch.path()).expect("there")
    }

    #[test]
    fn a_list_reads_back_as_it_was_written() {
        let (scratch, beside) = (Scratch::new(), Scratch::new());
        let listing = Listing::of(&code(&scratch), &Stop::never()).expect("read");
        let platform = Dir::open(beside.path()).expect("there");
        assert_eq!(Listing::load(&platform).expect("none"), None);
        listing.save(&platform).expect("written");
        let read = Listing::load(&platform).expect("read").expect("there");
        assert_eq!(read, listing);
        assert_eq!(read.totals(), (3, 5 + 9));
        std::fs::write(beside.path().join(FILE), "file 1\n").expect("damaged");
        assert!(Listing::load(&platform).is_err());
    }

    #[test]
    fn what_has_changed_is_told_by_its_path() {
        let scratch = Scratch::new();
        let dir = code(&scratch);
        let then = Listing::of(&dir, &Stop::never()).expect("read");
        let at = |name: &str| scratch.path().join(name);
        // The same length and the same time do not hide another content.
        std::fs::write(at("index.php"), "<?PHP").expect("changed");
        std::fs::write(at("shell.php"), "<?php").expect("added");
        std::fs::remove_file(at("inc/link")).expect("removed");
        let drift = Listing::of(&dir, &Stop::never())
            .expect("read")
            .since(&then);
        assert_eq!(drift.changed, ["index.php"]);
        assert_eq!(drift.added, ["shell.php"]);
        assert_eq!(drift.removed, ["inc/link"]);
    }
}
