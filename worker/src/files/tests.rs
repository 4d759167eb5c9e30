//! Files over a real file system, with the tricks that somebody who can write there would try.

use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;
use crate::testing::Scratch;

fn scratch() -> (Scratch, Dir) {
    let scratch = Scratch::new();
    let dir = Dir::open(scratch.path()).expect("opens");
    (scratch, dir)
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).expect("is there").mode() & 0o7777
}

#[test]
fn a_file_is_written_with_its_mode_and_nothing_beside_it() {
    let (scratch, dir) = scratch();
    dir.write_atomically("a", b"one", 0o440).expect("written");
    dir.write_atomically("a", b"two", 0o440)
        .expect("written again");
    assert_eq!(
        dir.read("a", 100).expect("read").as_deref(),
        Some(&b"two"[..])
    );
    assert_eq!(mode(&scratch.path().join("a")), 0o440);
    assert_eq!(dir.names().expect("read"), ["a"]);
}

#[test]
fn a_new_file_is_never_written_over_anything() {
    let (_scratch, dir) = scratch();
    dir.write_new("a", b"one", 0o600).expect("written");
    assert!(dir.write_new("a", b"two", 0o600).is_err());
    assert_eq!(
        dir.read("a", 100).expect("read").as_deref(),
        Some(&b"one"[..])
    );
    assert_eq!(dir.names().expect("read"), ["a"]);
}

#[test]
fn a_link_at_the_name_is_replaced_and_not_written_through() {
    let (scratch, dir) = scratch();
    let outside = scratch.path().join("outside");
    std::fs::write(&outside, "unharmed").expect("written");
    symlink(&outside, scratch.path().join("a")).expect("linked");
    symlink(&outside, scratch.path().join(".a.new")).expect("linked");
    dir.write_atomically("a", b"mine", 0o600).expect("written");
    assert_eq!(std::fs::read_to_string(&outside).expect("read"), "unharmed");
    assert_eq!(dir.kind("a").expect("looked"), Some(Kind::File));
}

#[test]
fn what_a_crash_left_of_writing_goes_with_the_file() {
    let (_scratch, dir) = scratch();
    dir.write_atomically(".a.new", b"half", 0o600)
        .expect("written");
    dir.remove_file("a").expect("removed");
    dir.remove_file("a").expect("nothing to remove is success");
    assert!(dir.names().expect("read").is_empty());
}

#[test]
fn nothing_is_read_through_a_link_and_no_pipe_blocks() {
    let (scratch, dir) = scratch();
    symlink("/etc/passwd", scratch.path().join("link")).expect("linked");
    assert!(dir.read("link", 1 << 20).is_err());
    rustix::fs::mkfifoat(&dir, "pipe", Mode::RUSR).expect("made");
    assert!(dir.read("pipe", 1 << 20).is_err());
    assert_eq!(dir.read("absent", 10).expect("looked"), None);
}

#[test]
fn a_file_longer_than_expected_is_refused() {
    let (_scratch, dir) = scratch();
    dir.write_new("a", &[0; 11], 0o600).expect("written");
    assert!(dir.read("a", 10).is_err());
}

#[test]
fn a_name_with_more_than_one_part_is_refused_everywhere() {
    let (_scratch, dir) = scratch();
    for name in ["", ".", "..", "a/b", "/etc", "a\0b"] {
        assert!(dir.write_atomically(name, b"", 0o600).is_err(), "{name:?}");
        assert!(dir.make_dir(name, 0o700).is_err(), "{name:?}");
        assert!(dir.remove_tree(name).is_err(), "{name:?}");
        assert!(dir.kind(name).is_err(), "{name:?}");
    }
}

#[test]
fn a_folder_is_not_reached_through_a_link_or_from_above() {
    let (scratch, dir) = scratch();
    dir.make_dir("real", 0o755)
        .expect("made")
        .make_dir("below", 0o755)
        .expect("made");
    symlink("real", scratch.path().join("link")).expect("linked");
    dir.dir("real/below").expect("opens");
    for path in ["link", "link/below", "..", "real/../..", "/etc"] {
        assert!(dir.dir(path).is_err(), "{path}");
    }
}

#[test]
fn a_folder_gets_its_mode_whatever_the_umask() {
    let (scratch, dir) = scratch();
    dir.make_dir("a", 0o2775).expect("made");
    assert_eq!(mode(&scratch.path().join("a")), 0o2775);
    assert!(dir.make_dir("a", 0o755).is_err());
}

#[test]
fn removing_a_tree_leaves_what_its_links_lead_to() {
    let (scratch, dir) = scratch();
    let outside = Scratch::new();
    std::fs::write(outside.path().join("canary"), "alive").expect("written");
    let tree = dir.make_dir("tree", 0o755).expect("made");
    symlink(outside.path(), tree.path().join("to-folder")).expect("linked");
    symlink(outside.path().join("canary"), tree.path().join("to-file")).expect("linked");
    std::fs::set_permissions(
        tree.make_dir("closed", 0o755).expect("made").path(),
        std::fs::Permissions::from_mode(0o000),
    )
    .expect("closed");
    dir.remove_tree("tree").expect("removed");
    dir.remove_tree("tree")
        .expect("nothing to remove is success");
    assert!(outside.path().join("canary").exists());
    symlink(outside.path(), scratch.path().join("tree")).expect("linked");
    dir.remove_tree("tree").expect("the link is removed");
    assert!(outside.path().join("canary").exists());
}

#[test]
fn a_tree_deeper_than_there_are_descriptors_is_removed() {
    let (_scratch, dir) = scratch();
    let mut at = dir.make_dir("deep", 0o755).expect("made");
    for _ in 0..3000 {
        rustix::fs::mkdirat(&at, "d", Mode::RWXU).expect("made");
        let below = rustix::fs::openat(&at, "d", OFlags::DIRECTORY, Mode::empty()).expect("opens");
        at = Dir::new(below, PathBuf::new());
    }
    drop(at);
    dir.remove_tree("deep").expect("removed");
    assert!(dir.names().expect("read").is_empty());
}

#[test]
fn a_folder_swapped_for_a_link_again_and_again_never_leads_a_removal_astray() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let (scratch, dir) = scratch();
    let outside = Scratch::new();
    let canary = outside.path().join("victim");
    std::fs::create_dir(&canary).expect("made");
    std::fs::write(canary.join("canary"), "alive").expect("written");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let attacker = scope.spawn(|| {
            let mut swaps = 0_u64;
            while !done.load(Ordering::Relaxed) {
                let victim = scratch.path().join("site/victim");
                let link = scratch.path().join("link");
                symlink(&canary, &link).ok();
                let swapped = rustix::fs::renameat_with(
                    rustix::fs::CWD,
                    &link,
                    rustix::fs::CWD,
                    &victim,
                    RenameFlags::EXCHANGE,
                );
                swaps += u64::from(swapped.is_ok());
                std::fs::remove_dir_all(&link)
                    .or_else(|_| std::fs::remove_file(&link))
                    .ok();
            }
            swaps
        });
        let mut removed = Ok(());
        for _ in 0..300 {
            let victim = scratch.path().join("site/victim");
            std::fs::create_dir_all(&victim).ok();
            for name in 0..5 {
                std::fs::write(victim.join(format!("f{name}")), "").ok();
                // What is written through the link lands outside: that is the writer's doing.
            }
            removed = removed.and_then(|()| dir.remove_tree("site"));
        }
        done.store(true, Ordering::Relaxed);
        assert!(
            attacker.join().expect("ran") > 0,
            "the attack never took place"
        );
        removed.expect("nor does it keep the tree from being removed");
    });
    assert_eq!(
        std::fs::read_to_string(canary.join("canary")).expect("read"),
        "alive"
    );
}

#[test]
fn a_copy_has_files_modes_and_links_but_no_special_bits() {
    let (scratch, dir) = scratch();
    let source = dir.make_dir("source", 0o755).expect("made");
    source.write_new("tool", b"12345", 0o4755).expect("written");
    source
        .make_dir("sub", 0o750)
        .expect("made")
        .write_new("f", b"67", 0o640)
        .expect("written");
    symlink("/nowhere", source.path().join("link")).expect("linked");
    let target = dir.make_dir("target", 0o755).expect("made");
    let copied = target.copy_from(&source, &|_| false, &mut || Ok(()));
    let wanted = Copied {
        files: 3,
        bytes: 7,
        ..Copied::default()
    };
    assert_eq!(copied.expect("copied"), wanted);
    let at = scratch.path().join("target");
    assert_eq!(mode(&at.join("tool")), 0o755);
    assert_eq!(mode(&at.join("sub")), 0o750);
    assert_eq!(mode(&at.join("sub/f")), 0o640);
    assert_eq!(
        std::fs::read_link(at.join("link")).expect("a link"),
        Path::new("/nowhere")
    );
}

#[test]
fn a_copy_leaves_out_what_it_is_told_and_what_is_no_file_and_ends_when_told() {
    let (scratch, dir) = scratch();
    let source = dir.make_dir("source", 0o755).expect("made");
    rustix::fs::mkfifoat(&source, "pipe", Mode::RUSR).expect("made");
    source.write_new("mine", b"x", 0o600).expect("written");
    source.write_new("secret", b"x", 0o600).expect("written");
    let target = dir.make_dir("target", 0o755).expect("made");
    let secret = |path: &Path| path == Path::new("secret");
    let copied = target.copy_from(&source, &secret, &mut || Ok(()));
    let copied = copied.expect("copied");
    assert_eq!(
        (copied.files, copied.left_out),
        (1, vec![PathBuf::from("pipe")])
    );
    assert_eq!(target.names().expect("read"), ["mine"]);
    assert!(scratch.path().join("source/secret").exists());
    let again = dir.make_dir("again", 0o755).expect("made");
    let error = again
        .copy_from(&source, &|_| false, &mut || anyhow::bail!("told to end"))
        .expect_err("ends");
    assert_eq!(format!("{error:#}"), "told to end");
}

#[test]
fn in_a_copy_files_of_two_names_are_one_holes_are_holes_and_lists_are_lists() {
    let (scratch, dir) = scratch();
    let source = dir.make_dir("source", 0o755).expect("made");
    let below = source.make_dir("below", 0o2750).expect("made");
    below
        .set_access(&[(12_345, Access::Write)], true)
        .expect("lists work here");
    let file = source.create_file("sparse").expect("made");
    file.set_len(64 * 1024 * 1024).expect("a hole");
    file.write_all_at(b"middle", 20 * 1024 * 1024)
        .expect("written");
    std::fs::hard_link(
        source.path().join("sparse"),
        source.path().join("below/other"),
    )
    .expect("linked");
    below.write_new("listed", b"y", 0o640).expect("written");
    let target = dir.make_dir("target", 0o755).expect("made");
    let copied = target.copy_from(&source, &|_| false, &mut || Ok(()));
    let copied = copied.expect("copied");
    assert_eq!(copied.files, 3);
    assert!(copied.bytes < 1024 * 1024, "{} bytes", copied.bytes);
    let looks = |path: &str| std::fs::metadata(scratch.path().join(path)).expect("there");
    let (one, other) = (looks("target/sparse"), looks("target/below/other"));
    assert_eq!((one.ino(), one.nlink()), (other.ino(), 2));
    assert_eq!(one.len(), 64 * 1024 * 1024);
    assert!(one.blocks() * 512 < 1024 * 1024, "{} blocks", one.blocks());
    let bytes = std::fs::read(scratch.path().join("target/sparse")).expect("read");
    assert_eq!(&bytes[20 * 1024 * 1024..][..6], b"middle");
    let rights = |dir: &Dir| dir.dir("below").expect("there").rights().expect("looked");
    assert_eq!(rights(&target), rights(&source));
    for path in ["below/listed", "below", "sparse"] {
        let (was, is) = (
            looks(&format!("source/{path}")),
            looks(&format!("target/{path}")),
        );
        assert_eq!((is.mode(), is.mtime()), (was.mode(), was.mtime()), "{path}");
    }
}

/// Ends a thread that goes on until it is told, also when its test fails.
struct Stopped<'a>(&'a AtomicBool);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_copy_of_what_is_changed_all_the_while_goes_on_and_reaches_nothing_outside() {
    let (scratch, dir) = scratch();
    let outside = scratch.path().join("outside");
    std::fs::create_dir(&outside).expect("a folder");
    std::fs::write(outside.join("secret"), "a stranger's").expect("a file");
    let source = dir.make_dir("source", 0o755).expect("made");
    for name in ["file", "folder"] {
        symlink(&outside, source.path().join(format!("{name}-link"))).expect("linked");
    }
    source.write_new("file", b"mine", 0o644).expect("written");
    source.make_dir("folder", 0o755).expect("made");
    for number in 0..20 {
        let name = format!("lasting{number}");
        source.write_new(name, b"mine", 0o644).expect("written");
    }
    let stop = AtomicBool::new(false);
    let (swaps, comings) = (AtomicU64::new(0), AtomicU64::new(0));
    let (mut links, mut others) = (0, 0);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for name in ["file", "folder"] {
                    let other = format!("{name}-link");
                    rustix::fs::renameat_with(&source, name, &source, other, RenameFlags::EXCHANGE)
                        .expect("swapped");
                    swaps.fetch_add(1, Ordering::Relaxed);
                }
                let path = source.path().join("passing");
                std::fs::write(&path, "x").expect("written");
                std::fs::remove_file(&path).expect("removed");
                comings.fetch_add(1, Ordering::Relaxed);
            }
        });
        let _stopped_however_this_ends = Stopped(&stop);
        while links < 3 || others < 3 || swaps.load(Ordering::Relaxed) < 1000 {
            let target = dir.make_dir("target", 0o755).expect("made");
            let copied = target.copy_from(&source, &|_| false, &mut || Ok(()));
            copied.expect("it goes on");
            let names = target.names().expect("read");
            let lasting = names
                .iter()
                .filter(|name| name.to_string_lossy().starts_with("lasting"));
            assert_eq!(lasting.count(), 20);
            for name in ["file", "folder"] {
                let kind = target.kind(name).expect("looked");
                let carried = target.path().join(name).join("secret").exists();
                match kind {
                    Some(Kind::Link) => links += 1,
                    _ => {
                        others += 1;
                        assert!(!carried, "what is outside was copied");
                    }
                }
            }
            dir.remove_tree("target").expect("removed");
        }
    });
    println!(
        "{} swaps and {} files that came and went; links copied {links} times, others {others} times",
        swaps.load(Ordering::Relaxed),
        comings.load(Ordering::Relaxed)
    );
    assert_eq!(
        std::fs::read_to_string(outside.join("secret")).expect("read"),
        "a stranger's"
    );
}

#[test]
fn an_owned_folder_goes_with_its_owner_only() {
    let (scratch, dir) = scratch();
    dir.make_owned_dir("site", 0o711, "run-1").expect("made");
    assert_eq!(mode(&scratch.path().join("site")), 0o711);
    assert_eq!(
        dir.owner_of("site").expect("read").as_deref(),
        Some("run-1")
    );
    assert!(!dir.remove_owned_dir("site", "run-2").expect("left alone"));
    assert!(dir.remove_owned_dir("site", "run-1").expect("removed"));
    assert!(
        !dir.remove_owned_dir("site", "run-1")
            .expect("gone is success")
    );
    assert!(dir.names().expect("read").is_empty());
}

#[test]
fn a_folder_that_was_there_before_is_neither_taken_nor_removed() {
    let (_scratch, dir) = scratch();
    dir.make_dir("site", 0o755)
        .expect("made")
        .write_new("f", b"", 0o600)
        .expect("written");
    assert!(dir.make_owned_dir("site", 0o755, "run-1").is_err());
    assert!(!dir.remove_owned_dir("site", "run-1").expect("left alone"));
    assert_eq!(
        dir.dir("site").expect("there").names().expect("read"),
        ["f"]
    );
}

#[test]
fn what_a_crash_left_of_making_an_owned_folder_is_removed() {
    let (_scratch, dir) = scratch();
    dir.make_dir(".site.made", 0o700)
        .expect("made")
        .write_new("f", b"", 0o600)
        .expect("written");
    assert!(!dir.remove_owned_dir("site", "run-1").expect("cleaned"));
    assert!(dir.names().expect("read").is_empty());
}

#[test]
fn an_identity_survives_a_move_and_differs_for_a_successor() {
    let (_scratch, dir) = scratch();
    dir.make_dir("a", 0o755).expect("made");
    let first = dir.identity("a").expect("looked").expect("there");
    dir.move_to("a", &dir, "b").expect("moved");
    assert_eq!(dir.identity("b").expect("looked"), Some(first));
    assert!(dir.remove_tree_of("b", &first).expect("removed"));
    dir.make_dir("b", 0o755).expect("made");
    assert!(dir.remove_tree_of("b", &first).is_err());
    assert!(!dir.remove_tree_of("a", &first).expect("nothing there"));
}

#[test]
fn a_move_never_overwrites() {
    let (_scratch, dir) = scratch();
    dir.write_new("a", b"a", 0o600).expect("written");
    dir.write_new("b", b"b", 0o600).expect("written");
    assert!(dir.move_to("a", &dir, "b").is_err());
    assert_eq!(dir.read("b", 10).expect("read").as_deref(), Some(&b"b"[..]));
}

#[test]
fn an_access_list_lets_one_more_user_in_and_is_inherited() {
    let (scratch, dir) = scratch();
    let site = dir.make_dir("site", 0o700).expect("made");
    let me = rustix::process::geteuid().as_raw();
    site.set_access(&[(65534, Access::Write), (me, Access::Write)], true)
        .expect("set");
    site.make_dir("below", 0o700).expect("made");
    // The group's bits of the mode are the mask of the list (acl(5)).
    assert_eq!(mode(&scratch.path().join("site")), 0o770);
    let mut list = vec![0; 256];
    let below = site.dir("below").expect("opens");
    let length =
        rustix::fs::fgetxattr(&below, "system.posix_acl_access", &mut list[..]).expect("has one");
    assert_eq!(length, 4 + 8 * 6);
}

#[test]
fn users_have_numbers() {
    assert_eq!(user_id("root").expect("there"), 0);
    assert!(user_id("no-such-user").is_err());
}
