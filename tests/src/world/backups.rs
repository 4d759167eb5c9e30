//! What there is in a spoke's backups: snapshots, locks, and repositories that were made by half. What else is in
//! a repository is in nobody's way, and different each time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::World;
use crate::stack::Stack;

/// How many snapshots there are.
pub const SNAPSHOTS: &str = "snapshots in the backups";

/// The repository of a spoke.
#[must_use]
pub fn repository(stack: &Stack, server: &str) -> PathBuf {
    let config = stack.spoke(server, "config");
    config.parent().expect("a folder").join("backups/restic")
}

/// Lets restic open the repository of a spoke without taking its time.
///
/// # Panics
/// When there is none.
pub fn cheapen(stack: &Stack, server: &str) {
    let repository = repository(stack, server);
    let config = stack.spoke(server, "config");
    let password = config.with_file_name("backup-password");
    crate::cheap_key::cheapen(&repository, &password);
}

pub(super) fn note(world: &mut World, stack: &Stack, server: &str) {
    let repository = repository(stack, server);
    let around = repository.parent().expect("a folder");
    world.counted(BTreeMap::from([
        (SNAPSHOTS.to_owned(), count(&repository.join("snapshots"))),
        (
            "locks in the backups".to_owned(),
            count(&repository.join("locks")),
        ),
        // The repository itself may be there or not: it stays.
        (
            "repositories by half".to_owned(),
            count(around) - usize::from(repository.exists()),
        ),
    ]));
}

/// What is in a folder; not files that restic had begun to write when it was killed, which it passes over.
fn count(folder: &Path) -> usize {
    let inside = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = inside.map(|entry| entry.file_name());
    names
        .filter(|name| !name.to_string_lossy().contains("-tmp-"))
        .count()
}
