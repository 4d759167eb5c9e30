//! A move from its beginning to its end: what comes over, and what visitors see of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kolga_tests::furnish::{fill, furnish, looks, php_user, rows, write};
use kolga_tests::hub::Settings;
use kolga_tests::world::maria;
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor as _};

use super::pooled::{self, Pooled};
use super::scene::{FROM, HEALTHY, Scene, TO, Visitor, visit, watch};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the stack: run deploy/test"]
async fn every_byte_mode_link_and_row_moves_while_visitors_see_the_site_or_the_maintenance_page() {
    let scene = Scene::new(Settings::default()).await;
    let (host, here, there) = ("mover.kolga.test", "beside.kolga.test", "over.kolga.test");
    let (own, web) = (scene.stack.uid(), php_user(&scene.stack));
    let installed = [(FROM, host), (FROM, here), (TO, there)]
        .map(|(server, site)| scene.install(server, site, "php", None));
    let (pooled, _) = tokio::join!(
        Pooled::install(&scene),
        futures_util::future::join_all(installed)
    );
    let folder = scene.folder(FROM, host);
    furnish(&folder, own, web);
    let database = scene.database(FROM, host);
    fill(&scene.stack, &database).await;
    let alias = json!({"serve": ["www.mover.kolga.test"], "redirect": ["old.mover.kolga.test"]});
    let named = scene.on_site(host, "site.names", alias).await;
    assert_eq!(named["state"], "succeeded", "{named:#}");
    let labels = json!({"changes": ["env=test"]});
    scene
        .hub
        .post(&format!("/v1/sites/{host}/labels"), &labels)
        .await;
    let (files, filled) = (looks(&folder, web), rows(&scene.stack, &database));
    assert!(
        filled.contains("TRIGGER") && filled.contains("VIEW"),
        "{filled}"
    );
    let before = scene.site(host).await;

    let stop = Arc::new(AtomicBool::new(false));
    let (from, to) = (scene.visitor(FROM), scene.visitor(TO));
    let watcher = tokio::spawn(watch(
        from.clone(),
        to.clone(),
        host,
        HEALTHY,
        Arc::clone(&stop),
    ));
    let neighbours = [(from.clone(), here), (to.clone(), there)]
        .map(|(visitor, site)| tokio::spawn(visit(visitor, site, Arc::clone(&stop))));
    let (moved, _) = tokio::join!(scene.moves(host, TO), scene.moves(pooled::HOST, TO));
    stop.store(true, Ordering::Relaxed);
    let seen = watcher.await.expect("it ends");
    println!(
        "{} visits: {} of the site where it was, {} of the maintenance page over {} ms, {} of the site where it came to, {} wrong",
        seen.visits,
        seen.here,
        seen.waits,
        seen.millis,
        seen.there,
        seen.wrong.len()
    );
    assert!(seen.wrong.is_empty(), "{:?}", seen.wrong);
    assert!(
        seen.here > 0 && seen.waits > 0 && seen.there > 0,
        "{seen:?}"
    );
    for neighbour in neighbours {
        let (visits, wrong) = neighbour.await.expect("it ends");
        println!(
            "{visits} visits of a neighbour, {} answered wrongly",
            wrong.len()
        );
        assert!(visits > 10, "only {visits}");
        assert!(wrong.is_empty(), "{wrong:?}");
    }
    assert_eq!(moved["reason"], "the site is on web2", "{moved:#}");

    let came = scene.folder(TO, host);
    assert_eq!(looks(&came, web), files, "every byte, mode and link");
    let second = scene.database(TO, host);
    assert_ne!(second, database, "both spokes share a database server here");
    assert_eq!(rows(&scene.stack, &second), filled, "every row");
    println!(
        "{} paths and {} lines of the database are the same",
        files.len(),
        filled.lines().count()
    );
    let after = scene.site(host).await;
    for same in [
        "aliases",
        "redirects",
        "labels",
        "options",
        "profile",
        "enabled",
        "https",
    ] {
        assert_eq!(after[same], before[same], "{same}");
    }
    let port = scene.stack.http_port(TO);
    assert_eq!(after["url"], format!("http://{host}:{port}/"));
    let (_, answer) = to
        .get("www.mover.kolga.test", "/append.php")
        .await
        .expect("it");
    assert_eq!(answer, "4", "PHP may write where it might");
    scene.is_only_on(TO, host, HEALTHY).await;

    // What it was lies in the trash of the server that it was on.
    let list = scene.hub.task(FROM, "trash.list", json!({})).await;
    let list = scene.hub.succeeds(&list).await;
    let kept: Vec<_> = list["output"]["items"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|item| item["site"]["site"] == host)
        .collect();
    assert_eq!(kept.len(), 1, "{list:#}");
    assert_eq!(kept[0]["why"], "site.release");
    pooled.came(&scene).await;

    // And it goes back, though its database of then still lies there.
    let there_now = looks(&came, web);
    scene.moves(host, FROM).await;
    assert_eq!(looks(&folder, web), there_now);
    assert_eq!(rows(&scene.stack, &scene.database(FROM, host)), filled);
    scene.is_only_on(FROM, host, HEALTHY).await;
    scene.end().await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_wordpress_comes_with_its_secrets_so_that_who_is_logged_in_stays_so() {
    let mut scene = Scene::new(Settings::default()).await;
    let (host, off) = ("blog.kolga.test", "off.kolga.test");
    let code = "/usr/share/wordpress";
    for built in [
        scene.hub.build(FROM, "wp", "wordpress", code).await,
        scene.hub.build(TO, "wp", "wordpress", code).await,
    ] {
        scene.hub.succeeds(&built).await;
    }
    scene.install(FROM, host, "wordpress", Some("wp")).await;
    scene.install(FROM, off, "static", None).await;
    let secrets = |server: &str| {
        let folder = scene.stack.spoke(server, "state_dir").join("secrets");
        let bytes = std::fs::read(folder.join(format!("{host}.json"))).expect("it has some");
        serde_json::from_slice::<serde_json::Value>(&bytes).expect("JSON")
    };
    let before = secrets(FROM);
    let password = before["values"]["admin_password"].as_str().expect("one");
    let to = scene.visitor(TO);
    let web = php_user(&scene.stack);
    let upload = "content/uploads/upload.txt";
    write(
        &scene.folder(FROM, host).join(upload),
        b"an upload",
        0o644,
        web,
    );
    let database = scene.database(FROM, host);
    let port = scene.stack.http_port(FROM);
    let post = format!(
        "UPDATE `{database}`.wp_posts SET post_content = 'see http://{host}:{port}/a' WHERE ID = 1"
    );
    let mut server = maria(&scene.stack).await;
    server.execute(AssertSqlSafe(post)).await.expect("written");

    let disabled = scene.on_site(off, "site.disable", json!({})).await;
    assert_eq!(disabled["state"], "succeeded");
    tokio::join!(scene.moves(host, TO), scene.moves(off, TO));
    scene.is_only_on(TO, host, "wp-site-blocks").await;
    let after = secrets(TO);
    assert_eq!(after["values"], before["values"]);
    assert_ne!(after["database_password"], before["database_password"]);
    let upload = std::fs::read(scene.folder(TO, host).join(upload)).expect("it came");
    assert_eq!(upload, b"an upload");
    let post = format!(
        "SELECT post_content FROM `{}`.wp_posts WHERE ID = 1",
        scene.database(TO, host)
    );
    let post: String = sqlx::query_scalar(AssertSqlSafe(post))
        .fetch_one(&mut server)
        .await
        .expect("an answer");
    assert_eq!(
        post,
        format!("see http://{host}:{}/a", scene.stack.http_port(TO))
    );
    for folder in ["content/themes", "content/plugins"] {
        let platforms = scene.stack.spoke(TO, "platforms");
        for entry in std::fs::read_dir(scene.folder(TO, host).join(folder)).expect("read") {
            let path = entry.expect("read").path();
            if let Ok(target) = std::fs::read_link(&path) {
                assert!(
                    target.starts_with(&platforms),
                    "{} leads to {}",
                    path.display(),
                    target.display()
                );
            }
        }
    }
    // What was sealed for the other server can be read by nobody else, and no secret is in any book of the hub's.
    let store = std::fs::read(scene.hub.folder().join("kolga.sqlite")).expect("the hub's store");
    let wal = std::fs::read(scene.hub.folder().join("kolga.sqlite-wal")).unwrap_or_default();
    for bytes in [store, wal] {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(password), "the hub has the password");
    }

    // One that is switched off came as it was.
    let (status, page) = to.get(off, "/").await.expect("an answer");
    assert!(
        status == 503 && page.contains("switched off"),
        "{status} {page}"
    );
    assert_eq!(scene.site(off).await["enabled"], false);
    let enabled = scene.on_site(off, "site.enable", json!({})).await;
    assert_eq!(enabled["state"], "succeeded", "{enabled:#}");
    scene.is_only_on(TO, off, "").await;
    who_is_logged_in_stays_so(&mut scene, host, password).await;
    scene.end().await;
}

/// What only who is logged in is shown.
const INSIDE: &str = "user-login-wrap";

/// Who is logged in stays so when the site's address stays the same, as it does where its names lead to another machine. Here
/// they are told apart as machines are: the same port at another IP address.
async fn who_is_logged_in_stays_so(scene: &mut Scene, host: &str, password: &str) {
    let to = scene.visitor(TO);
    let cookies = to.log_in(host, password).await.expect("its password");
    let is_in = async |visitor: &Visitor, cookies: &str| {
        let asked = visitor.get_as(host, "/wp-admin/profile.php", cookies).await;
        let (status, page) = asked.expect("an answer");
        status == 200 && page.contains(INSIDE)
    };
    assert!(is_in(&to, &cookies).await);
    assert!(!is_in(&to, "").await);
    let mut from = scene.visitor(FROM);
    from.named = to.named;
    from.at = format!("127.0.0.2:{}", to.named);
    scene
        .restart_with(0, |stack| {
            stack
                .with_setting(FROM, "nginx", "port", i64::from(to.named).into())
                .with_setting(FROM, "nginx", "listen", vec![from.at.clone()].into())
                .with_setting(FROM, "nginx", "check_address", from.at.clone().into())
        })
        .await;
    let url = scene.site(host).await["url"].clone();
    scene.moves(host, FROM).await;
    assert_eq!(scene.site(host).await["url"], url, "the same address");
    assert!(
        is_in(&from, &cookies).await,
        "the cookies of before are good"
    );
    assert!(!is_in(&from, "").await, "and nobody is in without them");
    let (status, _) = to.get_as(host, "/", &cookies).await.expect("an answer");
    assert_eq!(status, 404, "where it was it is no more");
    println!("who had logged in on {TO} is logged in on {FROM}, with the same cookies");
}
