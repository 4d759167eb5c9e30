//! `site.restore` over the whole system: every byte, mode and link of a site and every row of its database come back; what
//! it was until then can be brought back from the trash; and nothing that a tenant does, or did, gets beyond his site.

use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

use kolga_protocol::names::DatabaseName;
use kolga_tests::furnish::{fill, furnish, looks, php_user, rows, tree, write};
use kolga_tests::hub::Request;
use kolga_tests::scenario::SERVER;
use kolga_tests::swapper::{Swapper, pair};
use kolga_tests::world::maria;
use serde_json::{Value, json};
use sqlx::Executor as _;

use super::scene::Scene;

impl Scene {
    pub async fn on_site(&self, host: &str, kind: &str, params: Value) -> Value {
        let body = json!({"kind": kind, "params": params});
        let request = Request::post(&format!("/v1/sites/{host}/tasks"), body);
        self.hub.ended(&self.hub.ask(&request).await).await
    }

    async fn restored_from(&self, host: &str, backup: &str) -> Value {
        let ended = self
            .on_site(host, "site.restore", json!({"backup": backup}))
            .await;
        assert_eq!(ended["state"], "succeeded", "{ended:#}");
        ended["output"].clone()
    }
}

async fn damage(scene: &Scene, folder: &Path, database: &str) {
    let docroot = folder.join("docroot");
    std::fs::remove_file(docroot.join("page")).expect("it was there");
    std::fs::write(docroot.join("large"), "small").expect("written");
    std::fs::remove_dir_all(docroot.join("deep")).expect("it was there");
    symlink("/etc", docroot.join("deep")).expect("linked");
    std::fs::remove_file(docroot.join("elsewhere")).expect("it was there");
    std::fs::write(folder.join("files/added"), "since").expect("written");
    let mut server = maria(&scene.stack).await;
    for statement in [
        format!("DROP TABLE `{database}`.sums"),
        format!("DELETE FROM `{database}`.notes WHERE id = 2"),
        format!("CREATE TABLE `{database}`.since (id INT)"),
    ] {
        server
            .execute(sqlx::AssertSqlSafe(statement))
            .await
            .expect("damaged");
    }
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn every_byte_mode_link_and_row_comes_back_and_so_does_what_was_there_before_from_the_trash()
{
    let scene = Scene::with_trash("back", 14).await;
    let host = "back.kolga.test";
    let (own, web) = (scene.stack.uid(), php_user(&scene.stack));
    let folder = scene.install(host, "php").await;
    let first = DatabaseName::for_site(&host.parse().expect("a host")).to_string();
    furnish(&folder, own, web);
    fill(&scene.stack, &first).await;
    let (files, filled) = (looks(&folder, web), rows(&scene.stack, &first));
    assert!(
        filled.contains("TRIGGER") && filled.contains("VIEW"),
        "{filled}"
    );
    let backup = scene.backed_up(host).await;

    damage(&scene, &folder, &first).await;
    let damaged = (looks(&folder, web), rows(&scene.stack, &first));
    assert_ne!(damaged, (files.clone(), filled.clone()));
    let output = scene.restored_from(host, &backup[..8]).await;
    let second = output["database"].as_str().expect("a database");
    assert_eq!(
        (output["backup"].as_str(), second != first),
        (Some(&*backup), true)
    );
    assert_eq!(looks(&folder, web), files, "every byte, mode and link");
    assert_eq!(rows(&scene.stack, second), filled, "every row");
    println!(
        "{} paths and {} lines of the database are as they were",
        files.len(),
        filled.lines().count()
    );

    // What PHP had written PHP may write to again, and the site is one that a verification finds nothing to mend in.
    let url = format!(
        "http://127.0.0.1:{}/append.php",
        scene.stack.http_port(SERVER)
    );
    let answer = reqwest::Client::new()
        .get(url)
        .header("host", host)
        .send()
        .await;
    assert_eq!(answer.expect("an answer").text().await.expect("text"), "4");
    let verified = scene.on_site(host, "site.verify", json!({})).await;
    assert_eq!(verified["output"]["changes"], json!([]), "{verified:#}");
    assert_eq!(verified["output"]["problems"], json!([]), "{verified:#}");

    // The damaged site is an item of the trash.
    let item = output["former"].as_str().expect("an item");
    let deleted = scene.hub.delete(host).await;
    scene.hub.succeeds(&deleted).await;
    let site = json!({"site": host, "profile": "php", "options": {"title": host}});
    let task = scene
        .hub
        .task(SERVER, "trash.restore", json!({"item": item, "site": site}))
        .await;
    scene.hub.succeeds(&task).await;
    assert_eq!((looks(&folder, web), rows(&scene.stack, &first)), damaged);
    scene.end(&[host]).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_cannot_be_restored_is_refused_before_anything_is_touched() {
    let scene = Scene::new("refused").await;
    let (one, other) = ("one.kolga.test", "other.kolga.test");
    let folder = scene.install(one, "static").await;
    scene.install(other, "static").await;
    let backup = scene.backed_up(one).await;
    let others = scene.backed_up(other).await;
    // Another kind of site under the name that the backup was made of.
    let task = scene.hub.delete(one).await;
    scene.hub.succeeds(&task).await;
    let path = format!("/v1/sites/{one}/tasks");
    let wish = json!({"kind": "site.restore", "params": {"backup": backup}});
    let gone = scene.hub.request("POST", &path, Some(&wish)).await;
    assert_eq!(gone.0, 404, "a site that is not there");
    scene.install(one, "php").await;
    let before = tree(&folder);
    for (backup, why) in [
        ("00000000", "no backup"),
        (&*others, "is of other.kolga.test"),
        (&*backup, "of profile static"),
    ] {
        let ended = scene
            .on_site(one, "site.restore", json!({"backup": backup}))
            .await;
        assert_eq!(ended["state"], "failed", "{ended:#}");
        let failure = &ended["failure"];
        assert!(
            failure["message"]
                .as_str()
                .is_some_and(|told| told.contains(why)),
            "{failure:#}"
        );
        assert_eq!(
            failure["step"],
            Value::Null,
            "before its first step: {failure:#}"
        );
    }
    assert_eq!(tree(&folder), before);
    scene.end(&[one, other]).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_tenant_gets_neither_the_workers_rights_nor_a_neighbours_files_through_a_restore() {
    let scene = Scene::new("tenant").await;
    let (victim, tenant) = ("victim.kolga.test", "tenant.kolga.test");
    let theirs = scene.install(victim, "static").await;
    let own = scene.install(tenant, "php").await;
    let (worker, web) = (scene.stack.uid(), php_user(&scene.stack));
    for number in 0..200 {
        write(
            &own.join(format!("docroot/{number}")),
            b"the tenant's own",
            0o644,
            worker,
        );
    }
    // A program that PHP has made, which would run with the rights of whoever owns it.
    write(&own.join("files/lend"), b"#!/bin/true\n", 0o6755, web);
    symlink(theirs.join("docroot"), own.join("files/inside")).expect("linked");
    let before = tree(&theirs);
    let backup = scene.backed_up(tenant).await;

    // The site from the backup, which has no such link, takes the place of this one.
    symlink(theirs.join("docroot"), own.join("files/other")).expect("linked");
    let swapper = Swapper::start(&own, pair("docroot", "files/other"));
    scene.restored_from(tenant, &backup).await;
    let swaps = swapper.end();
    println!("{swaps} swaps of a folder for a link to a neighbour's during the restore");
    assert_eq!(tree(&theirs), before, "the neighbour's is as it was");
    let lend = std::fs::metadata(own.join("files/lend")).expect("it came back");
    assert_eq!(
        (lend.mode() & 0o6000, lend.uid()),
        (0, worker),
        "it lends nothing"
    );
    let link = std::fs::read_link(own.join("files/inside")).expect("still a link");
    assert_eq!(link, theirs.join("docroot"));
    scene.end(&[victim, tenant]).await;
}
