//! Sites that are copied, over the whole system: every byte, mode, link and row is in the copy; the site that it is made of
//! answers all the while, with its visitors, its writers and whoever is logged in, and its neighbour too; nobody who was
//! let in there is let in here without a password; and a tenant who swaps folders for links carries out nothing.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kolga_protocol::names::DatabaseName;
use kolga_tests::furnish::{fill, furnish, looks, php_user, rows, tree, write};
use kolga_tests::hub::{Hub, Request, Settings};
use kolga_tests::scenario::{self, SERVER};
use kolga_tests::small_disks::SmallDisks;
use kolga_tests::stack::Stack;
use kolga_tests::swapper::Swapper;
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
        Self::on(stack).await
    }

    async fn on(stack: Stack) -> Self {
        let hub = Hub::with_servers(&stack, &Settings::default(), &[SERVER]).await;
        let worker = Worker::start(&stack, SERVER, &Orders::default()).await;
        Self { stack, hub, worker }
    }

    async fn install(&self, host: &str, profile: &str, platform: Option<&str>) -> PathBuf {
        let task = self.hub.install(SERVER, host, profile, platform).await;
        self.hub.succeeds(&task).await;
        self.folder(host)
    }

    fn folder(&self, host: &str) -> PathBuf {
        self.stack.spoke(SERVER, "sites_root").join(host)
    }

    async fn on_site(&self, host: &str, kind: &str, params: Value) -> Value {
        let body = json!({"kind": kind, "params": params});
        let request = Request::post(&format!("/v1/sites/{host}/tasks"), body);
        self.hub.ended(&self.hub.ask(&request).await).await
    }

    async fn cloned(&self, host: &str, to: &str) -> Value {
        let ended = self.on_site(host, "site.clone", json!({"to": to})).await;
        assert_eq!(ended["state"], "succeeded", "{ended:#}");
        ended["output"].clone()
    }

    /// A site's secret, from the file that is the worker's alone.
    fn secret(&self, host: &str, name: &str) -> String {
        let folder = self.stack.spoke(SERVER, "state_dir").join("secrets");
        let bytes = std::fs::read(folder.join(format!("{host}.json"))).expect("it has some");
        let secrets: Value = serde_json::from_slice(&bytes).expect("JSON");
        let secret = match name {
            "database_password" => &secrets[name],
            name => &secrets["values"][name],
        };
        secret.as_str().expect("a secret").to_owned()
    }

    fn visitor(&self, host: &str) -> Visitor {
        Visitor {
            client: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .pool_max_idle_per_host(0)
                .timeout(Duration::from_secs(30))
                .build()
                .expect("a client"),
            port: self.stack.http_port(SERVER),
            host: host.to_owned(),
        }
    }

    async fn end(self, hosts: &[&str]) {
        for host in hosts {
            let task = self.hub.delete(host).await;
            self.hub.succeeds(&task).await;
        }
        self.worker.stop().await;
    }
}

fn database(host: &str) -> String {
    DatabaseName::for_site(&host.parse().expect("a host")).to_string()
}

/// Somebody with a browser.
#[derive(Clone)]
struct Visitor {
    client: reqwest::Client,
    port: u16,
    host: String,
}

impl Visitor {
    fn at(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        request.header("host", format!("{}:{}", self.host, self.port))
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    async fn get(&self, path: &str, cookies: &str) -> reqwest::Result<(u16, String)> {
        let request = self.client.get(self.url(path)).header("cookie", cookies);
        let answer = self.at(request).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// Logs in at a WordPress; the cookies, or nothing where it does not let him in.
    async fn log_in(&self, password: &str) -> Option<String> {
        let form = format!("log=admin&pwd={password}&wp-submit=x");
        let request = self.client.post(self.url("/wp-login.php")).body(form);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = self.at(request).send().await.expect("an answer");
        let set = answer.headers().get_all("set-cookie").iter();
        let cookies: Vec<String> = set
            .filter_map(|cookie| Some(cookie.to_str().ok()?.split(';').next()?.to_owned()))
            .collect();
        let is_in = cookies.iter().any(|cookie| cookie.contains("logged_in"));
        is_in.then(|| cookies.join("; "))
    }

    async fn is_in(&self, cookies: &str) -> bool {
        let answer = self.get("/wp-admin/profile.php", cookies).await;
        answer.expect("an answer").0 == 200
    }
}

/// A page that needs code, settings and database, and is small: see `migrate.rs`.
const LOGIN: &str = "/wp-login.php";

/// Asks for a page again and again; how often, and what was wrong with an answer.
async fn visit(visitor: Visitor, stop: Arc<AtomicBool>) -> (usize, Vec<String>) {
    let (mut visits, mut wrong) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        visits += 1;
        match visitor.get(LOGIN, "").await {
            Ok((200, page)) if page.contains("</html>") => {}
            Ok((status, page)) => wrong.push(format!("{status}, {} bytes", page.len())),
            Err(error) => wrong.push(error.to_string()),
        }
    }
    (visits, wrong)
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn every_byte_mode_link_and_row_is_in_the_copy_and_the_site_is_what_it_was() {
    let scene = Scene::new().await;
    let (host, copy) = ("original.kolga.test", "copy.kolga.test");
    let (own, web) = (scene.stack.uid(), php_user(&scene.stack));
    let folder = scene.install(host, "php", None).await;
    furnish(&folder, own, web);
    std::fs::hard_link(folder.join("docroot/large"), folder.join("docroot/again")).expect("linked");
    fill(&scene.stack, &database(host)).await;
    let (files, filled) = (looks(&folder, web), rows(&scene.stack, &database(host)));
    assert!(
        filled.contains("TRIGGER") && filled.contains("VIEW"),
        "{filled}"
    );
    let (whole, entry) = (tree(&folder), scene.secret(host, "database_password"));

    let output = scene.cloned(host, copy).await;
    let copied = scene.folder(copy);
    assert_eq!(looks(&copied, web), files, "every byte, mode and link");
    assert_eq!(rows(&scene.stack, &database(copy)), filled, "every row");
    assert_eq!(output["database"], database(copy).as_str());
    println!(
        "{} paths and {} lines of the database are in the copy: {} files, {} bytes, {} ms",
        files.len(),
        filled.lines().count(),
        output["files"],
        output["bytes"],
        output["milliseconds"]
    );
    use std::os::unix::fs::MetadataExt as _;
    let looked = |name: &str| std::fs::metadata(copied.join("docroot").join(name)).expect("there");
    assert_eq!(looked("large").ino(), looked("again").ino(), "one file");

    // The site is what it was, and the copy shares nothing with it.
    assert_eq!(tree(&folder), whole);
    assert_eq!(rows(&scene.stack, &database(host)), filled);
    assert_eq!(scene.secret(host, "database_password"), entry);
    assert_ne!(scene.secret(copy, "database_password"), entry);
    let settings = std::fs::read_to_string(copied.join("private/settings.php")).expect("read");
    for own in [database(copy), format!("http://{copy}")] {
        assert!(settings.contains(&own), "{settings}");
    }
    assert!(!settings.contains(host) && !settings.contains(&database(host)));
    assert!(!settings.contains(&entry));
    // PHP may write in the copy where it might write before, and writes nowhere else.
    let answer = scene.visitor(copy).get("/append.php", "").await;
    assert_eq!(answer.expect("an answer").1, "4");
    assert_eq!(tree(&folder), whole);
    for site in [copy, host] {
        let verified = scene.on_site(site, "site.verify", json!({})).await;
        assert_eq!(verified["output"]["changes"], json!([]), "{verified:#}");
        assert_eq!(verified["output"]["problems"], json!([]), "{verified:#}");
    }
    // Each is deleted without the other.
    let task = scene.hub.delete(host).await;
    scene.hub.succeeds(&task).await;
    let answer = scene.visitor(copy).get("/append.php", "").await;
    assert_eq!(answer.expect("an answer").1, "4");
    scene.end(&[copy]).await;
}

/// Goes on changing a site's files, as its visitors and editors do; how often.
fn write_on(uploads: PathBuf, web: u32, stop: &AtomicBool) -> u64 {
    let mut changes = 0;
    while !stop.load(Ordering::Relaxed) {
        let (new, name) = (uploads.join("passing.tmp"), uploads.join("passing"));
        write(&new, b"a whole text\n", 0o644, web);
        std::fs::rename(&new, &name).expect("renamed");
        std::fs::remove_file(&name).expect("removed");
        let folder = uploads.join("month");
        std::fs::create_dir(&folder).expect("made");
        write(&folder.join("inner"), b"x", 0o644, web);
        std::fs::remove_dir_all(&folder).expect("removed");
        changes += 1;
    }
    changes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the stack: run deploy/test"]
async fn while_a_site_in_use_is_copied_it_and_its_neighbour_answer_and_the_copy_lets_nobody_in_who_was_let_in_there()
 {
    let scene = Scene::new().await;
    let (host, copy, neighbour) = ("used.kolga.test", "copied.kolga.test", "beside.kolga.test");
    scenario::platform(&scene.hub).await;
    for site in [host, neighbour] {
        scene.install(site, "wordpress", Some("wp")).await;
    }
    let web = php_user(&scene.stack);
    let uploads = scene.folder(host).join("content/uploads");
    for number in 0..300 {
        let bytes = vec![7; 40_000];
        write(
            &uploads.join(format!("lasting{number}")),
            &bytes,
            0o644,
            web,
        );
    }
    let password = scene.secret(host, "admin_password");
    let cookies = scene.visitor(host).log_in(&password).await;
    let cookies = cookies.expect("it is the site's own");
    let mut server = maria(&scene.stack).await;
    let port = scene.stack.http_port(SERVER);
    for statement in [
        format!(
            "UPDATE `{}`.wp_posts SET post_content = 'see http://{host}:{port}/a' WHERE ID = 1",
            database(host)
        ),
        format!(
            "INSERT INTO `{}`.wp_usermeta (user_id, meta_key, meta_value)
             VALUES (1, '_application_passwords', 'a:0:{{}}')",
            database(host)
        ),
        format!(
            "UPDATE `{}`.wp_users SET user_activation_key = 'a key for a new password'",
            database(host)
        ),
    ] {
        let done = server.execute(AssertSqlSafe(statement)).await;
        done.expect("it takes it");
    }

    let stop = Arc::new(AtomicBool::new(false));
    let visitors = [host, neighbour].map(|site| {
        let visitor = scene.visitor(site);
        tokio::spawn(visit(visitor, Arc::clone(&stop)))
    });
    let writer = std::thread::spawn({
        let (uploads, stop) = (uploads.clone(), Arc::clone(&stop));
        move || write_on(uploads, web, &stop)
    });
    let output = scene.cloned(host, copy).await;
    stop.store(true, Ordering::Relaxed);
    let changes = writer.join().expect("it ends");
    for visitor in visitors {
        let (visits, wrong) = visitor.await.expect("it ends");
        println!("{visits} visits, {} of them answered wrongly", wrong.len());
        assert!(visits > 10, "only {visits} visits");
        assert!(wrong.is_empty(), "{wrong:?}");
    }
    println!(
        "{changes} times files came and went; {} files, {} ms",
        output["files"], output["milliseconds"]
    );
    assert!(changes > 100, "only {changes}");
    for number in 0..300 {
        let of = |site: &str| {
            let uploads = scene.folder(site).join("content/uploads");
            std::fs::read(uploads.join(format!("lasting{number}"))).expect("there")
        };
        assert!(of(copy) == of(host));
    }

    let (there, here) = (scene.visitor(host), scene.visitor(copy));
    let (status, page) = here.get("/", "").await.expect("an answer");
    assert!(status == 200 && page.contains("wp-site-blocks"), "{status}");
    assert!(
        !page.contains(&format!("//{host}")),
        "an address of the other site"
    );
    let post = format!(
        "SELECT post_content FROM `{}`.wp_posts WHERE ID = 1",
        database(copy)
    );
    let post: String = sqlx::query_scalar(AssertSqlSafe(post))
        .fetch_one(&mut server)
        .await
        .expect("an answer");
    assert_eq!(post, format!("see http://{copy}:{port}/a"));
    // Whoever is logged in there is so still, and not here, whatever he calls his cookies.
    assert!(there.is_in(&cookies).await);
    let own_cookies = here.log_in(&scene.secret(copy, "admin_password")).await;
    let own_cookies = own_cookies.expect("the copy's own password");
    assert!(here.is_in(&own_cookies).await);
    let name = |cookies: &str| {
        let at = cookies.find("logged_in_").expect("its name");
        let rest = &cookies[at + "logged_in_".len()..];
        rest[..rest.find('=').expect("a value")].to_owned()
    };
    let renamed = cookies.replace(&name(&cookies), &name(&own_cookies));
    assert!(
        !here.is_in(&renamed).await,
        "the site's cookie is no good here"
    );
    assert_eq!(here.log_in(&password).await, None, "nor its password");
    let asked = format!(
        "SELECT COUNT(*) FROM `{0}`.wp_users u, `{0}`.wp_usermeta m
          WHERE u.user_activation_key <> '' OR m.meta_key = '_application_passwords'",
        database(copy)
    );
    let left: i64 = sqlx::query_scalar(AssertSqlSafe(asked))
        .fetch_one(&mut server)
        .await
        .expect("an answer");
    assert_eq!(left, 0, "keys and passwords of another sort");
    for key in ["auth_key", "nonce_salt", "admin_password"] {
        assert_ne!(scene.secret(copy, key), scene.secret(host, key), "{key}");
    }
    let shown = scene.hub.get(&format!("/v1/sites/{copy}")).await;
    assert_eq!(
        (&shown["platform"], &shown["condition"]),
        (&json!("wp"), &json!("ready"))
    );
    scene.end(&[copy, host, neighbour]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the stack: run deploy/test"]
async fn a_tenant_who_swaps_folders_for_links_while_he_is_copied_carries_out_nothing_of_a_neighbours()
 {
    let scene = Scene::new().await;
    let (victim, tenant, copy) = ("victim.kolga.test", "tenant.kolga.test", "again.kolga.test");
    let theirs = scene.install(victim, "php", None).await;
    let own = scene.install(tenant, "php", None).await;
    let (worker, web) = (scene.stack.uid(), php_user(&scene.stack));
    write(
        &theirs.join("private/secret"),
        b"what the neighbour alone may know",
        0o640,
        worker,
    );
    // A program that PHP has made, which would run with the rights of whoever owns it.
    write(&own.join("files/lend"), b"#!/bin/true\n", 0o6755, web);
    for number in 0..200 {
        let folder = own.join(format!("files/{number}"));
        std::fs::create_dir(&folder).expect("made");
        write(&folder.join("inner"), b"the tenant's own", 0o644, web);
    }
    let before = tree(&theirs);
    symlink(theirs.join("private"), own.join("files/other")).expect("linked");
    symlink(theirs.join("private/secret"), own.join("files/file-link")).expect("linked");
    write(&own.join("files/file"), b"the tenant's own", 0o644, web);

    let name = |number: usize| [(number.to_string(), "other"), ("file".into(), "file-link")];
    let pairs = (0..200).flat_map(name);
    let pairs = pairs.map(|(one, other)| (one, other.to_owned()));
    let swapper = Swapper::start(&own.join("files"), pairs.collect());
    let mut links = 0;
    for _ in 0..4 {
        let before = swapper.swaps();
        scene.cloned(tenant, copy).await;
        assert!(swapper.swaps() > before + 100, "no swaps");
        let copied = scene.folder(copy);
        let made = tree(&copied);
        let carried = made
            .iter()
            .any(|(path, what)| path.ends_with("secret") || what.contains("alone may know"));
        assert!(!carried, "a neighbour's file is in the copy");
        links += made
            .iter()
            .filter(|(_, what)| what.starts_with("link "))
            .count();
        assert_eq!(lent(&copied.join("files/lend")), (0, worker));
        let task = scene.hub.delete(copy).await;
        scene.hub.succeeds(&task).await;
    }
    let swaps = swapper.end();
    println!("{swaps} swaps during four copies, in which {links} links are links still");
    assert!(links > 0, "no copy ever met a link");
    assert_eq!(tree(&theirs), before, "the neighbour's is as it was");
    scene.end(&[victim, tenant]).await;
}

/// The bits that lend rights, and whose they would be.
fn lent(path: &Path) -> (u32, u32) {
    use std::os::unix::fs::MetadataExt as _;
    let found = std::fs::metadata(path).expect("it was copied");
    (found.mode() & 0o6000, found.uid())
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_cannot_be_copied_is_refused_before_anything_is_touched() {
    let scene = Scene::new().await;
    let (host, copy) = ("refused.kolga.test", "wanted.kolga.test");
    let folder = scene.install(host, "php", None).await;
    let before = tree(&folder);
    let path = format!("/v1/sites/{host}/tasks");
    for (to, status) in [(host, 409), ("not a name", 400)] {
        let wish = json!({"kind": "site.clone", "params": {"to": to}});
        let told = scene.hub.request("POST", &path, Some(&wish)).await;
        assert_eq!(told.0, status, "{to}: {told:?}");
    }
    // More than the disk has, all of it a hole: what it would take is asked by blocks, so this one fits.
    let hole = std::fs::File::create(folder.join("docroot/hole")).expect("made");
    hole.set_len(1 << 40).expect("a tebibyte");
    std::os::unix::fs::chown(folder.join("docroot/hole"), Some(scene.stack.uid()), None)
        .expect("given away");
    let output = scene.cloned(host, copy).await;
    assert!(
        output["bytes"]
            .as_u64()
            .is_some_and(|bytes| bytes < 1 << 20)
    );
    let length = std::fs::metadata(scene.folder(copy).join("docroot/hole"));
    assert_eq!(length.expect("copied").len(), 1 << 40);
    let task = scene.hub.delete(copy).await;
    scene.hub.succeeds(&task).await;
    std::fs::remove_file(folder.join("docroot/hole")).expect("there");

    let wanted = scene.folder(copy);
    std::fs::create_dir(&wanted).expect("planted");
    let ended = scene.on_site(host, "site.clone", json!({"to": copy})).await;
    assert_eq!(ended["state"], "failed", "{ended:#}");
    let failure = &ended["failure"];
    let named = failure["message"].as_str().expect("a reason");
    assert!(named.contains(&wanted.display().to_string()), "{named}");
    assert_eq!(failure["step"], Value::Null, "before its first step");
    std::fs::remove_dir(&wanted).expect("it is there still");
    assert_eq!(tree(&folder), before);
    scene.end(&[host]).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_site_for_whose_copy_there_is_no_room_is_not_copied_and_the_room_is_named() {
    let stack = Stack::load();
    clear(&stack, SERVER).await;
    // Each of 256 MiB.
    let disks = SmallDisks::mount(&stack, SERVER);
    let scene = Scene::on(stack).await;
    let (host, copy) = ("large.kolga.test", "larger.kolga.test");
    let folder = scene.install(host, "php", None).await;
    let large = vec![7; 110 << 20];
    write(
        &folder.join("files/large"),
        &large,
        0o644,
        scene.stack.uid(),
    );
    let sites = scene.stack.spoke(SERVER, "sites_root");
    let there = || {
        let entries = std::fs::read_dir(&sites).expect("read").flatten();
        entries.map(|entry| entry.file_name()).collect::<Vec<_>>()
    };
    let before = there();
    let ended = scene.on_site(host, "site.clone", json!({"to": copy})).await;
    assert_eq!(ended["state"], "failed", "{ended:#}");
    let failure = &ended["failure"];
    let told = failure["message"].as_str().expect("a reason");
    let room = format!("bytes at {}", sites.display());
    assert!(told.contains(&room) && told.contains("make room"), "{told}");
    assert_eq!(failure["step"], Value::Null, "before its first step");
    assert_eq!(there(), before, "nothing was touched");
    std::fs::remove_file(folder.join("files/large")).expect("there");
    scene.cloned(host, copy).await;
    scene.end(&[host, copy]).await;
    drop(disks);
}
