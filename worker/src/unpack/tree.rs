//! The platform's folder while it fills: where each entry is put, and the bounds.
//!
//! Modes are the same for everybody's source: 0755 for folders and programs, 0644 for files. Links are
//! noted and made when all else is there, so that no entry can be written through one.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::entry::{link_stays_inside, shown};
use super::{MOST_BYTES, MOST_ENTRIES, Unpacked};
use crate::cx::Stop;

/// What is read at once.
const PIECE: usize = 256 * 1024;

pub(super) struct Tree<'a> {
    root: &'a Path,
    stop: &'a Stop,
    made: Unpacked,
    entries: u64,
    links: BTreeMap<PathBuf, PathBuf>,
    buffer: Vec<u8>,
}

impl<'a> Tree<'a> {
    pub(super) fn new(root: &'a Path, stop: &'a Stop) -> Self {
        Self {
            root,
            stop,
            made: Unpacked::default(),
            entries: 0,
            links: BTreeMap::new(),
            buffer: vec![0; PIECE],
        }
    }

    /// Counts an entry, and looks whether there are too many or it is time to stop.
    pub(super) fn entry(&mut self) -> anyhow::Result<()> {
        self.stop.check()?;
        self.entries += 1;
        anyhow::ensure!(
            self.entries <= MOST_ENTRIES,
            "the source has more than {MOST_ENTRIES} entries"
        );
        Ok(())
    }

    /// Makes a folder and those above it, where they are missing.
    pub(super) fn folder(&self, path: &Path) -> anyhow::Result<()> {
        for above in path.ancestors().collect::<Vec<_>>().into_iter().rev() {
            if above.as_os_str().is_empty() {
                continue;
            }
            anyhow::ensure!(
                !self.links.contains_key(above),
                "entry {} lies behind the link {}",
                shown(path),
                shown(above)
            );
            let at = self.root.join(above);
            match DirBuilder::new().mode(0o700).create(&at) {
                Ok(()) => std::fs::set_permissions(&at, Permissions::from_mode(0o755))
                    .with_context(|| format!("cannot make the folder {}", at.display()))?,
                Err(error) => anyhow::ensure!(
                    std::fs::symlink_metadata(&at).is_ok_and(|found| found.is_dir()),
                    "cannot make the folder {}: {error}",
                    at.display()
                ),
            }
        }
        Ok(())
    }

    /// Writes a file from `content`, which may lie about its length.
    pub(super) fn file(
        &mut self,
        path: &Path,
        program: bool,
        content: &mut dyn Read,
    ) -> anyhow::Result<()> {
        let mut file = self.open_new(path)?;
        let context = || format!("cannot write entry {}", shown(path));
        loop {
            self.stop.check()?;
            let count = content
                .read(&mut self.buffer)
                .with_context(|| format!("cannot read entry {}", shown(path)))?;
            if count == 0 {
                break;
            }
            self.made.bytes += count as u64;
            anyhow::ensure!(
                self.made.bytes <= MOST_BYTES,
                "the source comes to more than {MOST_BYTES} bytes at entry {}",
                shown(path)
            );
            file.write_all(&self.buffer[..count])
                .with_context(context)?;
        }
        let mode = if program { 0o755 } else { 0o644 };
        file.set_permissions(Permissions::from_mode(mode))
            .with_context(context)?;
        self.made.files += 1;
        Ok(())
    }

    fn open_new(&self, path: &Path) -> anyhow::Result<File> {
        self.refuse_taken(path)?;
        if let Some(above) = path.parent() {
            self.folder(above)
                .with_context(|| format!("cannot write entry {}", shown(path)))?;
        }
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.root.join(path))
            .with_context(|| format!("cannot write entry {}", shown(path)))
    }

    fn refuse_taken(&self, path: &Path) -> anyhow::Result<()> {
        let taken = self.links.contains_key(path)
            || std::fs::symlink_metadata(self.root.join(path)).is_ok();
        anyhow::ensure!(!taken, "entry {} is there twice", shown(path));
        Ok(())
    }

    /// A second name of a file that was unpacked before becomes a copy of it.
    pub(super) fn copy(&mut self, path: &Path, of: &Path) -> anyhow::Result<()> {
        let original = self.root.join(of);
        let found = std::fs::symlink_metadata(&original)
            .ok()
            .filter(std::fs::Metadata::is_file)
            .with_context(|| {
                let (path, of) = (shown(path), shown(of));
                format!("entry {path} is another name of {of}, which is no file before it")
            })?;
        let mut content =
            File::open(&original).with_context(|| format!("cannot read {}", original.display()))?;
        self.file(path, found.permissions().mode() & 0o100 != 0, &mut content)
    }

    /// Notes a link, to be made in the end.
    pub(super) fn link(&mut self, path: PathBuf, target: PathBuf) -> anyhow::Result<()> {
        let folder = path.parent().unwrap_or(Path::new(""));
        anyhow::ensure!(
            link_stays_inside(folder, &target),
            "the link {} leads out of the platform, to {}",
            shown(&path),
            shown(&target)
        );
        self.refuse_taken(&path)?;
        self.folder(folder)?;
        self.links.insert(path, target);
        Ok(())
    }

    /// Makes the links and looks where each really leads: through another link, what reads like the
    /// inside may be the outside.
    pub(super) fn finish(mut self) -> anyhow::Result<Unpacked> {
        for (path, target) in &self.links {
            self.stop.check()?;
            let at = self.root.join(path);
            std::os::unix::fs::symlink(target, &at)
                .with_context(|| format!("cannot make the link {}", at.display()))?;
        }
        let root = self
            .root
            .canonicalize()
            .context("the platform's folder is gone")?;
        for (path, target) in &self.links {
            let led = self.root.join(path).canonicalize().with_context(|| {
                let (path, target) = (shown(path), shown(target));
                format!("the link {path} leads nowhere, to {target}")
            })?;
            anyhow::ensure!(
                led.starts_with(&root),
                "the link {} leads out of the platform, to {}",
                shown(path),
                shown(target)
            );
        }
        self.made.files += self.links.len() as u64;
        Ok(self.made)
    }
}
