//! What another program has put into a platform's folder, by the rules for what is unpacked: links that stay inside,
//! modes that are the same for everybody's, and bounds.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::entry::{link_stays_inside, path, shown};
use super::{MOST_BYTES, MOST_ENTRIES, Unpacked};
use crate::cx::Stop;

/// Looks at all that is below `root`, which nobody else can write, and gives it its modes.
///
/// # Errors
/// Names what has no place in a platform; [`crate::cx::Stopped`] is in the chain when `stop` fired.
pub fn settle(root: &Path, stop: &Stop) -> anyhow::Result<Unpacked> {
    let root = root
        .canonicalize()
        .context("the platform's folder is gone")?;
    let (mut found, mut entries) = (Unpacked::default(), 0);
    let mut waiting = vec![PathBuf::new()];
    while let Some(folder) = waiting.pop() {
        set_mode(&root.join(&folder), 0o755)?;
        let listed = std::fs::read_dir(root.join(&folder));
        for entry in listed.with_context(|| format!("cannot read {}", shown(&folder)))? {
            stop.check()?;
            entries += 1;
            anyhow::ensure!(
                entries <= MOST_ENTRIES,
                "the platform has more than {MOST_ENTRIES} entries"
            );
            let below = path(&folder.join(entry?.file_name()))?;
            let at = root.join(&below);
            let kind = std::fs::symlink_metadata(&at)
                .with_context(|| format!("cannot look at {}", shown(&below)))?;
            if kind.is_dir() {
                waiting.push(below);
            } else if kind.is_symlink() {
                inside(&root, &folder, &below)?;
                found.files += 1;
            } else if kind.is_file() {
                let program = kind.permissions().mode() & 0o100 != 0;
                set_mode(&at, if program { 0o755 } else { 0o644 })?;
                found.files += 1;
                found.bytes += kind.len();
            } else {
                anyhow::bail!(
                    "{} is neither a file nor a folder nor a link",
                    shown(&below)
                );
            }
            anyhow::ensure!(
                found.bytes <= MOST_BYTES,
                "the platform comes to more than {MOST_BYTES} bytes at {}",
                shown(&folder)
            );
        }
    }
    Ok(found)
}

fn inside(root: &Path, folder: &Path, link: &Path) -> anyhow::Result<()> {
    let at = root.join(link);
    let target = std::fs::read_link(&at).with_context(|| format!("cannot read {}", shown(link)))?;
    let led = at.canonicalize().with_context(|| {
        let (link, target) = (shown(link), shown(&target));
        format!("the link {link} leads nowhere, to {target}")
    })?;
    anyhow::ensure!(
        link_stays_inside(folder, &target) && led.starts_with(root),
        "the link {} leads out of the platform, to {}",
        shown(link),
        shown(&target)
    );
    Ok(())
}

fn set_mode(at: &Path, mode: u32) -> anyhow::Result<()> {
    std::fs::set_permissions(at, Permissions::from_mode(mode))
        .with_context(|| format!("cannot change the mode of {}", at.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::testing::Scratch;

    #[test]
    fn modes_become_everybodys_and_what_has_no_place_in_a_platform_is_refused() {
        let scratch = Scratch::new();
        let root = scratch.path().join("code");
        std::fs::create_dir_all(root.join("vendor/bin")).expect("folders");
        for (file, mode) in [("vendor/a.php", 0o4600), ("vendor/bin/tool", 0o6777)] {
            std::fs::write(root.join(file), "12345").expect("a file");
            set_mode(&root.join(file), mode).expect("changed");
        }
        symlink("../a.php", root.join("vendor/bin/link")).expect("a link");
        let found = settle(&root, &Stop::never()).expect("it is right");
        assert_eq!((found.files, found.bytes), (3, 10));
        let mode = |file: &str| {
            let found = std::fs::metadata(root.join(file)).expect("there");
            found.permissions().mode() & 0o7777
        };
        assert_eq!(
            (mode("vendor/a.php"), mode("vendor/bin/tool")),
            (0o644, 0o755)
        );

        for target in [
            "/etc/passwd",
            "../../outside",
            "missing",
            "../../../code/vendor/a.php",
        ] {
            std::fs::write(scratch.path().join("outside"), "").expect("a file");
            let link = root.join("vendor/bin/out");
            symlink(target, &link).expect("a link");
            assert!(settle(&root, &Stop::never()).is_err(), "{target}");
            std::fs::remove_file(link).expect("removed");
        }
        let pipe = root.join("vendor/pipe");
        let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU);
        rustix::fs::mknodat(rustix::fs::CWD, pipe, kind, mode, 0).expect("a pipe");
        let said = settle(&root, &Stop::never())
            .expect_err("refused")
            .to_string();
        assert!(said.contains("neither"), "{said}");
    }
}
