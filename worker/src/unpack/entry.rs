//! The path of one entry, as a source tells it: an allow-list again, since the source may be anybody's.

use std::path::{Component, Path, PathBuf};

/// No real application nests its code deeper.
const DEPTH: usize = 64;

/// The entry's path below the platform's folder; empty for the top itself.
///
/// # Errors
/// When it is absolute, leads upwards, is not UTF-8, holds control characters or is too long.
pub(super) fn path(told: &Path) -> anyhow::Result<PathBuf> {
    let shown = shown(told);
    let Some(text) = told.to_str() else {
        anyhow::bail!("the name of entry {shown} is not UTF-8");
    };
    anyhow::ensure!(
        !text.chars().any(char::is_control),
        "the name of entry {shown} holds a control character"
    );
    let mut path = PathBuf::new();
    for part in told.components() {
        match part {
            Component::Normal(part) if part.len() <= 255 => path.push(part),
            Component::Normal(_) => anyhow::bail!("the name of entry {shown} is too long"),
            Component::CurDir => {}
            Component::ParentDir => {
                anyhow::bail!("entry {shown} leads out of the platform by '..'")
            }
            Component::RootDir | Component::Prefix(_) => {
                anyhow::bail!("entry {shown} is absolute")
            }
        }
    }
    anyhow::ensure!(
        path.components().count() <= DEPTH && text.len() <= 2048,
        "entry {shown} is nested too deep"
    );
    Ok(path)
}

/// The entry's name for a message: escaped and cut, since it may be hostile.
pub(super) fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    let cut: String = text.chars().take(200).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    format!("\"{}{more}\"", cut.escape_debug())
}

/// Where a link in `folder` leads, by its text alone: `None` when that is outside of the platform.
pub(super) fn link_stays_inside(folder: &Path, target: &Path) -> bool {
    let mut depth = folder.components().count();
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}
