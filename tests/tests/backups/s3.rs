//! A repository in a bucket: as good as a folder, over TLS that an authority of the operator's own vouches for. A wrong secret and
//! a bucket that is not there are told; the secret is in no argv, no log, no book, and in the environment of restic alone.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kolga_tests::scenario::SERVER;
use kolga_tests::stack::Stack;
use kolga_tests::world::{clear, repository};

use super::far::Far;
use super::remote::{HOST, a_tenant_carries_nothing_out, every_way, fails, scene};

const KEY: &str = "site:kolga";
const SECRET: &str = "s3cr3t-0f-th3-buck3t";
const GUEST: &str = "site:guest";
const BUCKET: &str = "backups";

/// Who has had the secret where, by the program's name and its user: as long as it is watched.
struct Spy {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<BTreeMap<(&'static str, String, u32), u32>>,
}

impl Spy {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut seen = BTreeMap::new();
            while !told.load(Ordering::Relaxed) {
                for process in std::fs::read_dir("/proc").expect("/proc").flatten() {
                    look(&process.path(), &mut seen);
                }
                // A start of restic takes many times as long.
                std::thread::sleep(Duration::from_millis(10));
            }
            seen
        });
        Self { stop, thread }
    }

    fn stop(self) -> BTreeMap<(&'static str, String, u32), u32> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it ends")
    }
}

fn look(process: &Path, seen: &mut BTreeMap<(&'static str, String, u32), u32>) {
    for place in ["cmdline", "environ"] {
        let bytes = std::fs::read(process.join(place)).unwrap_or_default();
        let mut windows = bytes.windows(SECRET.len());
        if windows.any(|window| window == SECRET.as_bytes()) {
            let name = std::fs::read_to_string(process.join("comm")).unwrap_or_default();
            let owner = std::fs::metadata(process).map_or(0, |found| found.uid());
            *seen
                .entry((place, name.trim().to_owned(), owner))
                .or_default() += 1;
        }
    }
}

/// Files below a folder that hold the secret.
fn holders(folder: &Path) -> String {
    let looked = Command::new("grep")
        .args(["-rlaF", SECRET])
        .arg(folder)
        .output();
    String::from_utf8_lossy(&looked.expect("grep runs").stdout).into_owned()
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_repository_over_s3_is_as_good_as_a_folder_and_nobody_sees_its_secret() {
    let stack = Stack::load();
    clear(&stack, SERVER).await;
    let far = Far::s3(&stack, &[(KEY, SECRET, true), (GUEST, "guests", false)]).await;
    let address = format!("s3:https://127.0.0.1:{}/{BUCKET}", far.port);
    let file = |path: std::path::PathBuf| path.display().to_string();
    let more = [
        ("environment_file", file(far.s3_key(KEY, "wrong"))),
        ("ca_file", file(far.path("cert"))),
    ];
    let mut scene = scene("s3", &address, &more).await;
    scene.install(HOST, "static").await;
    let why = fails(&scene).await;
    assert!(
        why.contains("signature we calculated does not match"),
        "{why}"
    );
    far.s3_key(GUEST, "guests");
    let why = fails(&scene).await;
    assert!(
        why.contains("cannot be made") && why.contains("Access Denied"),
        "{why}"
    );

    far.s3_key(KEY, SECRET);
    let spy = Spy::start();
    scene.bucket = Some((far, BUCKET.to_owned()));
    every_way(&scene).await;
    let seen = spy.stop();
    println!("the secret was seen: {seen:?}");
    // The worker's child has other names until it has become restic; rclone is the test's own.
    let allowed = |(place, name, owner): &(&str, String, u32)| match name.as_str() {
        "restic" | "ionice" | "exe" => *place == "environ" && *owner == scene.stack.uid(),
        "rclone" => *place == "environ" && *owner == 0,
        _ => false,
    };
    assert!(seen.keys().all(allowed), "{seen:?}");
    assert!(seen.keys().any(|(_, name, _)| name == "restic"), "{seen:?}");
    for folder in [
        scene.stack.spoke(SERVER, "state_dir"),
        scene.hub.folder().to_owned(),
        Path::new(scene.stack.text("/dir")).join("log"),
    ] {
        assert_eq!(holders(&folder), "", "below {}", folder.display());
    }
    a_tenant_carries_nothing_out(&scene, &[0]).await;

    let (far, _) = scene.bucket.as_mut().expect("a bucket");
    far.stop();
    let why = fails(&scene).await;
    assert!(why.contains("connection refused"), "{why}");
    scene.bucket = None;
    assert!(repository(&scene.stack, SERVER).exists(), "the copy");
    scene.end(&[HOST]).await;
}
