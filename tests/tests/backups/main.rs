//! Backups over the whole system, read with plain restic: what is in them is the site as it was, byte for byte and
//! row for row, no credential is, and a tenant who swaps folders for links meanwhile carries out nothing that is
//! not his.

mod away;
mod delete;
mod far;
mod keep;
mod remote;
mod restore;
mod s3;
mod scene;
mod unconfined;

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kolga_tests::furnish::tree;
use kolga_tests::scenario::SERVER;
use kolga_tests::swapper::{Swapper, pair};
use scene::Scene;
use serde_json::{Value, json};

const SECRET: &str = "what the neighbour alone may know";

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn plain_restic_brings_back_every_byte_and_row_and_finds_no_credentials() {
    let scene = Scene::without_repository("whole").await;
    let host = "kept.kolga.test";
    let folder = scene.install(host, "php").await;
    std::fs::write(folder.join("docroot/page"), "a page\n").expect("written");
    readable(&folder.join("docroot/page"));
    symlink("/etc/hostname", folder.join("docroot/elsewhere")).expect("linked");
    let secrets = scene.stack.spoke(SERVER, "state_dir").join("secrets");
    let secrets = std::fs::read(secrets.join(format!("{host}.json"))).expect("it has some");
    let secrets: Value = serde_json::from_slice(&secrets).expect("JSON");
    let password = secrets["database_password"].as_str().expect("a password");

    let ended = scene.backup(host).await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
    let output = &ended["output"];
    let id = output["backup"].as_str().expect("an id");
    scene.restore(id);

    let relative = folder.strip_prefix("/").expect("absolute");
    let mut wanted = tree(&folder);
    wanted.retain(|(path, _)| !path.ends_with("settings.php"));
    assert_eq!(tree(&scene.restored.join(relative)), wanted);
    let dump = std::fs::read_to_string(scene.restored.join("database.sql")).expect("a dump");
    assert_eq!(output["database_bytes"], dump.len());
    for (path, what) in tree(&scene.restored) {
        let bytes = format!("{:?}", password.as_bytes());
        let bytes = bytes.trim_matches(['[', ']']);
        assert!(!what.contains(bytes), "{} holds a password", path.display());
    }

    let again = scene.backup(host).await;
    assert_eq!(again["state"], "succeeded", "{again}");
    let added = again["output"]["bytes_added"].as_u64().expect("a number");
    println!(
        "the first added {}, the second {added} bytes",
        output["bytes_added"]
    );
    assert!(added < output["bytes_added"].as_u64().expect("a number"));
    let second = again["output"]["backup"].as_str().expect("an id");
    let told = scene.restic(&["cat", "snapshot", second]);
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["parent"], id, "restic found the one before by itself");
    let listed = scene
        .hub
        .task(SERVER, "backup.list", json!({"site": host}))
        .await;
    let listed = scene.hub.succeeds(&listed).await;
    let ids: Vec<&str> = listed["output"]["backups"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|backup| backup["id"].as_str())
        .collect();
    assert_eq!(
        ids,
        [again["output"]["backup"].as_str().expect("an id"), id]
    );
    scene.end(&[host]).await;
}

/// As the worker may read it: what root makes is root's alone in a site's folder.
fn readable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = if path.is_dir() { 0o755 } else { 0o644 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_tenant_who_swaps_folders_for_links_carries_nothing_of_a_neighbour_out() {
    let scene = Scene::new("swapped").await;
    let (victim, tenant) = ("victim.kolga.test", "tenant.kolga.test");
    let theirs = scene.install(victim, "static").await;
    let own = scene.install(tenant, "static").await;
    let inside = theirs.join("docroot/inside");
    std::fs::create_dir(&inside).expect("a folder");
    let (swapped, link) = (own.join("docroot/inside"), own.join("docroot/other"));
    std::fs::create_dir(&swapped).expect("a folder");
    for number in 0..300 {
        // The same names on both sides: whoever has read the list of the one opens files of the other.
        for (folder, text) in [(&inside, SECRET), (&swapped, "the tenant's own")] {
            let path = folder.join(number.to_string());
            std::fs::write(&path, text).expect("written");
            readable(&path);
        }
    }
    readable(&inside);
    readable(&swapped);
    symlink(&inside, &link).expect("linked");

    let swapper = Swapper::start(&own.join("docroot"), pair("inside", "other"));
    let (mut made, mut refused) = (Vec::new(), 0);
    for milliseconds in [0, 1, 30, 300] {
        swapper.pause(Duration::from_millis(milliseconds));
        let ended = scene.backup(tenant).await;
        match ended["output"]["backup"].as_str() {
            Some(id) => made.push(id.to_owned()),
            None => {
                let why = ended.to_string();
                assert!(
                    why.contains("make_snapshot") || why.contains("check_snapshot"),
                    "{why}"
                );
                refused += 1;
            }
        }
    }
    let swaps = swapper.end();
    println!(
        "{swaps} swaps, {} backups made, {refused} that met a link and came to nothing",
        made.len()
    );

    // With the swapping over it works again, and the neighbour's own backup does hold what is looked for.
    let last = scene.backup(tenant).await;
    made.push(last["output"]["backup"].as_str().expect("made").to_owned());
    let holds_it = |restored: &Path| {
        let looked = Command::new("grep")
            .args(["-rlF", SECRET])
            .arg(restored)
            .output();
        !looked.expect("grep runs").stdout.is_empty()
    };
    for id in &made {
        scene.restore(id);
        assert!(
            !holds_it(&scene.restored),
            "backup {id} holds what is the neighbour's"
        );
    }
    let neighbours = scene.backup(victim).await;
    scene.restore(neighbours["output"]["backup"].as_str().expect("made"));
    assert!(
        holds_it(&scene.restored),
        "the test does not find what it looks for"
    );
    scene.end(&[victim, tenant]).await;
}
