//! Sites that move, over the whole system: others on their platform answer all the while, also when one cannot be moved;
//! and a tenant who swaps folders for links meanwhile has nothing of a neighbour's changed.

use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kolga_protocol::names::DatabaseName;
use kolga_tests::hub::{Hub, Request, Settings};
use kolga_tests::scenario::{
    self, NEWER_MEDIAWIKI, NEWER_PLUGIN, PLUGIN, SERVER, newer_mediawiki, newer_wordpress,
};
use kolga_tests::stack::Stack;
use kolga_tests::swapper::{Swapper, pair};
use kolga_tests::worker::{Orders, Worker};
use kolga_tests::world::{clear, maria};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _};

struct Scene {
    stack: Stack,
    hub: Hub,
    worker: Worker,
}

impl Scene {
    async fn new() -> Self {
        let stack = Stack::load();
        clear(&stack, SERVER).await;
        let hub = Hub::with_servers(&stack, &Settings::default(), &[SERVER]).await;
        let worker = Worker::start(&stack, SERVER, &Orders::default()).await;
        Self { stack, hub, worker }
    }

    async fn install(&self, host: &str, profile: &str, platform: Option<&str>) {
        let task = self.hub.install(SERVER, host, profile, platform).await;
        self.hub.succeeds(&task).await;
    }

    async fn migrate(&self, host: &str, params: Value) -> Value {
        let body = json!({"kind": "site.migrate", "params": params});
        let request = Request::post(&format!("/v1/sites/{host}/tasks"), body);
        let task = self.hub.ask(&request).await;
        self.hub.ended(&task).await
    }

    async fn answer(&self, host: &str) -> (u16, String) {
        let port = self.stack.http_port(SERVER);
        ask(&client(), port, host, "/").await.expect("an answer")
    }

    /// The front page, so often and so many at a time that each child of php-fpm makes one.
    async fn many_answers(&self, host: &str) -> Vec<String> {
        let (client, port) = (client(), self.stack.http_port(SERVER));
        let mut pages = Vec::new();
        for _round in 0..3 {
            let asked = (0..6).map(|_| ask(&client, port, host, "/"));
            for answer in futures_util::future::join_all(asked).await {
                let (status, page) = answer.expect("an answer");
                assert_eq!(status, 200, "{page}");
                pages.push(page);
            }
        }
        pages
    }

    async fn end(self, hosts: &[&str]) {
        for host in hosts {
            let task = self.hub.delete(host).await;
            self.hub.succeeds(&task).await;
        }
        self.worker.stop().await;
    }
}

fn client() -> reqwest::Client {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0);
    client.build().expect("a client")
}

async fn ask(
    client: &reqwest::Client,
    port: u16,
    host: &str,
    path: &str,
) -> reqwest::Result<(u16, String)> {
    let url = format!("http://127.0.0.1:{port}{path}");
    // As a browser would say it: WordPress leads to its own address otherwise.
    let host = format!("{host}:{port}");
    let answer = client.get(url).header("host", host).send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

/// Pages that need code, settings and database, and what each ends with. The first has more than fifty kilobytes, which
/// php-fpm sends in several pieces: an nginx may break such a one off when it is reloaded (docs/OPERATIONS.md).
const VISITED: [&str; 2] = ["/", "/wp-login.php"];

/// What a visitor has met.
#[derive(Default)]
struct Visits {
    number: usize,
    longest: usize,
    wrong: Vec<String>,
}

/// Asks for the pages in turn, again and again.
async fn visit(port: u16, host: &'static str, stop: Arc<AtomicBool>) -> Visits {
    let (client, mut visits) = (client(), Visits::default());
    for path in VISITED.into_iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        visits.number += 1;
        match ask(&client, port, host, path).await {
            Ok((200, page)) if page.contains("</html>") => {
                visits.longest = visits.longest.max(page.len());
            }
            Ok((status, page)) => visits
                .wrong
                .push(format!("{path}: {status}, {} bytes", page.len())),
            Err(error) => visits.wrong.push(format!("{path}: {error}")),
        }
    }
    visits
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the stack: run deploy/test"]
async fn while_one_site_moves_and_a_broken_one_cannot_the_others_answer_all_the_time() {
    let scene = Scene::new().await;
    let (moves, broken, neighbour) = ("moves.kolga.test", "broken.kolga.test", "stays.kolga.test");
    scenario::platform(&scene.hub).await;
    let source = newer_wordpress(&scene.stack);
    let task = scene.hub.build(SERVER, "next", "wordpress", &source).await;
    scene.hub.succeeds(&task).await;
    for host in [moves, broken, neighbour] {
        scene.install(host, "wordpress", Some("wp")).await;
    }
    let database = DatabaseName::for_site(&broken.parse().expect("a host"));
    let mut server = maria(&scene.stack).await;
    let spoil = format!(
        "RENAME TABLE `{database}`.wp_users TO `{database}`.gone, `{database}`.wp_options TO `{database}`.options"
    );
    server.execute(AssertSqlSafe(spoil)).await.expect("spoilt");
    let before = scene.answer(broken).await;
    // A plugin is a link to the platform's code. All of php-fpm's children hold it in their caches.
    let database = DatabaseName::for_site(&moves.parse().expect("a host"));
    let active = format!("a:1:{{i:0;s:{}:\"{PLUGIN}\";}}", PLUGIN.len());
    let activate = format!(
        "UPDATE `{database}`.wp_options SET option_value = '{active}' WHERE option_name = 'active_plugins'"
    );
    server
        .execute(AssertSqlSafe(activate))
        .await
        .expect("activated");
    for page in scene.many_answers(moves).await {
        assert!(!page.contains(NEWER_PLUGIN));
    }

    let stop = Arc::new(AtomicBool::new(false));
    let port = scene.stack.http_port(SERVER);
    let visitors = [(); 2].map(|()| tokio::spawn(visit(port, neighbour, Arc::clone(&stop))));
    let moved = scene.migrate(moves, json!({"platform": "next"})).await;
    assert_eq!(moved["state"], "succeeded", "{moved:#}");
    for page in scene.many_answers(moves).await {
        assert!(
            page.contains(NEWER_PLUGIN),
            "the former platform's plugin: {page}"
        );
    }
    let failed = scene.migrate(broken, json!({"platform": "next"})).await;
    assert_eq!(failed["state"], "failed", "{failed:#}");
    assert_eq!(failed["failure"]["step"], "run_upgrade", "{failed:#}");
    let renamed = json!({"host": "renamed.kolga.test", "keep_name": true});
    let renamed = scene.migrate(moves, renamed).await;
    assert_eq!(renamed["state"], "succeeded", "{renamed:#}");
    let older = scene
        .migrate("renamed.kolga.test", json!({"platform": "wp"}))
        .await;
    assert_eq!(
        older["state"], "succeeded",
        "the same version of the code: {older:#}"
    );
    stop.store(true, Ordering::Relaxed);
    for visitor in visitors {
        let visits = visitor.await.expect("it ends");
        println!(
            "{} visits, pages of up to {} bytes, {} answered wrongly",
            visits.number,
            visits.longest,
            visits.wrong.len()
        );
        assert!(visits.number > 20, "only {} visits", visits.number);
        assert!(visits.longest > 40_000, "no long page");
        assert!(visits.wrong.is_empty(), "{:?}", visits.wrong);
    }

    assert_eq!(
        scene.answer(broken).await,
        before,
        "the broken one is what it was"
    );
    let site = scene.hub.get(&format!("/v1/sites/{broken}")).await;
    assert_eq!(
        (&site["platform"], &site["condition"]),
        (&json!("wp"), &json!("ready"))
    );
    let (status, page) = scene.answer("renamed.kolga.test").await;
    assert!(status == 200 && page.contains("wp-site-blocks"), "{status}");
    scene.end(&["renamed.kolga.test", broken, neighbour]).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_wiki_comes_to_newer_code_and_to_another_name_with_its_tables_and_pages() {
    let scene = Scene::new().await;
    let (host, new) = ("wiki.kolga.test", "moved.wiki.kolga.test");
    scenario::wiki_platform(&scene.hub, &scene.stack).await;
    let source = newer_mediawiki(&scene.stack);
    let task = scene.hub.build(SERVER, "next", "mediawiki", &source).await;
    scene.hub.succeeds(&task).await;
    scene.install(host, "mediawiki", Some("mw")).await;
    let (client, port) = (client(), scene.stack.http_port(SERVER));
    // Written as a visitor would, and with the wiki's own address in it.
    let edit = client
        .post(format!("http://127.0.0.1:{port}/api.php"))
        .header("host", host)
        .header("content-type", "application/x-www-form-urlencoded")
        // Whoever has not logged in has the token `+\`.
        .body(
            "action=edit&format=json&title=Note&text=Six+times+seven,+says+%7B%7BSERVER%7D%7D.&token=%2B%5C",
        )
        .send();
    let edited = edit.await.expect("an answer").text().await.expect("text");
    assert!(edited.contains("\"result\":\"Success\""), "{edited}");
    let says = |name: &str| format!(">http://{name}:{port}</a>");
    let (status, page) = ask(&client, port, host, "/wiki/Note").await.expect("it");
    assert!(
        status == 200 && page.contains(&says(host)),
        "{status} {page}"
    );
    let images = scene.stack.spoke(SERVER, "sites_root").join(host);
    let image = images.join("images/note.txt");
    std::fs::write(&image, "an upload").expect("uploaded");
    let upload = std::fs::metadata(&image).expect("there").ino();

    // What MediaWiki's own update has done already: it does it again, and notes it.
    let former = DatabaseName::for_site(&host.parse().expect("a host"));
    let mut server = maria(&scene.stack).await;
    let forget = format!("DELETE FROM `{former}`.updatelog");
    server.execute(AssertSqlSafe(forget)).await.expect("done");

    let there = json!({"platform": "next", "host": new, "keep_name": true});
    let moved = scene.migrate(host, there).await;
    assert_eq!(moved["state"], "succeeded", "{moved:#}");
    assert_eq!(moved["output"]["version"], NEWER_MEDIAWIKI);
    let (status, page) = ask(&client, port, new, "/wiki/Note").await.expect("it");
    assert!(
        status == 200 && page.contains(&says(new)),
        "{status} {page}"
    );
    let (_, page) = ask(&client, port, new, "/wiki/Special:Version")
        .await
        .expect("it");
    assert!(page.contains(NEWER_MEDIAWIKI), "{page}");
    let leads = client
        .get(format!("http://127.0.0.1:{port}/wiki/Note"))
        .header("host", host);
    let leads = leads.send().await.expect("an answer");
    assert_eq!(
        leads.headers()["location"],
        format!("http://{new}:{port}/wiki/Note")
    );
    let image = scene.stack.spoke(SERVER, "sites_root").join(new);
    let image = std::fs::metadata(image.join("images/note.txt")).expect("it moved");
    assert_eq!(image.ino(), upload, "the very file");
    let database = moved["output"]["database"].as_str().expect("it has one");
    let noted = format!("SELECT COUNT(*) FROM `{database}`.updatelog");
    let noted = sqlx::query_scalar::<_, i64>(AssertSqlSafe(noted));
    let noted = noted.fetch_one(&mut server).await.expect("asked");
    assert!(noted > 0, "the newer code's own update has run");
    let left = "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = ?";
    let left = sqlx::query_scalar::<_, i64>(left).bind(former.as_str());
    assert_eq!(left.fetch_one(&mut server).await.expect("asked"), 0);
    scene.end(&[new]).await;
}

/// Files of so many bytes each, which hold something else each time.
fn fill(folder: &Path, mebibytes: usize) {
    let mut bytes = vec![0_u8; 1 << 20];
    let mut number = 0x9e37_79b9_7f4a_7c15_u64;
    for file in 0..mebibytes {
        for word in bytes.chunks_exact_mut(8) {
            number ^= number << 13;
            number ^= number >> 7;
            number ^= number << 17;
            word.copy_from_slice(&number.to_le_bytes());
        }
        std::fs::write(folder.join(format!("file{file}")), &bytes).expect("written");
    }
}

fn shell(what: &str) -> Duration {
    let began = std::time::Instant::now();
    let done = std::process::Command::new("/bin/bash")
        .args(["-o", "pipefail", "-ec", what])
        .status();
    assert!(done.expect("bash runs").success(), "{what}");
    began.elapsed()
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_a_site_has_of_files_is_not_copied_when_it_moves() {
    let mebibytes =
        std::env::var("KOLGA_MIGRATE_MIB").map_or(32, |text| text.parse().expect("a number"));
    let scene = Scene::new().await;
    let host = "large.kolga.test";
    scenario::platform(&scene.hub).await;
    let source = newer_wordpress(&scene.stack);
    let task = scene.hub.build(SERVER, "next", "wordpress", &source).await;
    scene.hub.succeeds(&task).await;
    scene.install(host, "wordpress", Some("wp")).await;
    let database = DatabaseName::for_site(&host.parse().expect("a host"));
    let rows = format!(
        "INSERT INTO `{database}`.wp_postmeta (post_id, meta_key, meta_value)
         SELECT seq, 'filler', REPEAT(MD5(seq), 32) FROM `{database}`.seq_1_to_{}",
        mebibytes * 4
    );
    let mut server = maria(&scene.stack).await;
    server.execute(AssertSqlSafe(rows)).await.expect("filled");
    let folder = scene.stack.spoke(SERVER, "sites_root").join(host);
    let uploads = folder.join("content/uploads");
    fill(&uploads, mebibytes);
    shell("sync");
    let inode = |number| {
        std::fs::metadata(uploads.join(format!("file{number}")))
            .expect("there")
            .ino()
    };
    let before: Vec<u64> = (0..mebibytes).map(inode).collect();

    // By hand, on the same disk: the files, and the database through the same programs.
    let (socket, aside) = (
        scene.stack.text("/mariadb_socket"),
        folder.with_extension("copied"),
    );
    let copied = shell(&format!(
        "cp -a {} {aside}; mariadb --socket={socket} -e 'CREATE DATABASE k_copied'
         mariadb-dump --socket={socket} --single-transaction {database} > {aside}/database.sql
         mariadb --socket={socket} k_copied < {aside}/database.sql; sync -f {aside}",
        folder.display(),
        aside = aside.display(),
    ));
    let by_hand = written_below(&aside);
    std::fs::remove_dir_all(&aside).expect("of no use any more");
    server
        .execute("DROP DATABASE k_copied")
        .await
        .expect("nor this");
    shell("sync");

    let moved = scene.migrate(host, json!({"platform": "next"})).await;
    assert_eq!(moved["state"], "succeeded", "{moved:#}");
    let after: Vec<u64> = (0..mebibytes).map(inode).collect();
    assert_eq!(after, before, "these are the very files");
    println!(
        "{mebibytes} MiB of files: by a copy {:.1} s and {by_hand} bytes, moved {:.1} s and {} bytes",
        copied.as_secs_f64(),
        moved["output"]["milliseconds"].as_f64().expect("a number") / 1000.0,
        moved["output"]["database_bytes"],
    );
    scene.end(&[host]).await;
}

/// Bytes of all files below.
fn written_below(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("read").flatten();
    let sizes = entries.map(|entry| match entry.file_type().expect("a kind") {
        kind if kind.is_dir() => written_below(&entry.path()),
        kind if kind.is_file() => entry.metadata().expect("there").len(),
        _ => 0,
    });
    sizes.sum()
}

/// Every path below, with all that may not change.
fn tree(top: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("read").flatten() {
            let path = entry.path();
            let looks = std::fs::symlink_metadata(&path).expect("there");
            let what = match looks.is_file() {
                true => format!("{:?}", std::fs::read(&path).expect("read")),
                false => String::new(),
            };
            let (path_shown, mode) = (path.display().to_string(), looks.mode());
            found.push(format!(
                "{path_shown} {mode:o} {} {} {what}",
                looks.uid(),
                looks.ino()
            ));
            if looks.is_dir() {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the stack: run deploy/test"]
async fn a_tenant_who_swaps_folders_for_links_while_it_moves_has_nothing_of_a_neighbours_changed() {
    let scene = Scene::new().await;
    let (victim, tenant) = ("victim.kolga.test", "tenant.kolga.test");
    scene.install(victim, "php", None).await;
    scene.install(tenant, "php", None).await;
    let sites = scene.stack.spoke(SERVER, "sites_root");
    let theirs = sites.join(victim);
    let before = (tree(&theirs), scene.answer(victim).await);
    symlink(theirs.join("private"), sites.join(tenant).join("other")).expect("linked");

    let swapper = Swapper::start(&sites.join(tenant), pair("private", "other"));
    let (mut here, mut there) = (tenant, "moved.tenant.kolga.test");
    let (mut moved, mut refused) = (0, 0);
    for microseconds in [0, 0, 50, 1_000, 30_000, 300_000] {
        swapper.pause(Duration::from_micros(microseconds));
        let ended = scene.migrate(here, json!({"host": there})).await;
        match ended["state"].as_str() {
            Some("succeeded") => {
                moved += 1;
                std::mem::swap(&mut here, &mut there);
            }
            Some("failed") => refused += 1,
            _ => panic!("{ended:#}"),
        }
    }
    let swaps = swapper.end();
    println!("{swaps} swaps, moved {moved} times, met a link and stayed {refused} times");
    assert!(refused > 0, "no step ever met a link");
    assert_eq!((tree(&theirs), scene.answer(victim).await), before);
    // With the swapping over it can move.
    let ended = scene.migrate(here, json!({"host": there})).await;
    assert_eq!(ended["state"], "succeeded", "{ended:#}");
    assert_eq!((tree(&theirs), scene.answer(victim).await), before);
    scene.end(&[there, victim]).await;
}
