//! A platform's code: from a folder or an archive on the spoke into a fresh folder of the worker's own.
//!
//! Whatever the source says, nothing gets outside of that folder: entries are checked (`entry`), links
//! are made last and followed once to see where they lead (`tree`), sizes are bounded. Called by
//! [`crate::steps::unpack_platform`]. All of it blocks.

mod archive;
mod entry;
mod folder;
mod settle;
mod tree;

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::cx::Stop;
use crate::profile::Place;
pub use settle::settle;

/// More than any application has, and few enough to unpack within a task's time.
const MOST_ENTRIES: u64 = 300_000;
/// What a platform's files may come to.
const MOST_BYTES: u64 = 8 * 1024 * 1024 * 1024;

/// What is taken from a source, and what not.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// What is not taken over.
    pub leave_out: Vec<Place>,
    /// Folders outside of the source that links in it may lead to; what is there is copied.
    pub follow: Vec<PathBuf>,
    /// A file that an application has at its top. An archive that has it one folder deeper is taken
    /// from there.
    pub index: Option<Place>,
}

impl Rules {
    fn leaves_out(&self, path: &Path) -> bool {
        self.leave_out.iter().any(|place| path.starts_with(place))
    }
}

/// What was unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Files and links.
    pub files: u64,
    /// Bytes in the files.
    pub bytes: u64,
}

/// What a source is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A folder.
    Folder,
    /// `.tar.gz` or `.tgz`.
    TarGz,
    /// `.tar.zst`.
    TarZst,
}

impl Format {
    /// What stands at this path.
    ///
    /// # Errors
    /// When it is not there or nothing that can be unpacked.
    pub fn of(source: &Path) -> anyhow::Result<Self> {
        let found = std::fs::metadata(source)
            .with_context(|| format!("cannot read the source {}", source.display()))?;
        let name = source.to_string_lossy();
        if found.is_dir() {
            Ok(Self::Folder)
        } else if found.is_file() && (name.ends_with(".tar.gz") || name.ends_with(".tgz")) {
            Ok(Self::TarGz)
        } else if found.is_file() && name.ends_with(".tar.zst") {
            Ok(Self::TarZst)
        } else {
            anyhow::bail!(
                "{name} is neither a folder nor a file ending in .tar.gz, .tgz or .tar.zst"
            )
        }
    }
}

/// Unpacks `source` into `into`, an empty folder that nobody else can write.
///
/// # Errors
/// Names the entry that is refused or cannot be read or written; [`crate::cx::Stopped`] is in the chain
/// when `stop` fired. What was unpacked until then stays, for the caller to remove.
pub fn unpack(source: &Path, into: &Path, rules: &Rules, stop: &Stop) -> anyhow::Result<Unpacked> {
    match Format::of(source)? {
        Format::Folder => folder::copy(source, into, rules, stop),
        Format::TarGz => {
            let file = open(source)?;
            archive::extract(flate2::read::MultiGzDecoder::new(file), into, rules, stop)
        }
        Format::TarZst => {
            let file = zstd::Decoder::with_buffer(open(source)?)
                .with_context(|| format!("cannot read {}", source.display()))?;
            archive::extract(file, into, rules, stop)
        }
    }
    .with_context(|| format!("{} cannot be made a platform", source.display()))
}

/// The same of a tar archive that is not compressed.
///
/// # Errors
/// Those of [`unpack`].
pub fn unpack_tar(
    archive: &Path,
    into: &Path,
    rules: &Rules,
    stop: &Stop,
) -> anyhow::Result<Unpacked> {
    archive::extract(open(archive)?, into, rules, stop).context("it cannot be made a platform")
}

fn open(source: &Path) -> anyhow::Result<std::io::BufReader<std::fs::File>> {
    let file = std::fs::File::open(source)
        .with_context(|| format!("cannot read the source {}", source.display()))?;
    Ok(std::io::BufReader::with_capacity(256 * 1024, file))
}

#[cfg(test)]
mod tests;
