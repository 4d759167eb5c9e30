//! The backups of a spoke, for the scenarios that make some.

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

/// Forgets every snapshot, as `restic forget` does: a snapshot is a file.
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
}
