//! A repository on another host: over SFTP, which restic reaches through `ssh`, and over REST. All that is done with
//! backups is done there too, confined as ever; a host that is not the one that is known, or that is away, is told, and
//! leaves the site and its backups as they were.

use std::os::unix::fs::symlink;
use std::time::Duration;

use kolga_tests::furnish::tree;
use kolga_tests::scenario::SERVER;
use kolga_tests::stack::Stack;
use kolga_tests::swapper::{Swapper, pair};
use kolga_tests::world::{clear, repository};
use serde_json::{Value, json};

use super::far::Far;
use super::scene::{Scene, put_repository};
use super::{SECRET, readable};

pub(super) const HOST: &str = "far.kolga.test";

/// A spoke whose backups go there.
pub(super) async fn scene(name: &str, address: &str, more: &[(&str, String)]) -> Scene {
    let mut stack = Stack::load().with_setting(SERVER, "trash", "keep_days", 0.into());
    stack = stack.with_setting(SERVER, "backups", "repository", address.into());
    for (key, value) in more {
        stack = stack.with_setting(SERVER, "backups", key, value.as_str().into());
    }
    Scene::on(name, stack).await
}

/// A task about a server's backups that succeeds.
pub(super) async fn done(scene: &Scene, kind: &str, params: Value) -> Value {
    let task = scene.hub.task(SERVER, kind, params).await;
    let ended = scene.hub.succeeds(&task).await;
    ended["output"].clone()
}

/// Why the site's backup came to nothing, which was told at once and left nothing to undo.
pub(super) async fn fails(scene: &Scene) -> String {
    let ended = scene.backup(HOST).await;
    assert_eq!(ended["state"], "failed", "{ended:#}");
    assert_eq!(ended["failure"]["step"], "open_repository", "{ended:#}");
    ended["failure"]["message"]
        .as_str()
        .expect("a reason")
        .to_owned()
}

/// Made, listed, verified, restored, pruned.
pub(super) async fn every_way(scene: &Scene) {
    let folder = scene.stack.spoke(SERVER, "sites_root").join(HOST);
    std::fs::write(folder.join("docroot/page"), "a page\n").expect("written");
    readable(&folder.join("docroot/page"));
    let before = tree(&folder);
    let first = scene.backed_up(HOST).await;
    std::fs::write(folder.join("docroot/page"), "another page\n").expect("written");
    let second = scene.backed_up(HOST).await;
    let listed = done(scene, "backup.list", json!({"site": HOST})).await;
    let ids = listed["backups"].as_array().expect("a list").iter();
    let ids: Vec<&str> = ids.filter_map(|backup| backup["id"].as_str()).collect();
    assert_eq!(ids, [&*second, &*first]);
    assert_eq!(
        (&listed["pruned"], &listed["prunes_at"]),
        (&Value::Null, &Value::Null)
    );
    let verified = done(scene, "backup.verify", json!({"backup": first})).await;
    assert!(verified["files"].as_u64() > Some(1), "{verified}");

    let params = json!({"backup": first});
    let restored = scene.on_site(HOST, "site.restore", params).await;
    assert_eq!(restored["state"], "succeeded", "{restored:#}");
    let without_mark = |mut all: Vec<(std::path::PathBuf, String)>| {
        all.retain(|(path, _)| !path.ends_with(".kolga-owner"));
        all
    };
    assert_eq!(without_mark(tree(&folder)), without_mark(before));

    let params = json!({"daily": 1, "weekly": 0, "monthly": 0});
    let pruned = done(scene, "backup.prune", params).await;
    assert_eq!((&pruned["kept"], &pruned["gone"]), (&json!(1), &json!(1)));
    done(scene, "backup.verify", json!({"backup": second})).await;
    scene.restic(&["check", "--read-data"]);
}

/// What a tenant's links lead to cannot be opened, whatever he swaps after so many milliseconds, though restic has started another program.
pub(super) async fn a_tenant_carries_nothing_out(scene: &Scene, pauses: &[u64]) {
    let victim = "victim.kolga.test";
    let theirs = scene.install(victim, "static").await;
    let own = scene.stack.spoke(SERVER, "sites_root").join(HOST);
    let inside = theirs.join("docroot/inside");
    let (swapped, link) = (own.join("docroot/inside"), own.join("docroot/other"));
    for (folder, text) in [(&inside, SECRET), (&swapped, "the tenant's own")] {
        std::fs::create_dir(folder).expect("a folder");
        for number in 0..100 {
            let path = folder.join(number.to_string());
            std::fs::write(&path, text).expect("written");
            readable(&path);
        }
        readable(folder);
    }
    symlink(&inside, &link).expect("linked");
    let swapper = Swapper::start(&own.join("docroot"), pair("inside", "other"));
    let (mut made, mut refused) = (Vec::new(), 0);
    for &milliseconds in pauses {
        swapper.pause(Duration::from_millis(milliseconds));
        let ended = scene.backup(HOST).await;
        match ended["output"]["backup"].as_str() {
            Some(id) => made.push(id.to_owned()),
            None => refused += 1,
        }
    }
    let swaps = swapper.end();
    println!(
        "{swaps} swaps, {} backups made, {refused} refused",
        made.len()
    );
    for id in &made {
        scene.restore(id);
        let texts = tree(&scene.restored);
        let bytes = format!("{:?}", SECRET.as_bytes());
        let bytes = bytes.trim_matches(['[', ']']);
        let held = texts.iter().find(|(_, what)| what.contains(bytes));
        assert_eq!(held, None, "backup {id} holds what is the neighbour's");
    }
    scene.hub.delete(victim).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_repository_over_sftp_is_as_good_as_a_folder_and_only_on_the_host_that_is_known() {
    let stack = Stack::load();
    clear(&stack, SERVER).await;
    let mut far = Far::sftp(&stack).await;
    let (user, folder) = (stack.text("/user"), repository(&stack, SERVER));
    let address = format!("sftp://{user}@127.0.0.1:{}/{}", far.port, folder.display());
    let file = |name: &str| far.path(name).display().to_string();
    let more = [
        ("ssh_key", file("key")),
        ("ssh_known_hosts", file("known_hosts")),
    ];
    let scene = scene("sftp", &address, &more).await;
    scene.install(HOST, "static").await;

    let why = fails(&scene).await;
    assert!(why.contains("Host key verification failed"), "{why}");
    assert!(!folder.exists(), "nothing was made there");
    put_repository(&stack);
    far.knows("host");
    every_way(&scene).await;
    a_tenant_carries_nothing_out(&scene, &[10]).await;

    far.stop();
    let why = fails(&scene).await;
    assert!(
        why.contains("cannot be reached") && why.contains("Connection refused"),
        "{why}"
    );
    far.start().await;
    scene.backed_up(HOST).await;
    std::fs::remove_file(far.path("known_hosts")).expect("it was there");
    let why = fails(&scene).await;
    assert!(why.contains("known_hosts is not there"), "{why}");
    far.knows("host");
    scene.end(&[HOST]).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_repository_over_rest_is_as_good_as_a_folder() {
    let stack = Stack::load();
    clear(&stack, SERVER).await;
    put_repository(&stack);
    let folder = repository(&stack, SERVER);
    let mut far = Far::rest(&stack, &folder).await;
    let scene = scene("rest", &format!("rest:http://127.0.0.1:{}/", far.port), &[]).await;
    scene.install(HOST, "static").await;
    every_way(&scene).await;
    far.stop();
    let why = fails(&scene).await;
    assert!(why.contains("connection refused"), "{why}");
    far.start().await;
    scene.backed_up(HOST).await;
    scene.end(&[HOST]).await;
}
