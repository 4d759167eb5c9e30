//! HTTPS of a site that is there, on the real nginx, with certificates that sign themselves.

use super::*;
use crate::services::nginx::{Answer, Door};
use crate::testing::certificate;

/// The first spoke with a folder of certificates of its own, where nginx's user can read.
fn scene(name: &str) -> Scene {
    let scratch = Scratch::new();
    let mut config = stack_config();
    let tls = config.tls.as_mut().expect("the stack has HTTPS");
    tls.certificates = scratch.path().join("tls");
    std::fs::create_dir(&tls.certificates).expect("a folder");
    Scene::on(name, scratch, config)
}

/// A certificate for these names, its key nginx's to read.
fn put(scene: &Scene, names: &[&str], days: i32) {
    put_for(scene, &scene.host, names, days);
}

/// The same where a site of another name would have it.
fn put_for(scene: &Scene, host: &str, names: &[&str], days: i32) {
    let folder = scene.scratch.path().join("tls");
    certificate(&folder, host, names, days);
    let key = folder.join(host).join("privkey.pem");
    let group = std::process::Command::new("/usr/bin/chgrp")
        .arg(&scene.cx.spoke.config.sites.web_user)
        .arg(&key)
        .status();
    assert!(group.expect("chgrp runs").success());
}

async fn answer(scene: &Scene, door: Door, name: &str) -> anyhow::Result<Answer> {
    let name = name.parse().expect("a name");
    let nginx = &scene.cx.spoke.nginx;
    nginx
        .check_door(&scene.cx, door, &name, "/", |_| Ok(()))
        .await
}

async fn told(scene: &Scene, door: Door, name: &str) -> String {
    let answer = answer(scene, door, name).await.expect("it answers");
    format!("{} {}", answer.status, answer.location.unwrap_or_default())
}

fn https(scene: &Scene, how: &str) -> Params {
    Scene::params("site.https", json!({"site": scene.host, "https": how}))
}

async fn refused(scene: &Scene, params: &Params) -> String {
    let refused = plan(params, &scene.cx).await.map(drop);
    format!("{:#}", refused.expect_err("refused"))
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_site_answers_over_https_beside_http_or_alone_and_no_more() {
    let scene = scene("https");
    let host = scene.host.clone();
    let config = scene.cx.spoke.config.clone();
    let tls = config.tls.expect("there is one");
    let door = Door::Https(tls.check_address);
    scene.carry_out(&scene.install("static")).await;
    let before = scene.world().await;
    assert!(
        refused(&scene, &https(&scene, "on"))
            .await
            .contains("is not there")
    );
    put(&scene, &["other.example.org"], 30);
    let why = refused(&scene, &https(&scene, "redirect")).await;
    assert!(
        why.contains("is not good for") && why.contains(&host),
        "{why}"
    );
    put(&scene, &[&host], -1);
    assert!(
        refused(&scene, &https(&scene, "on"))
            .await
            .contains("was good until")
    );
    assert_eq!(scene.world().await, before, "nothing was touched");

    put(&scene, &[&host, &format!("*.{host}")], 30);
    scene.carry_out(&https(&scene, "on")).await;
    assert_eq!(told(&scene, Door::Http, &host).await, "200 ");
    assert_eq!(told(&scene, door, &host).await, "200 ");

    let book = || scene.cx.spoke.registry.sites.list().expect("read");
    let was = book();
    let redirect = https(&scene, "redirect");
    for number in 1..=scene.steps_of(&redirect).await {
        let begun = scene.first_steps_only(&redirect, number).await;
        scene.undo(&begun).await;
        assert_eq!(book(), was, "{number} steps");
        assert_eq!(
            told(&scene, Door::Http, &host).await,
            "200 ",
            "{number} steps"
        );
    }
    scene.carry_out(&redirect).await;
    let leads = |to: &str| format!("301 https://{to}:{}/", tls.port);
    assert_eq!(told(&scene, Door::Http, &host).await, leads(&host));
    assert_eq!(told(&scene, door, &host).await, "200 ");

    // Names follow, over both; one for which the certificate is not good is refused.
    let www = format!("www.{host}");
    let main = json!({"site": host, "main": www});
    scene.carry_out(&Scene::params("site.names", main)).await;
    for (way, name, wanted) in [
        (Door::Http, &host, leads(&www)),
        (Door::Http, &www, leads(&www)),
        (door, &host, leads(&www)),
        (door, &www, "200 ".to_owned()),
    ] {
        assert_eq!(told(&scene, way, name).await, wanted, "{way:?} {name}");
    }
    let uncovered = json!({"site": host, "serve": ["uncovered.example.net"]});
    let why = refused(&scene, &Scene::params("site.names", uncovered)).await;
    assert!(why.contains("not good for uncovered.example.net"), "{why}");

    scene.carry_out(&https(&scene, "off")).await;
    assert_eq!(told(&scene, Door::Http, &www).await, "200 ");
    scene.carry_out(&scene.delete()).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_certificate_that_ends_is_told_and_one_that_is_gone_harms_no_other_site() {
    let (scene, other) = (scene("ends"), Scene::new("other"));
    let host = scene.host.clone();
    scene.carry_out(&scene.install("static")).await;
    put(&scene, &[&host], 10);
    scene.carry_out(&https(&scene, "redirect")).await;
    let verify = Scene::params("site.verify", json!({"site": host}));
    let problems = async || match scene.carry_out(&verify).await {
        Output::SiteVerify(found) => {
            assert_eq!(found.changes, [], "it is what it should be");
            found.problems
        }
        other => panic!("{other:?}"),
    };
    let told = problems().await;
    assert!(told[0].ends_with("more days"), "{told:?}");

    // A new one is used at once, and needs nothing but its place.
    put(&scene, &[&host], 60);
    assert_eq!(problems().await, [] as [&str; 0]);

    std::fs::remove_dir_all(scene.scratch.path().join("tls").join(&host)).expect("gone");
    other.carry_out(&other.install("static")).await;
    other.answers("made by Kolga").await.expect("a page");
    other.carry_out(&other.delete()).await;
    assert!(refused(&scene, &verify).await.contains("is not there"));
    scene.carry_out(&scene.delete()).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_wordpress_calls_itself_by_https_from_then_on() {
    let scene = scene("wphttps");
    let host = scene.host.clone();
    scene.carry_out(&scene.build()).await;
    scene.carry_out(&scene.install("wordpress")).await;
    put(&scene, &[&host], 30);
    scene.carry_out(&https(&scene, "redirect")).await;
    let tls = scene.cx.spoke.config.tls.clone().expect("there is one");
    let page = answer(&scene, Door::Https(tls.check_address), &host).await;
    let page = page.expect("a page");
    assert_eq!(page.status, 200);
    assert!(page.body.contains(&format!("https://{host}:{}/", tls.port)));
    let plain = format!("http://{host}");
    assert!(!page.body.contains(&plain), "nothing of it comes over HTTP");
    scene.carry_out(&https(&scene, "off")).await;
    scene.answers(&plain).await.expect("as before");
    scene.carry_out(&scene.delete()).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_site_over_https_is_renamed_with_a_certificate_for_its_new_name_and_not_without() {
    let mut scene = scene("renamed");
    let host = scene.host.clone();
    let new = format!("new-{host}");
    let tls = scene.cx.spoke.config.tls.clone().expect("there is one");
    let door = Door::Https(tls.check_address);
    put(&scene, &[&host], 30);
    scene.carry_out(&scene.install("static")).await;
    scene.carry_out(&https(&scene, "redirect")).await;
    scene.next_task();
    let rename = |keep_name: bool| {
        let params = json!({"site": host, "host": new, "keep_name": keep_name});
        Scene::params("site.migrate", params)
    };

    let before = (scene.world().await, told(&scene, door, &host).await);
    let refusals: [(&[&str], i32, &str); 4] = [
        (&[], 0, "is not there"),
        (&[&host], 30, "is not good for"),
        (&[&new], -1, "was good until"),
        // Over HTTPS the name that it had would lead to it as well.
        (&[&new], 30, "is not good for"),
    ];
    for (names, days, wanted) in refusals {
        if !names.is_empty() {
            put_for(&scene, &new, names, days);
        }
        let why = refused(&scene, &rename(true)).await;
        assert!(why.contains(wanted), "{names:?}, {days} days: {why}");
        let after = (scene.world().await, told(&scene, door, &host).await);
        assert_eq!(after, before, "nothing was touched");
    }

    put_for(&scene, &new, &[&new, &host], 30);
    let begun = scene.first_steps_only(&rename(true), usize::MAX).await;
    scene.undo(&begun).await;
    let after = (scene.world().await, told(&scene, door, &host).await);
    assert_eq!(after, before, "it comes back");
    scene.carry_out(&rename(true)).await;
    let leads = format!("301 https://{new}:{}/", tls.port);
    for (way, name, wanted) in [
        (door, &new, "200 "),
        (door, &host, &*leads),
        (Door::Http, &new, &leads),
        (Door::Http, &host, &leads),
    ] {
        assert_eq!(told(&scene, way, name).await, wanted, "{way:?} {name}");
    }
    let own = scene.scratch.path().join("tls").join(&host);
    assert!(own.is_dir(), "an operator's certificate stays");
    let delete = Scene::params("site.delete", json!({"site": new, "no_backup": true}));
    scene.carry_out(&delete).await;
}
