//! Sources good and hostile, against a real folder.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// A folder of its own for each test, gone afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("kolga-unpack-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(path.join("into")).expect("a folder");
        Self(path)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let at = self.at(path);
        std::fs::create_dir_all(at.parent().expect("a parent")).expect("a folder");
        std::fs::write(at, text).expect("a file");
    }

    fn unpack(&self, source: &str, rules: &Rules) -> Result<Unpacked, String> {
        unpack(&self.at(source), &self.at("into"), rules, &Stop::never())
            .map_err(|error| format!("{error:#}"))
    }

    /// An archive of these entries.
    fn archive(&self, build: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> String {
        let mut builder = tar::Builder::new(Vec::new());
        build(&mut builder);
        let bytes = builder.into_inner().expect("an archive");
        let packed = zstd::encode_all(bytes.as_slice(), 1).expect("packed");
        std::fs::write(self.at("a.tar.zst"), packed).expect("a file");
        "a.tar.zst".to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A header whose name is taken as it is, which the library's own functions would refuse.
fn header(name: &[u8], kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.as_gnu_mut().expect("gnu").name[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_cksum();
    header
}

fn file(builder: &mut tar::Builder<Vec<u8>>, name: &str, mode: u32, text: &str) {
    let header = header(
        name.as_bytes(),
        tar::EntryType::Regular,
        mode,
        text.len() as u64,
    );
    builder.append(&header, text.as_bytes()).expect("an entry");
}

fn link(builder: &mut tar::Builder<Vec<u8>>, name: &str, kind: tar::EntryType, to: &str) {
    let mut header = header(name.as_bytes(), kind, 0o777, 0);
    header.as_gnu_mut().expect("gnu").linkname[..to.len()].copy_from_slice(to.as_bytes());
    header.set_cksum();
    builder.append(&header, &[] as &[u8]).expect("an entry");
}

fn rules() -> Rules {
    Rules {
        leave_out: vec!["wp-config.php".parse().expect("a place")],
        follow: Vec::new(),
        index: Some("index.php".parse().expect("a place")),
    }
}

#[test]
fn a_folder_becomes_a_platform_with_plain_modes() {
    let scratch = Scratch::new();
    scratch.write("source/index.php", "<?php");
    scratch.write("source/wp-config.php", "theirs");
    scratch.write("source/a/b/tool", "#!");
    let secret = std::fs::Permissions::from_mode(0o4700);
    std::fs::set_permissions(scratch.at("source/a/b/tool"), secret).expect("a mode");
    std::os::unix::fs::symlink("../index.php", scratch.at("source/a/index.php")).expect("a link");
    let made = scratch.unpack("source", &rules()).expect("a platform");
    assert_eq!((made.files, made.bytes), (3, 7));
    assert!(!scratch.at("into/wp-config.php").exists());
    let mode = |path: &str| {
        let found = std::fs::symlink_metadata(scratch.at(path)).expect("there");
        found.permissions().mode() & 0o7777
    };
    assert_eq!(mode("into/index.php"), 0o644);
    assert_eq!(mode("into/a/b/tool"), 0o755);
    assert_eq!(mode("into/a"), 0o755);
    let led = std::fs::read_link(scratch.at("into/a/index.php")).expect("still a link");
    assert_eq!(led, Path::new("../index.php"));
}

#[test]
fn a_link_out_of_the_source_is_copied_where_the_profile_follows_and_refused_elsewhere() {
    let scratch = Scratch::new();
    scratch.write("source/index.php", "<?php");
    scratch.write("library/underscore.js", "js");
    std::os::unix::fs::symlink("../library/underscore.js", scratch.at("source/u.js"))
        .expect("a link");
    let refused = scratch
        .unpack("source", &rules())
        .expect_err("it leads out");
    assert!(
        refused.contains("u.js") && refused.contains("does not follow"),
        "{refused}"
    );

    let scratch_two = Scratch::new();
    let follow = Rules {
        follow: vec![scratch.at("library")],
        ..rules()
    };
    unpack(
        &scratch.at("source"),
        &scratch_two.at("into"),
        &follow,
        &Stop::never(),
    )
    .expect("followed");
    assert_eq!(
        std::fs::read(scratch_two.at("into/u.js")).expect("a copy"),
        b"js"
    );
    assert!(!scratch_two.at("into/u.js").is_symlink());
}

#[test]
fn a_source_with_a_pipe_is_refused_and_not_waited_for() {
    let scratch = Scratch::new();
    scratch.write("source/index.php", "<?php");
    let mode = rustix::fs::Mode::RWXU;
    rustix::fs::mkfifoat(rustix::fs::CWD, scratch.at("source/pipe"), mode).expect("a pipe");
    let refused = scratch.unpack("source", &rules()).expect_err("a pipe");
    assert!(refused.contains("pipe"), "{refused}");
}

#[test]
fn the_only_folder_of_an_archive_is_taken_for_its_top() {
    let scratch = Scratch::new();
    let source = scratch.archive(|a| {
        file(a, "wordpress/index.php", 0o664, "<?php");
        file(a, "wordpress/wp-config.php", 0o664, "theirs");
        link(
            a,
            "wordpress/again",
            tar::EntryType::Link,
            "wordpress/index.php",
        );
        link(a, "wordpress/soft", tar::EntryType::Symlink, "index.php");
    });
    let made = scratch.unpack(&source, &rules()).expect("a platform");
    assert_eq!(made.files, 4);
    assert_eq!(
        std::fs::read(scratch.at("into/again")).expect("a copy"),
        b"<?php"
    );
    assert_eq!(
        std::fs::read(scratch.at("into/soft")).expect("a link"),
        b"<?php"
    );
    assert!(!scratch.at("into/wp-config.php").exists());
    assert!(!scratch.at("into.outer").exists());
}

#[test]
fn hostile_entries_are_refused_by_name_and_nothing_leaves_the_folder() {
    use tar::EntryType::{Block, Char, Fifo, Link, Symlink};
    type Build = fn(&mut tar::Builder<Vec<u8>>);
    let hostile: &[(&str, Build)] = &[
        ("../out", |a| file(a, "../out", 0o644, "x")),
        ("a/../../out", |a| file(a, "a/../../out", 0o644, "x")),
        ("/tmp/kolga-out", |a| file(a, "/tmp/kolga-out", 0o644, "x")),
        ("new\\nline", |a| file(a, "new\nline", 0o644, "x")),
        ("setuid", |a| file(a, "setuid", 0o4755, "x")),
        ("setgid", |a| file(a, "setgid", 0o2755, "x")),
        ("absolute", |a| link(a, "absolute", Symlink, "/etc/passwd")),
        ("upwards", |a| link(a, "upwards", Symlink, "../out")),
        ("nowhere", |a| link(a, "nowhere", Symlink, "nothing")),
        ("hard", |a| link(a, "hard", Link, "../../etc/passwd")),
        ("hard", |a| link(a, "hard", Link, "/etc/passwd")),
        ("twice", |a| {
            file(a, "twice", 0o644, "x");
            file(a, "twice", 0o644, "y");
        }),
        ("door/out", |a| {
            link(a, "door", Symlink, "a");
            file(a, "door/out", 0o644, "x");
        }),
        ("zigzag", |a| {
            file(a, "a/b/c/file", 0o644, "x");
            link(a, "a/b/c/top", Symlink, "../../..");
            link(a, "zigzag", Symlink, "a/b/c/top/..");
        }),
        ("device", |a| link(a, "device", Char, "")),
        ("device", |a| link(a, "device", Block, "")),
        ("pipe", |a| link(a, "pipe", Fifo, "")),
    ];
    for (name, build) in hostile {
        let scratch = Scratch::new();
        let source = scratch.archive(build);
        let refused = scratch.unpack(&source, &rules()).expect_err(name);
        assert!(refused.contains(name), "{name}: {refused}");
        assert!(!scratch.at("out").exists(), "{name}");
        assert!(!Path::new("/tmp/kolga-out").exists());
    }
}

#[test]
fn an_archive_that_is_cut_short_or_no_archive_is_refused() {
    let scratch = Scratch::new();
    let source = scratch.archive(|a| file(a, "index.php", 0o644, &"x".repeat(5000)));
    let whole = std::fs::read(scratch.at(&source)).expect("there");
    std::fs::write(scratch.at(&source), &whole[..whole.len() - 5]).expect("cut");
    assert!(scratch.unpack(&source, &rules()).is_err());
    let scratch = Scratch::new();
    scratch.write("b.tar.gz", "no archive at all");
    assert!(scratch.unpack("b.tar.gz", &rules()).is_err());
    scratch.write("c.zip", "");
    assert!(scratch.unpack("c.zip", &rules()).is_err());
}

#[test]
fn a_stop_ends_the_work_between_two_entries() {
    let scratch = Scratch::new();
    scratch.write("source/index.php", "<?php");
    let stop = Stop::never();
    stop.fire(crate::cx::StopCause::Cancelled);
    let error = unpack(&scratch.at("source"), &scratch.at("into"), &rules(), &stop);
    assert!(
        error
            .expect_err("stopped")
            .downcast_ref::<crate::cx::Stopped>()
            .is_some()
    );
}
