//! Trees that somebody has made so that taking them would do harm, and others.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;
use crate::files::Access;
use crate::testing::Scratch;

/// Its name, how it is made, and what is said of it.
type Hostile = (&'static str, fn(&Path), &'static str);

fn choice(names: u64, bytes: u64) -> Choice {
    Choice {
        leave_out: vec!["cache".into()],
        bounds: Bounds { names, bytes },
    }
}

fn roomy() -> Choice {
    choice(1000, 1_000_000)
}

struct Scene {
    _scratch: Scratch,
    source: Dir,
    target: Dir,
}

fn scene() -> Scene {
    let scratch = Scratch::new();
    let at = |name: &str| {
        let path = scratch.path().join(name);
        std::fs::create_dir(&path).expect("a folder");
        Dir::open(&path).expect("there")
    };
    let (source, target) = (at("source"), at("target"));
    Scene {
        _scratch: scratch,
        source,
        target,
    }
}

fn weigh(source: &Dir) -> Weighed {
    let weighed = source.weigh(Path::new(""), &roomy(), &mut || Ok(()));
    weighed.expect("looked")
}

fn take(scene: &Scene, choice: &Choice) -> anyhow::Result<Taken> {
    let Scene { source, target, .. } = scene;
    target.take_in(source, Path::new(""), choice, &|_| 0o640, &mut || Ok(()))
}

#[test]
fn files_folders_and_links_that_stay_inside_are_taken_and_get_the_rights_of_their_new_place() {
    let scene = scene();
    let at = |path: &str| scene.source.path().join(path);
    std::fs::create_dir_all(at("a/b")).expect("folders");
    std::fs::create_dir(at("cache")).expect("a folder");
    std::fs::write(at("cache/x"), "left out").expect("a file");
    std::fs::write(at("a/b/page"), "hello").expect("a file");
    std::fs::write(at("run"), "#!").expect("a file");
    let mode = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(at("run"), mode(0o755)).expect("a mode");
    std::fs::set_permissions(at("a/b/page"), mode(0o666)).expect("a mode");
    symlink("../../run", at("a/b/link")).expect("a link");
    // Added to what is there.
    std::fs::create_dir(scene.target.path().join("a")).expect("a folder");
    scene
        .target
        .set_access(&[(12345, Access::Read)], true)
        .expect("lists work here");
    let weighed = weigh(&scene.source);
    assert!(weighed.problems.is_empty(), "{:?}", weighed.problems);
    let taken = take(&scene, &roomy()).expect("taken");
    assert_eq!(taken, weighed.taken);
    let expected = Taken {
        files: 2,
        folders: 2,
        links: 1,
        bytes: 7,
    };
    assert_eq!(taken, expected);
    let copied = |path: &str| scene.target.path().join(path);
    let text = std::fs::read_to_string(copied("a/b/page")).expect("copied");
    assert_eq!(text, "hello");
    assert!(!copied("cache").exists());
    let bits = |path: &str| {
        let found = std::fs::symlink_metadata(copied(path)).expect("there");
        found.permissions().mode() & 0o7777
    };
    assert_eq!(bits("run"), 0o750);
    let link = std::fs::read_link(copied("a/b/link")).expect("a link");
    assert_eq!(link, Path::new("../../run"));
    let (was, is) = (
        std::fs::metadata(at("run")),
        std::fs::metadata(copied("run")),
    );
    let changed = |found: std::io::Result<std::fs::Metadata>| {
        found.expect("there").modified().expect("a time")
    };
    assert_eq!(changed(was), changed(is));
}

#[test]
fn all_that_is_not_taken_is_told_at_once_and_copying_ends_at_the_first() {
    let hostile: &[Hostile] = &[
        (
            "pipe",
            |at| {
                rustix::fs::mknodat(
                    rustix::fs::CWD,
                    at,
                    FileType::Fifo,
                    Mode::RUSR | Mode::WUSR,
                    0,
                )
                .expect("a pipe");
            },
            "neither a file, a folder nor a link",
        ),
        (
            "absolute",
            |at| symlink("/etc/passwd", at).expect("a link"),
            "leads out of it",
        ),
        (
            "above",
            |at| symlink("../x", at).expect("a link"),
            "leads out of it",
        ),
        (
            "roundabout",
            |at| symlink("a/../../x", at).expect("a link"),
            "leads out of it",
        ),
        (
            "lending",
            |at| {
                std::fs::write(at, "x").expect("a file");
                let mode = std::fs::Permissions::from_mode(0o4755);
                std::fs::set_permissions(at, mode).expect("a mode");
            },
            "lends its owner's rights",
        ),
        (
            "twice",
            |at| {
                std::fs::write(at, "x").expect("a file");
                let other = at.with_file_name("other");
                std::fs::hard_link(at, other).expect("another name");
            },
            "has another name besides",
        ),
        (
            "deep",
            |at| {
                let path = (0..DEPTH + 1).fold(at.to_owned(), |path, _| path.join("d"));
                std::fs::create_dir_all(path).expect("folders");
            },
            "nested too deep",
        ),
    ];
    for (name, make, said) in hostile {
        let scene = scene();
        make(&scene.source.path().join(name));
        let weighed = weigh(&scene.source);
        let told = weighed.problems.join("; ");
        assert!(told.contains(said), "{name}: {told:?}");
        let error = take(&scene, &roomy()).expect_err("refused").to_string();
        assert!(error.contains(said), "{name}: {error}");
    }
    let all = scene();
    for (name, make, _) in hostile {
        make(&all.source.path().join(name));
    }
    assert!(weigh(&all.source).problems.len() >= hostile.len());
}

#[test]
fn more_than_the_bounds_is_refused_while_it_is_looked_at() {
    let scene = scene();
    for name in 0..20 {
        let at = scene.source.path().join(name.to_string());
        std::fs::write(at, vec![0; 100]).expect("a file");
    }
    for choice in [choice(19, 1_000_000), choice(1000, 1999)] {
        let error = scene.source.weigh(Path::new(""), &choice, &mut || Ok(()));
        let error = error.expect_err("too much").to_string();
        assert!(error.contains("more than"), "{error}");
        assert!(take(&scene, &choice).is_err());
    }
    assert_eq!(weigh(&scene.source).taken.bytes, 2000);
}

#[test]
fn a_link_stays_inside_only_if_it_goes_up_first_and_not_too_far() {
    for (place, target, inside) in [
        ("a", "b", true),
        ("x/a", "../b", true),
        ("x/y/a", "../../b/c", true),
        ("x/a", "./b", true),
        ("a", "../b", false),
        ("x/a", "../../b", false),
        ("x/y/a", "b/../c", false),
        ("a", "/b", false),
    ] {
        let found = stays_inside(Path::new(place), Path::new(target));
        assert_eq!(found, inside, "{place} -> {target}");
    }
}

#[test]
fn who_swaps_what_is_being_copied_for_links_has_nothing_copied_from_elsewhere() {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use rustix::fs::{CWD, RenameFlags, renameat_with};

    let scene = scene();
    let outside = Scratch::new();
    std::fs::write(outside.path().join("page"), "not the tenant's").expect("a file");
    std::fs::write(outside.path().join("file"), "not the tenant's").expect("a file");
    let at = |path: &str| scene.source.path().join(path);
    for number in 0..20 {
        std::fs::create_dir_all(at(&format!("{number}/folder"))).expect("folders");
        std::fs::write(at(&format!("{number}/folder/page")), "the tenant's").expect("a file");
        std::fs::write(at(&format!("{number}/file")), "the tenant's").expect("a file");
        // By another name, since as links that lead out they would be refused at once.
        symlink(outside.path(), at(&format!("swap-folder-{number}"))).expect("a link");
        symlink(
            outside.path().join("file"),
            at(&format!("swap-file-{number}")),
        )
        .expect("a link");
    }
    let choice = Choice {
        leave_out: (0..20)
            .flat_map(|number| {
                [
                    format!("swap-folder-{number}").into(),
                    format!("swap-file-{number}").into(),
                ]
            })
            .collect(),
        ..roomy()
    };
    let (done, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut whole, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for number in 0..20 {
                    for what in ["folder", "file"] {
                        let (one, other) = (
                            at(&format!("{number}/{what}")),
                            at(&format!("swap-{what}-{number}")),
                        );
                        renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE)
                            .expect("swapped");
                        swaps.fetch_add(1, Ordering::Relaxed);
                        std::thread::yield_now();
                        renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE)
                            .expect("swapped back");
                    }
                }
            }
        });
        for number in 0..200 {
            let to = scene.target.path().join(number.to_string());
            std::fs::create_dir(&to).expect("a folder");
            let to = Dir::open(&to).expect("there");
            let taken = to.take_in(
                &scene.source,
                Path::new(""),
                &choice,
                &|_| 0o640,
                &mut || Ok(()),
            );
            match taken {
                Ok(_) => whole += 1,
                Err(_) => refused += 1,
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    let swaps = swaps.into_inner();
    println!("{swaps} swaps, {whole} copies, {refused} refused");
    assert!(swaps > 100 && refused > 0, "it was never met by one");
    let mut waiting = vec![scene.target.path().to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).expect("there").flatten() {
            let found = entry.file_type().expect("looked");
            assert!(!found.is_symlink(), "{}", entry.path().display());
            if found.is_dir() {
                waiting.push(entry.path());
            } else {
                let text = std::fs::read_to_string(entry.path()).expect("read");
                assert_eq!(text, "the tenant's", "{}", entry.path().display());
            }
        }
    }
}
