//! Names of a site that is there, on the real nginx: what each of them answers, and that nothing of a change stays
//! when it is undone.

use kolga_protocol::naming::Names;

use super::*;

/// What nginx answers under a name: the status, and where it leads.
async fn answer(scene: &Scene, name: &str) -> String {
    let name = name.parse().expect("a name");
    let nginx = &scene.cx.spoke.nginx;
    let answer = nginx.check_site(&scene.cx, &name, "/", |_| Ok(())).await;
    let answer = answer.expect("it answers");
    format!("{} {}", answer.status, answer.location.unwrap_or_default())
}

async fn change(scene: &Scene, params: &Params) -> Names {
    match scene.carry_out(params).await {
        Output::SiteNames(output) => output.names,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_site_is_called_what_it_is_to_be_called_or_what_it_was_called_before() {
    let scene = Scene::new("names");
    let host = scene.host.clone();
    scene.carry_out(&scene.install("static")).await;
    let name = |below: &str| format!("{below}.{host}");
    let names = Scene::params(
        "site.names",
        json!({
            "site": host, "main": name("www"), "serve": [name("also")],
            "redirect": [name("old"), name("*")],
        }),
    );
    let ours = || scene.cx.spoke.registry.sites.list().expect("read");
    let (before, book) = (scene.world().await, ours());
    for number in 1..=scene.steps_of(&names).await {
        let begun = scene.first_steps_only(&names, number).await;
        scene.undo(&begun).await;
        assert_eq!(scene.world().await, before, "{number} steps");
        assert_eq!(ours(), book, "{number} steps");
        assert_eq!(answer(&scene, &host).await, "200 ", "{number} steps");
        assert_eq!(answer(&scene, &name("www")).await, "404 ", "no site's name");
    }
    let changed = change(&scene, &names).await;
    assert_eq!(changed, ours()[0].names());
    let port = scene.cx.spoke.config.nginx.port;
    let leads = format!("301 http://{}:{port}/", name("www"));
    for (below, wanted) in [
        ("www", "200 "),
        ("also", "200 "),
        ("old", &*leads),
        ("any", &*leads),
        ("any.deep", &*leads),
    ] {
        assert_eq!(answer(&scene, &name(below)).await, wanted, "{below}");
    }
    assert_eq!(answer(&scene, &host).await, leads);

    let verify = Scene::params("site.verify", json!({"site": host}));
    match scene.carry_out(&verify).await {
        Output::SiteVerify(found) => {
            assert_eq!(found.changes, [], "it is what it should be");
            assert_eq!(found.entry.names, changed);
        }
        other => panic!("{other:?}"),
    }
    let disable = Scene::params("site.disable", json!({"site": host}));
    scene.carry_out(&disable).await;
    for below in ["www", "also", "old", "any"] {
        assert_eq!(answer(&scene, &name(below)).await, "503 ", "{below}");
    }
    assert_eq!(answer(&scene, &host).await, "503 ");
    let enable = Scene::params("site.enable", json!({"site": host}));
    scene.carry_out(&enable).await;

    let back = Scene::params(
        "site.names",
        json!({"site": host, "main": host, "remove": [name("www"), name("also"), name("old"), name("*")]}),
    );
    assert_eq!(change(&scene, &back).await, Names::default());
    assert_eq!(answer(&scene, &host).await, "200 ");
    assert_eq!(answer(&scene, &name("any")).await, "404 ");
    scene.carry_out(&scene.delete()).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_name_of_another_site_is_refused_before_anything_is_touched() {
    let scene = Scene::new("taken");
    let host = scene.host.clone();
    let other = format!("other.{host}");
    scene.carry_out(&scene.install("static")).await;
    let install =
        json!({"site": other, "profile": "static", "aliases": [format!("*.deep.{host}")]});
    scene
        .carry_out(&Scene::params("site.install", install))
        .await;
    for name in [
        other.clone(),
        format!("*.{host}"),
        format!("*.deep.{host}"),
        format!("a.b.deep.{host}"),
    ] {
        let names = Scene::params("site.names", json!({"site": host, "serve": [name]}));
        let refused = plan(&names, &scene.cx).await.map(drop);
        let refused = format!("{:#}", refused.expect_err("another's"));
        assert!(refused.contains(&other), "{name}: {refused}");
    }
    let delete = Scene::params("site.delete", json!({"site": other, "no_backup": true}));
    scene.carry_out(&delete).await;
    scene.carry_out(&scene.delete()).await;
}
