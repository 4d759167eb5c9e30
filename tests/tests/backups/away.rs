//! A host of backups that dies in the middle of a backup: the task ends, rolled back, without waiting for it, and its site is
//! everybody's again at once. What may have been kept counts for nothing, is in no list, and goes with the lock that was left as soon as
//! the host answers. Backups that are being forgotten when it dies are owed in the same way, and the task's result says so; a worker
//! that is killed while it notes that, or while it settles it, goes on with it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kolga_tests::furnish::tree;
use kolga_tests::scenario::SERVER;
use kolga_tests::stack::Stack;
use kolga_tests::wait::until;
use kolga_tests::worker::{Orders, Worker};
use kolga_tests::world::{clear, repository};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::far::Far;
use super::readable;
use super::remote::{HOST, done, scene};
use super::scene::{Scene, put_repository};

const SOON: Duration = Duration::from_secs(60);

/// Files in a folder of the repository and below.
fn count(folder: &Path) -> usize {
    tree(folder)
        .iter()
        .filter(|(_, what)| what != "folder")
        .count()
}

/// How many backups do not count, by what the spoke says of itself.
fn owed(scene: &Scene) -> Option<u64> {
    scene.worker.status()?["owed"].as_u64()
}

/// Begins a backup, and ends the host when this is true.
async fn dies_when(scene: &Scene, far: &mut Far, when: impl Fn() -> bool) -> Value {
    let params = json!({"site": HOST});
    let task = dies_in(scene, far, ("site.backup", params), when).await;
    scene.hub.ended(&task).await
}

/// Begins a task, and ends the host when this is true.
async fn dies_in(
    scene: &Scene,
    far: &mut Far,
    (kind, params): (&str, Value),
    when: impl Fn() -> bool,
) -> String {
    let task = scene.hub.task(SERVER, kind, params).await;
    until("the task is that far", SOON, async || when().then_some(())).await;
    // Whatever the worker would ask next, it asks a host that is gone.
    scene.worker.signal(Signal::STOP);
    far.stop();
    scene.worker.signal(Signal::CONT);
    task
}

/// A host over SFTP, and a spoke whose backups go there.
async fn begin() -> (Far, Scene) {
    let stack = Stack::load();
    clear(&stack, SERVER).await;
    put_repository(&stack);
    let far = Far::sftp(&stack).await;
    far.knows("host");
    let (user, folder) = (stack.text("/user"), repository(&stack, SERVER));
    let address = format!("sftp://{user}@127.0.0.1:{}/{}", far.port, folder.display());
    let file = |name: &str| far.path(name).display().to_string();
    let more = [
        ("ssh_key", file("key")),
        ("ssh_known_hosts", file("known_hosts")),
    ];
    let scene = scene("away", &address, &more).await;
    (far, scene)
}

/// Bytes that nothing makes smaller, in a site.
fn noise(site: &Path, bytes: u64) -> PathBuf {
    let large = site.join("docroot/large");
    let noise = std::fs::File::open("/dev/urandom").expect("noise");
    let mut file = std::fs::File::create(&large).expect("a file");
    std::io::copy(&mut std::io::Read::take(noise, bytes), &mut file).expect("written");
    readable(&large);
    large
}

/// The same scene with a worker that starts anew, under these orders.
async fn anew(scene: Scene, faults: Option<&str>) -> Scene {
    let Scene {
        stack,
        hub,
        mut worker,
        restored,
        bucket,
    } = scene;
    if worker.ended().is_none() {
        worker.stop().await;
    }
    let worker = Worker::start(&stack, SERVER, &under(faults)).await;
    Scene {
        stack,
        hub,
        worker,
        restored,
        bucket,
    }
}

fn under(faults: Option<&str>) -> Orders {
    Orders {
        faults: faults.map(str::to_owned),
        ..Orders::default()
    }
}

/// Waits until the worker has killed itself.
async fn killed(scene: &mut Scene) {
    let ended = scene.worker.end(SOON).await;
    assert!(scene.worker.was_killed(), "{ended}");
}

async fn settles(scene: &Scene) {
    until("nothing is owed", SOON, async || {
        (owed(scene) == Some(0)).then_some(())
    })
    .await;
}

/// Those that are listed.
async fn listed(scene: &Scene) -> Vec<Value> {
    let listed = done(scene, "backup.list", json!({"site": HOST})).await;
    println!("{} are to go when backups are listed", listed["owed"]);
    let backups = listed["backups"].as_array().expect("a list").iter();
    backups.map(|it| it["id"].clone()).collect()
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_host_that_dies_in_the_middle_leaves_nothing_that_counts_and_nothing_for_long() {
    let (mut far, scene) = begin().await;
    let site = scene.install(HOST, "static").await;
    // For this backup alone.
    let large = noise(&site, 12_000_000);
    let first = scene.backed_up(HOST).await;
    std::fs::remove_file(&large).expect("removed");
    let scene = backing_up(&mut far, scene, &site, &first).await;
    forgetting(&mut far, scene, &first).await;
}

/// A backup is being made.
async fn backing_up(far: &mut Far, scene: Scene, site: &Path, first: &str) -> Scene {
    let folder = repository(&scene.stack, SERVER);
    // While data are on their way: more of them than get there before the host is ended, on a busy machine, too.
    let large = noise(site, 120_000_000);
    let before = count(&folder.join("data"));
    let ended = dies_when(&scene, far, || count(&folder.join("data")) > before).await;
    assert_eq!(ended["state"], "failed", "{ended:#}");
    assert_eq!(ended["failure"]["left_behind"], json!([]), "{ended:#}");
    assert_eq!((count(&folder.join("locks")), owed(&scene)), (1, Some(1)));
    println!(
        "died after {} files of data: {}",
        count(&folder.join("data")) - before,
        ended["failure"]["message"]
    );
    std::fs::remove_file(&large).expect("removed");
    // The site is nobody's but its own again, host or no host.
    let off = scene.on_site(HOST, "site.disable", json!({})).await;
    assert_eq!(off["state"], "succeeded", "{off:#}");
    far.start().await;
    settles(&scene).await;
    let locks = count(&folder.join("locks"));
    assert_eq!((locks, count(&folder.join("snapshots"))), (0, 1));

    // When the snapshot is there, and was not read back.
    let mut scene = scene;
    let ended = dies_when(&scene, far, || count(&folder.join("snapshots")) > 1).await;
    assert_eq!(ended["state"], "failed", "{ended:#}");
    assert_eq!(
        (count(&folder.join("snapshots")), owed(&scene)),
        (2, Some(1))
    );
    let half = tree(&folder.join("snapshots")).into_iter();
    let mut half = half.map(|(path, _)| path.display().to_string());
    let half = half.rfind(|name| *name != first).expect("two");
    // A worker that starts anew knows of it.
    scene.worker.signal(Signal::TERM);
    until("it ends", SOON, async || scene.worker.ended()).await;
    far.start().await;
    let scene = anew(scene, None).await;
    assert_eq!(listed(&scene).await, [json!(first)]);
    let there = folder.join("snapshots").join(&half).exists();
    let task = scene
        .hub
        .task(SERVER, "backup.verify", json!({"backup": half}))
        .await;
    let refused = scene.hub.ended(&task).await;
    println!(
        "{half} was there when backups were listed: {there}; {}",
        refused["failure"]["message"]
    );
    assert_eq!(refused["state"], "failed", "{refused:#}");
    settles(&scene).await;
    assert_eq!(count(&folder.join("snapshots")), 1);
    scene
}

/// A task that forgets one of the backups has ended, and says that it is not gone.
fn is_owed(ended: &Value) {
    assert_eq!(ended["state"], "succeeded", "{ended:#}");
    let output = &ended["output"];
    let removed = output["removed"].as_array().map(Vec::len);
    assert_eq!(
        (removed, &output["owed"]),
        (Some(1), &json!(1)),
        "{ended:#}"
    );
}

/// Backups are being forgotten.
async fn forgetting(far: &mut Far, mut scene: Scene, first: &str) {
    let folder = repository(&scene.stack, SERVER);
    let (data, locks) = (folder.join("data"), folder.join("locks"));
    let snapshots = folder.join("snapshots");
    let second = scene.backed_up(HOST).await;
    let bytes = || -> u64 {
        let files = tree(&data).into_iter().map(|(path, _)| data.join(path));
        let sizes = files.filter_map(|path| std::fs::metadata(path).ok());
        sizes
            .filter(std::fs::Metadata::is_file)
            .map(|it| it.len())
            .sum()
    };
    // When the snapshot is gone, and its data are not. What an upload was in the middle of is in no list of restic's.
    let before = bytes();
    let policy = json!({"daily": 1, "weekly": 0, "monthly": 0});
    let when = || count(&snapshots) < 2;
    let task = dies_in(&scene, far, ("backup.prune", policy), when).await;
    let ended = scene.hub.ended(&task).await;
    is_owed(&ended);
    assert_eq!(
        (&ended["output"]["kept"], owed(&scene)),
        (&json!(1), Some(1))
    );
    assert_eq!(ended["output"]["removed"][0]["id"], first);
    assert_eq!(bytes(), before, "its data are there still");
    far.start().await;
    settles(&scene).await;
    assert!(bytes() + 12_000_000 < before, "{} of {before}", bytes());
    assert_eq!((count(&locks), count(&snapshots)), (0, 1));

    // Before anything of it is done. A worker that is killed once that is noted says the same.
    scene = anew(scene, Some("kill@committed")).await;
    let last = json!({"site": HOST, "backup": second, "last": true});
    let task = scene.hub.task(SERVER, "backup.delete", last).await;
    killed(&mut scene).await;
    far.stop();
    scene.worker = Worker::spawn(&scene.stack, SERVER, &under(Some("kill@restic:owed")));
    killed(&mut scene).await;
    scene = anew(scene, Some("kill@restic:settle")).await;
    is_owed(&scene.hub.ended(&task).await);
    assert_eq!((count(&snapshots), owed(&scene)), (1, Some(1)));
    // And so does one that is killed while it settles.
    far.start().await;
    killed(&mut scene).await;
    scene = anew(scene, None).await;
    assert_eq!(listed(&scene).await, [] as [Value; 0]);
    println!("of {} that were there", count(&snapshots));
    let verify = json!({"backup": second});
    let refused = scene.hub.task(SERVER, "backup.verify", verify).await;
    assert_eq!(scene.hub.ended(&refused).await["state"], "failed");
    settles(&scene).await;
    assert_eq!((count(&locks), count(&snapshots)), (0, 0));
    scene.restic(&["check", "--read-data"]);
    println!("the worker was killed 3 times, the host once");
    scene.end(&[HOST]).await;
}
