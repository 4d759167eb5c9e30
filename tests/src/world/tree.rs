//! Files and folders: kind, mode, owner, extended attributes (ACLs are among them), and what is in them.

use std::collections::HashMap;
use std::ffi::CStr;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::World;

/// Files of the worker itself, which change with every task.
const OWN: &[&str] = &[
    "journal.sqlite",
    "journal.sqlite-wal",
    "journal.sqlite-shm",
    "worker.lock",
    "control.sock",
    "cgroup",
    "nginx.lock",
];

/// A folder into which Drupal's PHP writes with a visit what it makes of templates: it is looked at, and not what is in it.
const VISITS: &str = "private/php";

/// What a file's hash was when it was this one: the kernel changes the last of these with every write, and
/// nobody can set it back.
type Identity = (u64, u64, u64, i64, i64, i64, i64);

/// Hashes of files that were looked at before.
#[derive(Default)]
pub(super) struct Hashes(HashMap<Identity, String>);

impl Hashes {
    fn of(&mut self, path: &Path, found: &std::fs::Metadata) -> std::io::Result<String> {
        let identity = (
            found.dev(),
            found.ino(),
            found.size(),
            found.mtime(),
            found.mtime_nsec(),
            found.ctime(),
            found.ctime_nsec(),
        );
        if let Some(hash) = self.0.get(&identity) {
            return Ok(hash.clone());
        }
        let hash = hex(&Sha256::digest(std::fs::read(path)?));
        self.0.insert(identity, hash.clone());
        Ok(hash)
    }
}

/// Notes what stands at this path and below it.
pub(super) fn note(world: &mut World, hashes: &mut Hashes, path: &Path) {
    match look(world, hashes, path) {
        Ok(()) => {}
        // Between listing and looking it went.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

fn look(world: &mut World, hashes: &mut Hashes, path: &Path) -> std::io::Result<()> {
    let found = std::fs::symlink_metadata(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if OWN.contains(&name.as_ref()) {
        return Ok(());
    }
    let kind = found.file_type();
    let shape = format!(
        "{:o} {}:{}{}",
        found.mode(),
        found.uid(),
        found.gid(),
        attributes(path)
    );
    let content = if kind.is_symlink() {
        std::fs::read_link(path)?.display().to_string()
    } else if kind.is_file() {
        hashes.of(path, &found)?
    } else {
        String::new()
    };
    world.note(format!("file {}", path.display()), shape, content);
    if kind.is_dir() && !path.ends_with(VISITS) {
        for entry in std::fs::read_dir(path)? {
            note(world, hashes, &entry?.path());
        }
    }
    Ok(())
}

/// Every extended attribute with its value, ACLs among them.
fn attributes(path: &Path) -> String {
    let mut names = [0; 2048];
    let length = rustix::fs::llistxattr(path, &mut names).unwrap_or(0);
    let mut all: Vec<String> = names[..length]
        .split_inclusive(|&byte| byte == 0)
        .filter_map(|name| CStr::from_bytes_with_nul(name).ok())
        .map(|name| {
            let mut value = [0; 1024];
            let length = rustix::fs::lgetxattr(path, name, &mut value).unwrap_or(0);
            format!(" {}={}", name.to_string_lossy(), hex(&value[..length]))
        })
        .collect();
    all.sort();
    all.concat()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_seen_though_its_length_and_its_time_are_the_same() {
        let folder = std::env::temp_dir().join(format!("kolga-unit-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&folder).expect("a folder");
        let file = folder.join("file");
        std::fs::write(&file, "one").expect("written");
        let time = std::fs::metadata(&file)
            .and_then(|found| found.modified())
            .expect("a time");
        let mut hashes = Hashes::default();
        let mut before = World::default();
        note(&mut before, &mut hashes, &folder);
        let mut same = World::default();
        note(&mut same, &mut hashes, &folder);
        std::fs::write(&file, "two").expect("written");
        let handle = std::fs::File::options()
            .write(true)
            .open(&file)
            .expect("a file");
        handle.set_modified(time).expect("set back");
        let mut after = World::default();
        note(&mut after, &mut hashes, &folder);
        std::fs::remove_dir_all(&folder).expect("removed");
        assert_eq!(before.len(), 2);
        assert_eq!(before.difference(&same), Vec::<String>::new());
        let told = before.difference(&after);
        assert!(told.len() == 1 && told[0].contains("/file "), "{told:#?}");
    }
}
