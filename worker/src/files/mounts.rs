//! File systems that are mounted somewhere below a folder.
//!
//! Asked by step `make_snapshot`: restic stays on the file system on which it began.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Where others are mounted below this folder, seen from it, as this process sees them.
///
/// # Errors
/// When the folder is not there, or the kernel does not say.
pub fn mounted_below(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    // The kernel knows no links on the way.
    let folder = std::fs::canonicalize(folder)
        .with_context(|| format!("cannot find {}", folder.display()))?;
    let text = std::fs::read("/proc/self/mountinfo").context("cannot read the list of mounts")?;
    Ok(below(&folder, &text))
}

fn below(folder: &Path, mountinfo: &[u8]) -> Vec<PathBuf> {
    let lines = mountinfo.split(|&byte| byte == b'\n');
    // The fifth field (proc_pid_mountinfo(5)).
    let places = lines.filter_map(|line| line.split(|&byte| byte == b' ').nth(4));
    let places = places.map(|place| PathBuf::from(OsString::from_vec(plain(place))));
    let below = places.filter_map(|place| place.strip_prefix(folder).map(Path::to_owned).ok());
    below
        .filter(|place| !place.as_os_str().is_empty())
        .collect()
}

/// Spaces, tabs, line feeds and backslashes stand there as a backslash and three octal digits.
fn plain(place: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(place.len());
    let mut rest = place;
    while let Some((&first, behind)) = rest.split_first() {
        let octal = behind.get(..3).filter(|_| first == b'\\');
        let octal = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = &behind[3..];
            }
            None => {
                plain.push(first);
                rest = behind;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_below_is_found_whatever_its_name_and_no_neighbour() {
        let lines: [&[u8]; 6] = [
            b"25 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw",
            b"30 25 0:30 / /s/a rw - tmpfs tmpfs rw",
            b"31 25 0:31 / /s/a/docroot/up\\040loads rw shared:1 - nfs host:/x rw",
            b"32 25 8:1 /x /s/a/b\\134c\\011\xff rw - ext4 /dev/sda1 rw",
            b"33 25 0:33 / /s/ab rw - tmpfs tmpfs rw",
            b"",
        ];
        let found = below(Path::new("/s/a"), &lines.join(&b'\n'));
        let odd = PathBuf::from(OsString::from_vec(b"b\\c\t\xff".to_vec()));
        assert_eq!(found, [PathBuf::from("docroot/up loads"), odd]);
        assert!(below(Path::new("/nowhere"), &lines.join(&b'\n')).is_empty());
        assert!(!mounted_below(Path::new("/")).expect("a list").is_empty());
        assert!(mounted_below(Path::new("/nowhere")).is_err());
    }
}
