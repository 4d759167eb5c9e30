//! A spoke whose kernel lets nothing be confined says so before anybody relies on its backups, by `kolga-worker check` and by
//! `server.verify`, and what would need it is refused before anything is touched.

use kolga_tests::furnish::tree;
use kolga_tests::scenario::SERVER;
use kolga_tests::stack::Stack;
use kolga_tests::worker::{Orders, Worker, command};
use kolga_tests::world::repository;
use rustix::io::Errno;
use serde_json::{Value, json};

use super::scene::Scene;

/// The checks that failed, and what they say.
fn wrong(told: &std::process::Output) -> Vec<(String, String)> {
    let checks: Vec<Value> =
        serde_json::from_slice(&told.stdout).unwrap_or_else(|error| panic!("{error}: {told:?}"));
    let text = |check: &Value, key: &str| check[key].as_str().expect("a text").to_owned();
    let failed = checks.iter().filter(|check| check["passed"] == false);
    failed
        .map(|check| (text(check, "name"), text(check, "detail")))
        .collect()
}

/// What is missing, what will not work, and what to do.
fn is_told(why: &str) {
    for wanted in [
        "it has no Landlock",
        "site.backup",
        "site.restore",
        "composer",
        "recipe notice-on",
        "/sys/kernel/security/lsm",
        "landlock_create_ruleset",
    ] {
        assert!(why.contains(wanted), "{wanted} is missing in: {why}");
    }
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_kernel_that_confines_nothing_is_told_beforehand_and_backups_are_refused_before_anything_is_touched()
 {
    let Scene {
        stack,
        hub,
        worker,
        restored,
        bucket,
    } = Scene::new("unconfined").await;
    let host = "unconfined.kolga.test";
    let check = |stack: &Stack| command(stack, SERVER, &["check", "--json"]);
    let scene = Scene {
        stack: stack.clone(),
        hub,
        worker,
        restored,
        bucket,
    };
    scene.install(host, "static").await;
    let id = scene.backed_up(host).await;
    let Scene { hub, worker, .. } = scene;
    worker.stop().await;

    // Without a worker the command tries for itself.
    let mut fired = 0;
    for errno in [Errno::OPNOTSUPP, Errno::PERM] {
        let told = check(&stack.unconfined(errno));
        assert!(!told.status.success(), "{told:?}");
        let wrong = wrong(&told);
        let names: Vec<&str> = wrong.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["confinement", "backups"], "{wrong:#?}");
        is_told(&wrong[0].1);
        assert!(wrong[1].1.contains("see `confinement`"), "{wrong:#?}");
        println!("{errno:?}: {}", wrong[0].1);
        fired += 1;
    }

    let refusing = stack.unconfined(Errno::NOSYS);
    let worker = Worker::start(&refusing, SERVER, &Orders::default()).await;
    let status = worker.status().expect("it listens");
    assert!(status["unconfined"].is_string(), "{status:#}");
    // The running worker's word counts, whatever the command itself may do.
    let names: Vec<String> = wrong(&check(&stack)).into_iter().map(|it| it.0).collect();
    assert_eq!(names, ["confinement", "backups"]);
    let verified = hub.task(SERVER, "server.verify", json!({})).await;
    let verified = hub.ended(&verified).await;
    assert_eq!(verified["state"], "failed", "{verified:#}");
    let why = verified["failure"]["message"].as_str().expect("why");
    assert!(why.contains("confinement: "), "{why}");
    is_told(why);

    let site = stack.spoke(SERVER, "sites_root").join(host);
    let kept = repository(&stack, SERVER);
    let before = (tree(&site), tree(&kept));
    let backup = json!({"backup": id});
    let extract = json!({"backup": id, "folder": "never"});
    for (kind, params) in [
        ("site.backup", json!({"site": host})),
        ("site.restore", json!({"site": host, "backup": id})),
        ("site.delete", json!({"site": host})),
        ("backup.extract", extract),
        (
            "recipe.run",
            json!({"recipe": "notice-on", "site": host, "params": {"text": "x"}}),
        ),
    ] {
        let task = match kind.starts_with("site.") {
            false => hub.task(SERVER, kind, params).await,
            true => {
                let mut params = params;
                params.as_object_mut().expect("a table").remove("site");
                let body = json!({"kind": kind, "params": params});
                let path = format!("/v1/sites/{host}/tasks");
                hub.ask(&kolga_tests::hub::Request::post(&path, body)).await
            }
        };
        let ended = hub.ended(&task).await;
        assert_eq!(ended["state"], "failed", "{kind}: {ended:#}");
        let failure = &ended["failure"];
        assert_eq!(
            failure["step"],
            Value::Null,
            "{kind}, before its first step: {failure:#}"
        );
        let why = failure["message"].as_str().expect("why");
        assert!(why.contains("/sys/kernel/security/lsm"), "{kind}: {why}");
        println!("{kind}: {why}");
        fired += 1;
    }
    assert_eq!((tree(&site), tree(&kept)), before);
    // What reads only is done as ever.
    let verified = hub.task(SERVER, "backup.verify", backup).await;
    hub.succeeds(&verified).await;
    println!("the kernel refused {fired} times");
    worker.stop().await;

    let worker = Worker::start(&stack, SERVER, &Orders::default()).await;
    let scene = Scene {
        stack,
        hub,
        worker,
        restored: std::path::PathBuf::new(),
        bucket: None,
    };
    scene.end(&[host]).await;
}
