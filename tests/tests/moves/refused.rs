//! Moves that cannot be: it is told before anything is touched.

use kolga_tests::furnish::tree;
use kolga_tests::hub::Settings;
use kolga_tests::scenario::certificates;
use kolga_tests::stack::Stack;
use kolga_tests::worker::{Orders, Worker};
use serde_json::json;

use super::scene::{FROM, Scene, TO};

/// What there is of a site, on the spoke that has it.
fn state(scene: &Scene, host: &str) -> (Vec<(std::path::PathBuf, String)>, String, String) {
    let config = scene.stack.spoke(FROM, "config");
    let vhost = config.with_file_name("conf/sites.d");
    let vhost = std::fs::read_to_string(vhost.join(format!("{host}.conf")));
    let entry = scene.entry(FROM, host).expect("the book knows it");
    (
        tree(&scene.folder(FROM, host)),
        vhost.expect("a vhost"),
        entry.to_string(),
    )
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_cannot_move_is_told_before_anything_is_touched() {
    let mut scene = Scene::new(Settings::default()).await;
    let host = "refused.kolga.test";
    scene.install(FROM, host, "php", None).await;
    let before = state(&scene, host);

    // What the hub knows.
    for (site, wish, code) in [
        (host, json!({"server": FROM}), "nothing_to_do"),
        (host, json!({"server": "web9"}), "server_unknown"),
        (
            host,
            json!({"server": TO, "platform": "wp"}),
            "bad_platform",
        ),
        ("nobody.kolga.test", json!({"server": TO}), "site_unknown"),
    ] {
        let path = format!("/v1/sites/{site}/move");
        let (status, told) = scene.hub.request("POST", &path, Some(&wish)).await;
        assert!(status >= 400, "{wish}: {told}");
        assert_eq!(told["error"]["code"], code, "{told}");
    }

    // What the servers know.
    let mut refusals = 0;
    let mut refused = async |scene: &Scene, site: &str, why: &str| {
        let path = scene.asks(site, TO).await;
        let busy = json!({"kind": "site.backup", "params": {}});
        let over = scene.over(&path).await;
        let stages = scene.stages(&path).await;
        let told = stages[1]["reason"].as_str().unwrap_or_default();
        assert_eq!(stages[1]["state"], "failed", "{over:#} {stages:#?}");
        assert!(told.contains(why), "{told}");
        for later in &stages[2..] {
            assert_eq!(later["state"], "skipped", "{later:#}");
        }
        assert_eq!(over["reason"], "the site is on web1 as it was");
        assert_eq!(scene.site(site).await["condition"], "ready");
        let path = format!("/v1/sites/{site}/tasks");
        let (status, _) = scene.hub.request("POST", &path, Some(&busy)).await;
        assert_eq!(status, 201, "the site is free again");
        println!("{site}: {told}");
        refusals += 1;
    };

    let vhosts = scene.stack.spoke(TO, "config");
    let vhost = vhosts
        .with_file_name("conf/sites.d")
        .join(format!("{host}.conf"));
    std::fs::write(&vhost, "# somebody's\n").expect("planted");
    refused(&scene, host, "there already").await;
    assert_eq!(
        std::fs::read_to_string(&vhost).expect("it is there"),
        "# somebody's\n"
    );
    std::fs::remove_file(&vhost).expect("removed");

    certificates::put(&scene.stack, FROM, host);
    let https = scene
        .on_site(host, "site.https", json!({"https": "on"}))
        .await;
    assert_eq!(https["state"], "succeeded", "{https:#}");
    refused(&scene, host, "HTTPS").await;
    let https = scene
        .on_site(host, "site.https", json!({"https": "off"}))
        .await;
    assert_eq!(https["state"], "succeeded", "{https:#}");

    // A server with backups of its own.
    let own = Stack::load();
    scene.workers.remove(1).stop().await;
    let alone = Worker::start(&own, TO, &Orders::default()).await;
    scene.workers.push(alone);
    refused(&scene, host, "repository").await;
    println!("{refusals} refusals by the other server");
    assert_eq!(refusals, 3);

    let same = |one: &(Vec<_>, String, String), other: &(Vec<_>, String, String)| {
        assert_eq!(one.0, other.0);
        let body = |text: &str| text.split_once('\n').map(|(_, body)| body.to_owned());
        assert_eq!(body(&one.1), body(&other.1));
        assert_eq!(one.2, other.2);
    };
    same(&before, &state(&scene, host));
    scene.end().await;
}
