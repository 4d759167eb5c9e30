//! How much a tree takes, without following a link.

use std::ffi::OsStr;
use std::path::Path;

use rustix::fs::{AtFlags, FileType};

use super::Dir;

/// Deeper down nothing is counted.
const DEPTH: usize = 128;

impl Dir {
    /// Bytes that the files at and below this name take on disk; 0 when nothing is there. Folders that the
    /// worker may not read are left out: it is for people and for judging what room is needed, not for
    /// reckoning.
    pub fn bytes_below(&self, name: impl AsRef<OsStr>) -> u64 {
        below(self, name.as_ref(), 0)
    }
}

fn below(dir: &Dir, name: &OsStr, depth: usize) -> u64 {
    let Ok(found) = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) else {
        return 0;
    };
    let own = u64::try_from(found.st_blocks)
        .unwrap_or(0)
        .saturating_mul(512);
    if FileType::from_raw_mode(found.st_mode) != FileType::Directory || depth > DEPTH {
        return own;
    }
    let Ok(folder) = dir.dir(Path::new(name)) else {
        return own;
    };
    let names = folder.names().unwrap_or_default();
    names
        .iter()
        .fold(own, |sum, name| sum + below(&folder, name, depth + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    #[test]
    fn what_a_link_leads_to_is_not_counted() {
        let scratch = Scratch::new();
        std::fs::write(scratch.path().join("outside"), vec![1; 1_000_000]).expect("a file");
        let tree = scratch.path().join("tree");
        std::fs::create_dir(&tree).expect("a folder");
        std::os::unix::fs::symlink("../outside", tree.join("link")).expect("a link");
        let dir = Dir::open(scratch.path()).expect("there");
        assert!(dir.bytes_below("tree") < 100_000);
        std::fs::write(tree.join("file"), vec![1; 1_000_000]).expect("a file");
        assert!(dir.bytes_below("tree") >= 1_000_000);
        assert_eq!(dir.bytes_below("nothing"), 0);
    }
}
