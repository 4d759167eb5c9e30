//! A pool on its way through the life of a site, and from one site to the next.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use kolga_tests::furnish::tree;
use kolga_tests::scenario::trash;
use serde_json::json;

use super::scene::{Scene, processes_of};

const ONE: &str = "one.kolga.test";
const NEXT: &str = "next.kolga.test";
const COPY: &str = "copy.kolga.test";

/// Processes of a user's that are no new children of his php-fpm.
fn left_running(user: u32) -> BTreeSet<u32> {
    let mut left = processes_of(user);
    left.retain(|pid| {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        !command.starts_with(b"php-fpm: pool")
    });
    left
}

/// A process that is nobody's child any more and in a session of its own, as a tenant would leave one.
const LEAVE: &str = "setsid sleep 7531 </dev/null >/dev/null 2>&1 & echo left";

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_a_site_leaves_running_or_lying_is_gone_before_its_pool_is_anothers() {
    let scene = Scene::new(0).await;
    let folder = scene.install(ONE, true).await;
    let user = scene.user(ONE).await;
    let temporary = scene.tries(ONE, "temporary", "").await;
    let temporary = PathBuf::from(temporary.as_str().expect("a path"));
    assert!(
        temporary.starts_with(scene.pools_folder()),
        "{}",
        temporary.display()
    );
    assert_eq!(scene.tries(ONE, "run", LEAVE).await, "left\n");
    assert_eq!(
        scene.tries(ONE, "folder", temporary.join("deep")).await,
        true
    );
    assert_eq!(
        scene
            .tries(ONE, "write", temporary.join("deep/planted"))
            .await,
        6
    );
    // Folders of its own that the worker may only read.
    assert_eq!(
        scene.tries(ONE, "folder", folder.join("files/own")).await,
        true
    );
    assert_eq!(
        scene
            .tries(ONE, "write", folder.join("files/own/file"))
            .await,
        6
    );
    assert!(!left_running(user).is_empty(), "it runs on");
    scene.delete(ONE).await;
    assert!(!folder.exists());
    assert_eq!(left_running(user), Default::default());

    scene.install(NEXT, true).await;
    assert_eq!(scene.user(NEXT).await, user, "the first that is free");
    assert_eq!(
        scene.tries(NEXT, "list", &temporary).await,
        json!([".", ".."])
    );
    scene.end(&[NEXT]).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_pool_is_kept_for_a_site_in_the_trash_and_is_free_when_that_is_destroyed() {
    let scene = Scene::new(14).await;
    scene.install(ONE, true).await;
    let user = scene.user(ONE).await;
    assert_eq!(
        scene
            .tries(ONE, "write", scene.folder(ONE).join("files/mine"))
            .await,
        6
    );
    assert_eq!(scene.tries(ONE, "run", LEAVE).await, "left\n");
    scene.delete(ONE).await;
    assert_eq!(
        left_running(user),
        Default::default(),
        "nothing of it runs in the trash"
    );
    scene.install(NEXT, true).await;
    assert_ne!(
        scene.user(NEXT).await,
        user,
        "files of that user are in the trash"
    );

    let task = scene.hub.ask(&trash::restore(&scene.stack)).await;
    scene.hub.succeeds(&task).await;
    assert_eq!(scene.user(ONE).await, user, "the same, whose its files are");
    assert_eq!(
        scene
            .tries(ONE, "write", scene.folder(ONE).join("files/mine"))
            .await,
        6
    );

    scene.delete(ONE).await;
    let task = scene.hub.ask(&trash::empty(&scene.stack)).await;
    scene.hub.succeeds(&task).await;
    scene.install(COPY, true).await;
    assert_eq!(scene.user(COPY).await, user, "free again");
    scene.end(&[NEXT, COPY]).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_site_keeps_its_pool_when_it_is_restored_or_renamed_and_a_copy_has_another() {
    let scene = Scene::new(0).await;
    let folder = scene.install(ONE, true).await;
    let user = scene.user(ONE).await;
    let mine = |host: &str| scene.folder(host).join("files/own/mine");
    assert_eq!(
        scene.tries(ONE, "folder", folder.join("files/own")).await,
        true
    );
    assert_eq!(scene.tries(ONE, "write", mine(ONE)).await, 6);

    let backup = scene.on_site(ONE, "site.backup", json!({})).await["backup"].clone();
    scene
        .on_site(ONE, "site.restore", json!({"backup": backup}))
        .await;
    scene.probe(ONE);
    assert_eq!(scene.user(ONE).await, user);
    assert_eq!(
        scene.tries(ONE, "write", mine(ONE)).await,
        6,
        "what was PHP's is so still"
    );

    scene.on_site(ONE, "site.clone", json!({"to": COPY})).await;
    scene.probe(COPY);
    let other = scene.user(COPY).await;
    assert_ne!(other, user);
    assert_eq!(scene.tries(COPY, "write", mine(COPY)).await, 6);
    for (from, of) in [(ONE, COPY), (COPY, ONE)] {
        for what in ["read", "write"] {
            assert_eq!(
                scene.tries(from, what, mine(of)).await,
                false,
                "{what} {of}"
            );
        }
    }
    let list = std::process::Command::new("/usr/bin/getfacl")
        .args(["-R", "-n", "-p"])
        .arg(scene.folder(COPY))
        .output()
        .expect("getfacl runs");
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(list.contains(&format!("user:{other}:")), "{list}");
    assert!(
        !list.contains(&format!("user:{user}:")),
        "the copy names the other's user: {list}"
    );

    scene
        .on_site(ONE, "site.migrate", json!({"host": NEXT}))
        .await;
    assert_eq!(scene.user(NEXT).await, user);
    assert_eq!(scene.tries(NEXT, "write", mine(NEXT)).await, 6);
    let asked = [("what", "rows")];
    let rows = scene
        .tries_within(NEXT, &asked, Duration::from_secs(30))
        .await;
    assert_eq!(rows, Some(json!("let in: 42")));
    for host in [NEXT, COPY] {
        let verified = scene.on_site(host, "site.verify", json!({})).await;
        let nothing = (&verified["changes"], &verified["problems"]);
        assert_eq!(nothing, (&json!([]), &json!([])), "{verified:#}");
    }
    scene.end(&[NEXT, COPY]).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_site_that_is_there_gets_a_pool_to_itself_with_all_its_files_and_shares_one_again() {
    let scene = Scene::new(0).await;
    let folder = scene.install(ONE, false).await;
    scene.install(NEXT, false).await;
    let shared = scene.user(ONE).await;
    let mine = folder.join("files/own/mine");
    let made = scene.tries(ONE, "folder", folder.join("files/own")).await;
    assert_eq!(made, true);
    assert_eq!(scene.tries(ONE, "write", &mine).await, 6);
    assert_eq!(
        scene.tries(NEXT, "read", &mine).await,
        "theirs",
        "they share a pool"
    );
    let before = tree(&folder);

    let told = scene.on_site(ONE, "site.pool", json!({"own": true})).await;
    let own = scene.user(ONE).await;
    assert_ne!(own, shared);
    assert_eq!(
        (&told["changed"], &told["user"]),
        (&json!(true), &json!(scene.pool_of(own)))
    );
    assert_eq!(tree(&folder), before, "every path and byte");
    for what in ["read", "write"] {
        assert_eq!(scene.tries(NEXT, what, &mine).await, false, "{what}");
    }
    assert_eq!(scene.tries(ONE, "write", &mine).await, 6);
    assert_eq!(scene.tries(ONE, "rows", "").await, "let in: 42");
    let again = scene.on_site(ONE, "site.pool", json!({"own": true})).await;
    assert_eq!(again["changed"], false);

    scene.on_site(ONE, "site.pool", json!({"own": false})).await;
    assert_eq!(scene.user(ONE).await, shared);
    assert_eq!(scene.tries(ONE, "write", &mine).await, 6);
    let verified = scene.on_site(ONE, "site.verify", json!({})).await;
    let nothing = (&verified["changes"], &verified["problems"]);
    assert_eq!(nothing, (&json!([]), &json!([])), "{verified:#}");
    scene.install(COPY, true).await;
    assert_eq!(scene.user(COPY).await, own, "its pool is free again");
    scene.end(&[ONE, NEXT, COPY]).await;
}
