//! `site.restore` over the whole system: every byte, mode and link of a site and every row of its database come back; what
//! it was until then can be brought back from the trash; and nothing that a tenant does, or did, gets beyond his site.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kolga_protocol::names::DatabaseName;
use kolga_tests::hub::Request;
use kolga_tests::scenario::SERVER;
use kolga_tests::world::maria;
use serde_json::{Value, json};
use sqlx::Executor as _;

use super::scene::{Scene, tree};

/// As which PHP runs.
fn web_user(scene: &Scene) -> u32 {
    let asked = Command::new("/usr/bin/id")
        .args(["-u", scene.stack.text("/web_user")])
        .output()
        .expect("id runs");
    String::from_utf8_lossy(&asked.stdout)
        .trim()
        .parse()
        .expect("a number")
}

fn write(path: &Path, text: &[u8], mode: u32, owner: u32) {
    std::fs::write(path, text).expect("written");
    chown(path, Some(owner), None).expect("given away");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
}

impl Scene {
    async fn on_site(&self, host: &str, kind: &str, params: Value) -> Value {
        let body = json!({"kind": kind, "params": params});
        let request = Request::post(&format!("/v1/sites/{host}/tasks"), body);
        self.hub.ended(&self.hub.ask(&request).await).await
    }

    async fn backed_up(&self, host: &str) -> String {
        let ended = self.backup(host).await;
        assert_eq!(ended["state"], "succeeded", "{ended:#}");
        ended["output"]["backup"]
            .as_str()
            .expect("an id")
            .to_owned()
    }

    async fn restored_from(&self, host: &str, backup: &str) -> Value {
        let ended = self
            .on_site(host, "site.restore", json!({"backup": backup}))
            .await;
        assert_eq!(ended["state"], "succeeded", "{ended:#}");
        ended["output"].clone()
    }

    /// Every row, table, view and trigger, as text.
    fn rows(&self, database: &str) -> String {
        let dumped = Command::new("/usr/bin/mariadb-dump")
            .arg("--no-defaults")
            .arg(format!("--socket={}", self.stack.text("/mariadb_socket")))
            .args([
                "--user=root",
                "--skip-dump-date",
                "--hex-blob",
                "--routines",
                "--triggers",
                "--events",
            ])
            .args([
                "--skip-extended-insert",
                "--order-by-primary",
                "--",
                database,
            ])
            .output()
            .expect("it runs");
        assert!(dumped.status.success(), "{dumped:?}");
        let text = String::from_utf8_lossy(&dumped.stdout).into_owned();
        // Whose rights a view or trigger runs with is the site's own user after a restore, whose name is another one now,
        // and whoever made it before.
        let kept = text.lines().filter(|line| !line.starts_with("--"));
        kept.map(|line| line.replace("`root`@`localhost`", &format!("`{database}`@`localhost`")))
            .map(|line| line.replace(database, "THE-DATABASE") + "\n")
            .collect()
    }
}

/// Every path below with its mode, the time of its last change, its link's target or its bytes, and whether the web
/// server's user owns it.
fn looks(top: &Path, web: u32) -> Vec<(PathBuf, String)> {
    let looked = tree(top).into_iter().map(|(path, what)| {
        let found = std::fs::symlink_metadata(top.join(&path)).expect("there");
        let mode = found.mode() & 0o7777;
        // The worker cannot give files away: instead of owning a file, that user may do in it what its owner may,
        // which shows as the group's part of its mode.
        let mode = match found.uid() == web && !found.is_symlink() {
            true => mode | (mode & 0o700) >> 3,
            false => mode,
        };
        // What is put into a folder later changes its time, as the settings do.
        let time = if found.is_dir() { 0 } else { found.mtime() };
        (path, format!("{mode:04o} {time} {what}"))
    });
    // Made anew: the settings hold another password, the mark another task.
    let anew = |path: &Path| path.ends_with("settings.php") || path.ends_with(".kolga-owner");
    looked.filter(|(path, _)| !anew(path)).collect()
}

const ROWS: &[&str] = &[
    "CREATE TABLE notes (id INT PRIMARY KEY, what TEXT, raw BLOB, seen DATETIME(6) NULL) DEFAULT CHARSET utf8mb4",
    "INSERT INTO notes VALUES (1, 'größer 🦀 \\\\ \\' \"', x'00ff0a0d27', '2026-01-02 03:04:05.678901'), (2, NULL, NULL, NULL)",
    "CREATE TABLE sums (id INT PRIMARY KEY AUTO_INCREMENT, n DECIMAL(20,10))",
    "INSERT INTO sums (n) VALUES (0.1), (-12345678.0000000001)",
    "CREATE SQL SECURITY INVOKER VIEW seen AS SELECT id FROM notes WHERE seen IS NOT NULL",
    "CREATE TRIGGER counted AFTER INSERT ON notes FOR EACH ROW INSERT INTO sums (n) VALUES (NEW.id)",
];

async fn fill(scene: &Scene, database: &str) {
    let mut server = maria(&scene.stack).await;
    let using = format!("USE `{database}`");
    server
        .execute(sqlx::AssertSqlSafe(using))
        .await
        .expect("there");
    for statement in ROWS {
        server.execute(*statement).await.expect(statement);
    }
}

/// Files of the worker and of the web server's user, folders with modes of their own, links of all sorts.
fn furnish(folder: &Path, own: u32, web: u32) {
    let docroot = folder.join("docroot");
    write(&docroot.join("page"), b"a page\n", 0o640, own);
    write(&docroot.join("empty"), b"", 0o644, own);
    write(&docroot.join("large"), &vec![7; 3_000_000], 0o644, own);
    std::fs::create_dir(docroot.join("deep")).expect("a folder");
    write(&docroot.join("deep/ä b"), b"\0\xff", 0o444, own);
    chown(docroot.join("deep"), Some(own), None).expect("given away");
    std::fs::set_permissions(
        docroot.join("deep"),
        std::fs::Permissions::from_mode(0o2751),
    )
    .expect("set");
    symlink("/etc/hostname", docroot.join("elsewhere")).expect("linked");
    symlink("../../nowhere", docroot.join("dangling")).expect("linked");
    let uploads = folder.join("files/2026");
    std::fs::create_dir(&uploads).expect("a folder");
    write(&uploads.join("photo"), b"theirs", 0o644, web);
    chown(&uploads, Some(web), None).expect("given away");
    write(
        &docroot.join("append.php"),
        b"<?php echo file_put_contents(dirname(__DIR__) . '/files/2026/photo', 'more', FILE_APPEND);",
        0o644,
        own,
    );
    std::thread::sleep(std::time::Duration::from_millis(10));
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
    let (own, web) = (scene.stack.uid(), web_user(&scene));
    let folder = scene.install(host, "php").await;
    let first = DatabaseName::for_site(&host.parse().expect("a host")).to_string();
    furnish(&folder, own, web);
    fill(&scene, &first).await;
    let (files, rows) = (looks(&folder, web), scene.rows(&first));
    assert!(rows.contains("TRIGGER") && rows.contains("VIEW"), "{rows}");
    let backup = scene.backed_up(host).await;

    damage(&scene, &folder, &first).await;
    let damaged = (looks(&folder, web), scene.rows(&first));
    assert_ne!(damaged, (files.clone(), rows.clone()));
    let output = scene.restored_from(host, &backup[..8]).await;
    let second = output["database"].as_str().expect("a database");
    assert_eq!(
        (output["backup"].as_str(), second != first),
        (Some(&*backup), true)
    );
    assert_eq!(looks(&folder, web), files, "every byte, mode and link");
    assert_eq!(scene.rows(second), rows, "every row");
    println!(
        "{} paths and {} lines of the database are as they were",
        files.len(),
        rows.lines().count()
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
    assert_eq!((looks(&folder, web), scene.rows(&first)), damaged);
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
    let (worker, web) = (scene.stack.uid(), web_user(&scene));
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

    let (stop, swaps) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let swapper = std::thread::spawn({
        let (docroot, link) = (own.join("docroot"), own.join("files/other"));
        symlink(theirs.join("docroot"), &link).expect("linked");
        let (stop, swaps) = (Arc::clone(&stop), Arc::clone(&swaps));
        move || {
            use rustix::fs::{CWD, RenameFlags, renameat_with};
            while !stop.load(Ordering::Relaxed) {
                // Fails once the one from the backup, which has no such link, is in its place.
                if renameat_with(CWD, &docroot, CWD, &link, RenameFlags::EXCHANGE).is_ok() {
                    swaps.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    });
    scene.restored_from(tenant, &backup).await;
    stop.store(true, Ordering::Relaxed);
    swapper.join().expect("it ends");
    let swaps = swaps.load(Ordering::Relaxed);
    println!("{swaps} swaps of a folder for a link to a neighbour's during the restore");
    assert!(swaps > 100, "only {swaps} swaps");
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
