//! A host of backups that dies in the middle of a backup: the task ends, rolled back, without waiting for it, and its site is
//! everybody's again at once. What may have been kept counts for nothing, is in no list, and goes with the lock that was left as soon as
//! the host answers.

use std::path::Path;
use std::time::Duration;

use kolga_tests::furnish::tree;
use kolga_tests::scenario::SERVER;
use kolga_tests::stack::Stack;
use kolga_tests::wait::until;
use kolga_tests::world::{clear, repository};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::far::Far;
use super::readable;
use super::remote::{HOST, done, fails, scene};
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
    let task = scene
        .hub
        .task(SERVER, "site.backup", json!({"site": HOST}))
        .await;
    until("the backup is that far", SOON, async || {
        when().then_some(())
    })
    .await;
    // Whatever the worker would ask next, it asks a host that is gone.
    scene.worker.signal(Signal::STOP);
    far.stop();
    scene.worker.signal(Signal::CONT);
    scene.hub.ended(&task).await
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_host_that_dies_in_the_middle_leaves_nothing_that_counts_and_nothing_for_long() {
    let stack = Stack::load();
    clear(&stack, SERVER).await;
    put_repository(&stack);
    let mut far = Far::sftp(&stack).await;
    far.knows("host");
    let (user, folder) = (stack.text("/user"), repository(&stack, SERVER));
    let address = format!("sftp://{user}@127.0.0.1:{}/{}", far.port, folder.display());
    let file = |name: &str| far.path(name).display().to_string();
    let more = [
        ("ssh_key", file("key")),
        ("ssh_known_hosts", file("known_hosts")),
    ];
    let scene = scene("away", &address, &more).await;
    let site = scene.install(HOST, "static").await;
    let first = scene.backed_up(HOST).await;

    // While data are on their way.
    let large = site.join("docroot/large");
    let noise = std::fs::File::open("/dev/urandom").expect("noise");
    let mut noise = std::io::Read::take(noise, 40_000_000);
    std::io::copy(
        &mut noise,
        &mut std::fs::File::create(&large).expect("a file"),
    )
    .expect("written");
    readable(&large);
    let before = count(&folder.join("data"));
    let ended = dies_when(&scene, &mut far, || count(&folder.join("data")) > before).await;
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
    let why = fails(&scene).await;
    assert!(why.contains("cannot be reached"), "{why}");
    far.start().await;
    until("nothing is owed", SOON, async || {
        (owed(&scene) == Some(0)).then_some(())
    })
    .await;
    let locks = count(&folder.join("locks"));
    assert_eq!((locks, count(&folder.join("snapshots"))), (0, 1));

    // When the snapshot is there, and was not read back.
    let ended = dies_when(&scene, &mut far, || count(&folder.join("snapshots")) > 1).await;
    assert_eq!(ended["state"], "failed", "{ended:#}");
    assert_eq!(
        (count(&folder.join("snapshots")), owed(&scene)),
        (2, Some(1))
    );
    let half = tree(&folder.join("snapshots")).into_iter();
    let mut half = half.map(|(path, _)| path.display().to_string());
    let half = half.rfind(|name| *name != first).expect("two");
    // A worker that starts anew knows of it.
    let Scene {
        stack,
        hub,
        worker,
        restored,
        bucket,
    } = scene;
    worker.stop().await;
    far.start().await;
    let worker = kolga_tests::worker::Worker::start(&stack, SERVER, &Default::default()).await;
    let scene = Scene {
        stack,
        hub,
        worker,
        restored,
        bucket,
    };
    let listed = done(&scene, "backup.list", json!({"site": HOST})).await;
    let ids: Vec<&Value> = listed["backups"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| &it["id"])
        .collect();
    assert_eq!(ids, [&json!(first)]);
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
    until("nothing is owed", SOON, async || {
        (owed(&scene) == Some(0)).then_some(())
    })
    .await;
    assert_eq!(count(&folder.join("snapshots")), 1);
    // All is as if nothing had been.
    let params = json!({"daily": 1, "weekly": 0, "monthly": 0});
    done(&scene, "backup.prune", params).await;
    done(&scene, "backup.verify", json!({"backup": first})).await;
    scene.backed_up(HOST).await;
    scene.end(&[HOST]).await;
}
