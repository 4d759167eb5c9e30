//! The backups of a spoke, for the scenarios that make some.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::scenario::SERVER;
use crate::stack::Stack;
use crate::world;

/// How many snapshots there are, as a world shows it.
pub(super) const SNAPSHOTS: &str = world::SNAPSHOTS;

/// The one snapshot that there is.
pub(super) fn only(stack: &Stack) -> String {
    let folder = world::repository(stack, SERVER).join("snapshots");
    let mut ids: Vec<String> = std::fs::read_dir(&folder)
        .expect("there is a repository")
        .map(|entry| entry.expect("read").file_name())
        .map(|name| name.into_string().expect("hexadecimal digits"))
        .collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    ids.remove(0)
}

/// Forgets every snapshot, as `restic forget` does: a snapshot is a file. What comes next does not pay for the key again.
pub(super) fn forget(stack: &Stack) {
    let folder = world::repository(stack, SERVER).join("snapshots");
    let mut forgotten = 0;
    for entry in std::fs::read_dir(&folder).expect("there is a repository") {
        std::fs::remove_file(entry.expect("read").path()).expect("removed");
        forgotten += 1;
    }
    assert!(
        forgotten > 0,
        "a backup leaves a snapshot in {}",
        folder.display()
    );
    world::cheapen(stack, SERVER);
}

/// Where backups are extracted to, among the spoke's folders.
pub(super) const EXTRACTED: &str = "extracted";
/// Under which name there.
pub(super) const FOLDER: &str = "looked-at";

/// What is to be extracted.
pub(crate) fn extracted(stack: &Stack) -> PathBuf {
    let config = stack.spoke(SERVER, "config");
    config.with_file_name(EXTRACTED).join(FOLDER)
}

pub(super) fn remove_extracted(stack: &Stack) {
    std::fs::remove_dir_all(extracted(stack)).expect("it was extracted");
}

/// Keeps a copy of the repository as it is, so that what a try removes need not be made again.
pub(super) fn save(stack: &Stack) {
    let saved = saved(stack);
    std::fs::remove_dir_all(&saved).ok();
    copy(&world::repository(stack, SERVER), &saved);
}

/// Puts the repository back as it was saved.
pub(super) fn put_back(stack: &Stack) {
    let repository = world::repository(stack, SERVER);
    std::fs::remove_dir_all(&repository).expect("there is a repository");
    copy(&saved(stack), &repository);
}

fn saved(stack: &Stack) -> PathBuf {
    PathBuf::from(stack.text("/dir")).join("saved-restic")
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("/bin/cp").arg("-a").args([from, to]).status();
    assert!(copied.expect("it runs").success(), "{}", from.display());
}
