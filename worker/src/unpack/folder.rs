//! A platform out of a folder, such as a distribution's package. Links that stay in the folder stay links;
//! those that lead to where the profile allows become copies of what they lead to.

use std::io::Read;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::{Mode, OFlags};

use super::entry::{self, link_stays_inside, shown};
use super::tree::Tree;
use super::{Rules, Unpacked};
use crate::cx::Stop;

pub(super) fn copy(
    source: &Path,
    into: &Path,
    rules: &Rules,
    stop: &Stop,
) -> anyhow::Result<Unpacked> {
    let mut copy = Copy {
        source: source
            .canonicalize()
            .with_context(|| format!("cannot read the source {}", source.display()))?,
        // Some of them are links themselves, as /bin is.
        follow: rules
            .follow
            .iter()
            .filter_map(|path| path.canonicalize().ok())
            .collect(),
        tree: Tree::new(into, stop),
        rules,
    };
    let top = copy.source.clone();
    copy.folder(&top, Path::new(""))?;
    copy.tree.finish()
}

struct Copy<'a> {
    source: PathBuf,
    follow: Vec<PathBuf>,
    tree: Tree<'a>,
    rules: &'a Rules,
}

impl Copy<'_> {
    /// Copies what is in the folder `from` to below `to`.
    fn folder(&mut self, from: &Path, to: &Path) -> anyhow::Result<()> {
        self.tree.folder(to)?;
        let listing = std::fs::read_dir(from)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .with_context(|| format!("cannot read the folder {}", from.display()))?;
        for found in listing {
            self.entry(&found.path(), &entry::path(&to.join(found.file_name()))?)?;
        }
        Ok(())
    }

    fn entry(&mut self, from: &Path, to: &Path) -> anyhow::Result<()> {
        if self.rules.leaves_out(to) {
            return Ok(());
        }
        self.tree.entry()?;
        let found = std::fs::symlink_metadata(from)
            .with_context(|| format!("cannot read {}", from.display()))?;
        if found.is_symlink() {
            self.link(from, to)
        } else if found.is_dir() {
            self.folder(from, to)
        } else if found.is_file() {
            self.file(from, to)
        } else {
            anyhow::bail!("{} is neither a file, a folder nor a link", shown(from))
        }
    }

    fn file(&mut self, from: &Path, to: &Path) -> anyhow::Result<()> {
        // Neither followed nor waited for, should it have become a link or a pipe by now.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = rustix::fs::open(from, flags, Mode::empty())
            .map(std::fs::File::from)
            .with_context(|| format!("cannot read {}", from.display()))?;
        let found = file.metadata()?;
        anyhow::ensure!(
            found.is_file(),
            "{} changes while it is copied",
            shown(from)
        );
        let program = found.permissions().mode() & 0o100 != 0;
        // No more than it had when it was opened, should somebody go on writing it.
        self.tree.file(to, program, &mut file.take(found.len()))
    }

    fn link(&mut self, from: &Path, to: &Path) -> anyhow::Result<()> {
        let target = std::fs::read_link(from)
            .with_context(|| format!("cannot read the link {}", from.display()))?;
        let led = from.canonicalize().with_context(|| {
            format!(
                "the link {} leads nowhere, to {}",
                shown(from),
                shown(&target)
            )
        })?;
        let inside = led.starts_with(&self.source);
        let folder = to.parent().unwrap_or(Path::new(""));
        let left_out = led
            .strip_prefix(&self.source)
            .is_ok_and(|path| self.rules.leaves_out(path));
        if inside && !left_out && link_stays_inside(folder, &target) {
            return self.tree.link(to.to_owned(), target);
        }
        anyhow::ensure!(
            inside || self.follow.iter().any(|allowed| led.starts_with(allowed)),
            "the link {} leads out of the source, to {}, where the profile does not follow it",
            shown(from),
            shown(&led)
        );
        if led.is_dir() {
            self.folder(&led, to)
        } else {
            self.file(&led, to)
        }
    }
}
