//! Moves that cannot be: it is told before anything is touched, on either server.

use std::path::PathBuf;

use kolga_tests::furnish::write;
use kolga_tests::hub::Settings;
use kolga_tests::scenario::certificates;
use kolga_tests::small_disks::SmallDisks;
use kolga_tests::stack::Stack;
use kolga_tests::world::{Watcher, World};
use serde_json::{Value, json};

use super::scene::{FROM, Scene, TO};

/// Sites of all sorts, each of which lacks something else on the other server.
const STATIC: &str = "flat.kolga.test";
const PHP: &str = "rows.kolga.test";
const POSTGRESQL: &str = "more-rows.kolga.test";
const POOLED: &str = "pooled.kolga.test";
const CODE: &str = "code.kolga.test";

/// A kind of sites that an operator has made: of the code of a platform, without a database.
const PROFILE: &str = r#"
name = "own"
description = "A site of a platform's code"
needs = { platform = true, php = true }

[platform]
index = ["index.php"]
version = { file = "index.php", after = "version ", before = ";" }

[[directories]]
path = "docroot"
mode = "0750"
web = "read"

[vhost]
template = "vhost.conf"

[healthy]
path = "/"
status = 200
text = "made by Kolga"
"#;
const VHOST: &str = r"server {
{%- for address in listen %}
    listen {{ address }};
{%- endfor %}
{{- tls }}
    server_name {{ host }};
    root {{ platform }};
    index index.php;
    location ~ \.php$ {
        fastcgi_pass unix:{{ fpm_socket }};
        fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
{{ fastcgi_params }}
    }
{{ snippet -}}
}
";
const INDEX: &[u8] = b"<?php // version 2;\necho 'made by Kolga';\n";

/// Both spokes, again and again.
struct Both([Watcher; 2]);

impl Both {
    fn new(stack: &Stack) -> Self {
        let hosts = [STATIC, PHP, POSTGRESQL, POOLED, CODE];
        Self([FROM, TO].map(|server| Watcher::new(stack, server, &hosts)))
    }

    async fn rest(&mut self) -> [World; 2] {
        let [one, other] = &mut self.0;
        let (one, other) = tokio::join!(one.rest(), other.rest());
        [one, other]
    }

    /// Everything is as it was, to the last byte, row, process and answer.
    async fn is_as(&mut self, before: &[World; 2]) {
        let after = self.rest().await;
        for (before, after) in before.iter().zip(&after) {
            assert!(before.len() > 20, "there is something to compare");
            assert_eq!(before.difference(after), Vec::<String>::new());
        }
    }
}

/// What was refused, and why.
#[derive(Default)]
struct Refusals(Vec<String>);

impl Refusals {
    /// The hub refuses at once.
    async fn at_once(&mut self, scene: &Scene, site: &str, wish: Value, code: &str) {
        let path = format!("/v1/sites/{site}/move");
        let (status, told) = scene.hub.request("POST", &path, Some(&wish)).await;
        assert!(status >= 400, "{wish}: {told}");
        assert_eq!(told["error"]["code"], code, "{told}");
        self.0.push(format!("{site}: {}", told["error"]["message"]));
    }

    /// The other server refuses when it looks, all of these at the same time.
    async fn by_the_other(&mut self, scene: &Scene, all: &[(&str, &str)]) {
        let mut asked = Vec::new();
        for (site, why) in all {
            asked.push((*site, *why, scene.asks(site, TO).await));
        }
        for (site, why, path) in asked {
            let over = scene.over(&path).await;
            let stages = scene.stages(&path).await;
            let told = stages[1]["reason"].as_str().unwrap_or_default();
            assert_eq!(stages[0]["state"], "succeeded", "{stages:#?}");
            assert_eq!(stages[1]["state"], "failed", "{over:#} {stages:#?}");
            assert!(told.contains(why), "{site}: {told}");
            for later in &stages[2..] {
                assert_eq!(later["state"], "skipped", "{later:#}");
            }
            assert_eq!(over["reason"], "the site is on web1 as it was");
            assert_eq!(scene.site(site).await["condition"], "ready");
            self.0.push(format!("{site}: {told}"));
        }
    }
}

/// Gives a spoke the operator's own profile.
fn with_profile(stack: &Stack, server: &str) -> PathBuf {
    let folder = stack.spoke(server, "profiles").join("own");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("profile.toml"), PROFILE).expect("written");
    std::fs::write(folder.join("vhost.conf"), VHOST).expect("written");
    folder
}

/// The platform of that profile, on a server.
async fn with_platform(scene: &Scene, server: &str) {
    let source = PathBuf::from(scene.stack.text("/sources")).join("own-code");
    std::fs::create_dir_all(&source).expect("a folder");
    write(&source.join("index.php"), INDEX, 0o644, scene.stack.uid());
    let source = source.to_str().expect("text");
    let built = scene.hub.build(server, "own", "own", source).await;
    scene.hub.succeeds(&built).await;
}

/// What the spoke's book says of the platform's version.
fn version(scene: &Scene, version: &str) {
    let book = scene.stack.spoke(FROM, "state_dir");
    let book = book.join("platforms/own.json");
    let text = std::fs::read(&book).expect("the book knows it");
    let mut platform: Value = serde_json::from_slice(&text).expect("JSON");
    assert_ne!(platform["version"], version);
    platform["version"] = version.into();
    std::fs::write(&book, platform.to_string()).expect("written");
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_cannot_move_is_told_before_anything_is_touched() {
    let stack = Stack::load();
    let profiles = [FROM, TO].map(|server| with_profile(&stack, server));
    let mut scene = Scene::new(Settings::default()).await;
    scene.install(FROM, STATIC, "static", None).await;
    scene.install(FROM, PHP, "php", None).await;
    let options = json!({"database": "postgresql"});
    scene
        .install_with(FROM, POSTGRESQL, "php", None, options)
        .await;
    with_platform(&scene, FROM).await;
    scene.install(FROM, CODE, "own", Some("own")).await;
    let own = json!({"pool": "own"});
    scene.install_with(FROM, POOLED, "php", None, own).await;
    let mut refusals = Refusals::default();
    let mut both = Both::new(&scene.stack);
    let before = both.rest().await;
    known_to_the_hub(&scene, &mut refusals).await;
    both.is_as(&before).await;

    with_platform(&scene, TO).await;
    in_the_way(&scene, &mut both, &mut refusals).await;
    missing(&mut scene, &profiles[1], &mut refusals).await;
    for told in &refusals.0 {
        println!("{told}");
    }
    println!("{} refusals, nothing was touched", refusals.0.len());
    assert_eq!(refusals.0.len(), 20);
    for host in [STATIC, PHP, POSTGRESQL, POOLED, CODE] {
        scene.hub.succeeds(&scene.hub.delete(host).await).await;
    }
    for profile in profiles {
        std::fs::remove_dir_all(profile).expect("removed");
    }
    scene.end().await;
}

/// What the hub knows: no task is made.
async fn known_to_the_hub(scene: &Scene, refusals: &mut Refusals) {
    let hub = &scene.hub;
    hub.post("/v1/servers", &json!({"name": "web9"})).await;
    let tasks = hub.newest_task().await;
    for (site, wish, code) in [
        (STATIC, json!({"server": FROM}), "nothing_to_do"),
        (STATIC, json!({"server": "web8"}), "server_unknown"),
        (STATIC, json!({"server": "web9"}), "server_silent"),
        (
            STATIC,
            json!({"server": TO, "platform": "own"}),
            "bad_platform",
        ),
        (CODE, json!({"server": TO}), "platform_unknown"),
        ("nobody.kolga.test", json!({"server": TO}), "site_unknown"),
    ] {
        refusals.at_once(scene, site, wish, code).await;
    }
    let lock = format!("/v1/sites/{STATIC}/lock");
    let (status, told) = hub.request("POST", &lock, Some(&json!({}))).await;
    assert_eq!(status, 200, "{told}");
    let to = json!({"server": TO});
    refusals
        .at_once(scene, STATIC, to.clone(), "site_locked")
        .await;
    let (status, told) = hub.request("DELETE", &lock, None).await;
    assert_eq!(status, 200, "{told}");
    assert_eq!(hub.newest_task().await, tasks, "no task was made");

    // A move that stands still has its site to itself.
    let path = scene.asks(STATIC, TO).await;
    hub.post(&format!("{path}/pause"), &json!({})).await;
    scene.comes_to(&path, "paused").await;
    refusals.at_once(scene, STATIC, to, "site_busy").await;
    hub.post(&format!("{path}/cancel"), &json!({})).await;
    let over = scene.over(&path).await;
    assert_eq!(over["state"], "cancelled", "{over:#}");
    assert_eq!(scene.site(STATIC).await["condition"], "ready");
}

/// What stands in the way on the other server, or is not new enough.
async fn in_the_way(scene: &Scene, both: &mut Both, refusals: &mut Refusals) {
    let locked = format!("/v1/platforms/{TO}/own/lock");
    let (status, told) = scene.hub.request("POST", &locked, Some(&json!({}))).await;
    assert_eq!(status, 200, "{told}");
    let to = json!({"server": TO});
    refusals.at_once(scene, CODE, to, "platform_locked").await;
    let (status, told) = scene.hub.request("DELETE", &locked, None).await;
    assert_eq!(status, 200, "{told}");

    let vhosts = scene.stack.spoke(TO, "config");
    let vhost = vhosts.with_file_name("conf/sites.d");
    let vhost = vhost.join(format!("{STATIC}.conf"));
    std::fs::write(&vhost, "# somebody's\n").expect("planted");
    let folder = scene.folder(TO, PHP);
    std::fs::create_dir(&folder).expect("planted");
    version(scene, "99.1");
    certificates::put(&scene.stack, FROM, POSTGRESQL);
    let https = scene
        .on_site(POSTGRESQL, "site.https", json!({"https": "on"}))
        .await;
    assert_eq!(https["state"], "succeeded", "{https:#}");
    let before = both.rest().await;
    let all = [
        (STATIC, "there already"),
        (PHP, "there already"),
        (CODE, "which is older than 99.1"),
        (POSTGRESQL, "HTTPS"),
    ];
    refusals.by_the_other(scene, &all).await;
    both.is_as(&before).await;
    let https = scene
        .on_site(POSTGRESQL, "site.https", json!({"https": "off"}))
        .await;
    assert_eq!(https["state"], "succeeded", "{https:#}");
    version(scene, "2");
    std::fs::remove_dir(&folder).expect("as it was planted");
    std::fs::remove_file(&vhost).expect("as it was planted");
}

/// What the other server has not: services, pools, a profile, room, the repository.
async fn missing(scene: &mut Scene, profile: &std::path::Path, refusals: &mut Refusals) {
    let whole = scene.stack.clone();
    let sites = whole.spoke(TO, "sites_root");
    let disk = SmallDisks::over(sites, 32);
    std::fs::remove_dir_all(profile).expect("removed");
    scene
        .restart_with(1, |stack| stack.without(TO, &["mariadb", "postgresql"]))
        .await;
    let mut both = Both::new(&scene.stack);
    let before = both.rest().await;
    let all = [
        (STATIC, "bytes at"),
        (PHP, "[mariadb]"),
        (POSTGRESQL, "[postgresql]"),
        (CODE, "profile"),
    ];
    refusals.by_the_other(scene, &all).await;
    both.is_as(&before).await;
    drop(disk);
    with_profile(&whole, TO);

    // The only pool that there is is another site's.
    let one = whole.clone();
    scene.restart_with(1, |_| one.with_one_pool(TO)).await;
    let own = json!({"pool": "own"});
    let other = "taken.kolga.test";
    scene.install_with(TO, other, "php", None, own).await;
    let before = both.rest().await;
    let all = [(POOLED, "all of web2 have a site")];
    refusals.by_the_other(scene, &all).await;
    both.is_as(&before).await;
    scene.hub.succeeds(&scene.hub.delete(other).await).await;

    // A server with backups of its own, and without any pool.
    let own = Stack::load().with_setting(TO, "trash", "keep_days", 14.into());
    scene.restart_with(1, |_| own.without(TO, &["pools"])).await;
    let before = both.rest().await;
    let all = [(STATIC, "repository"), (POOLED, "[pools]")];
    refusals.by_the_other(scene, &all).await;
    both.is_as(&before).await;
}
