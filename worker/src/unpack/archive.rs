//! A platform out of a tar archive, whoever packed it. Files, folders and links only; what a tool would
//! skip or mend in silence is refused by name, so that a platform is what its archive says.

use std::fs::Permissions;
use std::io::Read;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use tar::EntryType;

use super::entry::{self, shown};
use super::tree::Tree;
use super::{MOST_BYTES, MOST_ENTRIES, Rules, Unpacked};
use crate::cx::Stop;

/// A block of tar: a header, and the unit to which content is padded.
const BLOCK: u64 = 512;

pub(super) fn extract(
    stream: impl Read,
    into: &Path,
    rules: &Rules,
    stop: &Stop,
) -> anyhow::Result<Unpacked> {
    let mut tree = Tree::new(into, stop);
    // Bounds also what no entry accounts for, such as endless headers.
    let mut archive = tar::Archive::new(stream.take(MOST_BYTES + MOST_ENTRIES * 4 * BLOCK));
    for entry in archive.entries().context("the archive cannot be read")? {
        let mut entry = entry.context("the archive cannot be read")?;
        tree.entry()?;
        let told = entry
            .path()
            .context("the archive holds a name that cannot be read")?;
        let path = entry::path(&told)?;
        let name = shown(&told);
        drop(told);
        let kind = entry.header().entry_type();
        let mode = entry
            .header()
            .mode()
            .with_context(|| format!("entry {name} has no mode"))?;
        let with_content = matches!(kind, EntryType::Regular | EntryType::Continuous);
        anyhow::ensure!(
            !with_content || mode & 0o7000 == 0,
            "entry {name} has a set-id or sticky bit"
        );
        match kind {
            EntryType::Directory => tree.folder(&path)?,
            EntryType::Regular | EntryType::Continuous => {
                anyhow::ensure!(!path.as_os_str().is_empty(), "entry {name} has no name");
                tree.file(&path, mode & 0o100 != 0, &mut entry)?;
            }
            EntryType::Symlink | EntryType::Link => {
                let target = entry
                    .link_name()
                    .ok()
                    .flatten()
                    .with_context(|| format!("the link {name} leads nowhere"))?
                    .into_owned();
                if kind == EntryType::Symlink {
                    tree.link(path, target)?;
                } else {
                    // A hard link's target is told from the top.
                    let of = entry::path(&target)
                        .with_context(|| format!("entry {name} is a hard link"))?;
                    tree.copy(&path, &of)?;
                }
            }
            EntryType::XGlobalHeader => {}
            other => {
                anyhow::bail!("entry {name} is neither a file, a folder nor a link ({other:?})")
            }
        }
    }
    let made = tree.finish()?;
    hoist(into, rules)?;
    leave_out(into, rules)?;
    anyhow::ensure!(made.files > 0, "the archive is empty");
    Ok(made)
}

/// Most archives hold one folder in which everything lies: its content becomes the platform.
fn hoist(into: &Path, rules: &Rules) -> anyhow::Result<()> {
    let Some(index) = &rules.index else {
        return Ok(());
    };
    let mut listing = std::fs::read_dir(into)?.collect::<Result<Vec<_>, _>>()?;
    let (Some(only), None) = (listing.pop(), listing.pop()) else {
        return Ok(());
    };
    if !only.file_type()?.is_dir() || !only.path().join(index).is_file() {
        return Ok(());
    }
    let aside = into.with_extension("outer");
    std::fs::rename(into, &aside)
        .and_then(|()| std::fs::rename(aside.join(only.file_name()), into))
        .and_then(|()| std::fs::remove_dir(&aside))
        .and_then(|()| std::fs::set_permissions(into, Permissions::from_mode(0o755)))
        .context("cannot move the archive's only folder up")
}

fn leave_out(into: &Path, rules: &Rules) -> anyhow::Result<()> {
    for place in &rules.leave_out {
        let at = into.join(place);
        // Links were checked to stay inside, but a name must not be looked up through one all the same.
        let parent = at.parent().and_then(|parent| parent.canonicalize().ok());
        if parent.as_deref() != at.parent() {
            continue;
        }
        match std::fs::symlink_metadata(&at) {
            Ok(found) if found.is_dir() => std::fs::remove_dir_all(&at)?,
            Ok(_) => std::fs::remove_file(&at)?,
            Err(_) => {}
        }
    }
    Ok(())
}
