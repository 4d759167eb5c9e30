//! Small disks of a spoke's own below where it keeps sites, platforms, vhosts and backups, so that a test can fill
//! them to the last byte. Its journal stays on the disk that it had: what a full one means for that is chaos's.
//!
//! [`crate::breaker`] mounts them for the scenarios that are to meet a full disk. `deploy/stack` takes away what a
//! test that was killed has left.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::stack::Stack;

/// The file that `protocol/src/fault/armed.rs` fills a disk with.
const FILLER: &str = ".kolga-test-filler";
/// How large each is, in MiB: a platform with all that it stands beside has room.
const SIZE: u32 = 256;

/// Disks that are there until this is dropped.
pub struct SmallDisks(Vec<PathBuf>);

impl SmallDisks {
    /// Mounts them over folders in which there is nothing yet.
    ///
    /// # Panics
    /// When they cannot be mounted.
    #[must_use]
    pub fn mount(stack: &Stack, server: &str) -> Self {
        let config = stack.spoke(server, "config");
        let spoke = config.parent().expect("a folder");
        let mut disks = Self(Vec::new());
        for below in ["sites", "platforms", "conf/sites.d", "backups"] {
            let folder = spoke.join(below);
            if folder.exists() {
                disks.mount_one(folder, SIZE);
            }
        }
        disks
    }

    /// Mounts one of so many MiB over a folder in which there is nothing yet.
    ///
    /// # Panics
    /// When it cannot be mounted.
    #[must_use]
    pub fn over(folder: PathBuf, size: u32) -> Self {
        let mut disks = Self(Vec::new());
        disks.mount_one(folder, size);
        disks
    }

    fn mount_one(&mut self, folder: PathBuf, size: u32) {
        let is = std::fs::metadata(&folder).expect("a folder");
        let options = format!(
            "size={size}m,mode={:o},uid={},gid={}",
            is.mode() & 0o7777,
            is.uid(),
            is.gid()
        );
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "kolga-test"])
            .arg(&folder));
        self.0.push(folder);
    }

    /// The folders that are disks of their own.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(PathBuf::as_path)
    }

    /// Gives the room back.
    ///
    /// # Panics
    /// When a filler cannot be removed.
    pub fn empty(&self) {
        for folder in &self.0 {
            let filler = folder.join(FILLER);
            if filler.exists() {
                std::fs::remove_file(filler).expect("removed");
            }
        }
    }
}

impl Drop for SmallDisks {
    fn drop(&mut self) {
        for folder in &self.0 {
            // What still has a file open there keeps it until it closes it.
            run(Command::new("umount").arg("--lazy").arg(folder));
        }
    }
}

fn run(command: &mut Command) {
    let status = command.status().expect("it starts");
    assert!(status.success(), "{command:?}: {status}");
}
