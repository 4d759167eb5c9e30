//! Files that the services' user has where everybody may write.

use std::os::unix::fs::MetadataExt as _;

use super::World;
use crate::stack::Stack;

pub(super) fn note(world: &mut World, stack: &Stack, uid: u32) {
    for folder in ["/tmp", "/var/tmp", "/dev/shm"] {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let mine = entry.metadata().is_ok_and(|found| found.uid() == uid);
            let name = entry.file_name();
            // Segments of PostgreSQL, and clocks that were moved, belong to another stack of the same user, if
            // not to this one's.
            let of_others = ["kolga-unit-", "PostgreSQL.", "faketime"]
                .iter()
                .any(|known| name.to_string_lossy().contains(known));
            if mine && !of_others && !entry.path().starts_with(stack.text("/dir")) {
                let name = format!("temporary {}", entry.path().display());
                world.note(name, String::new(), String::new());
            }
        }
    }
}
