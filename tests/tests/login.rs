//! Links that log somebody in, over the whole system: each does so once, within its time, at its own site; and what is
//! in it is in no journal, message, book or log.

use std::path::PathBuf;
use std::time::Duration;

use kolga_protocol::seal::Opener;
use kolga_tests::hub::{Hub, Request, Settings};
use kolga_tests::scenario::{self, SERVER};
use kolga_tests::stack::Stack;
use kolga_tests::worker::{Orders, Worker};
use kolga_tests::world::{cheapen, clear, repository};
use serde_json::{Value, json};

struct Scene {
    stack: Stack,
    hub: Hub,
    worker: Worker,
}

/// A page that only who is logged in gets, and what is in it.
struct Inside {
    path: &'static str,
    text: &'static str,
}

const WORDPRESS: Inside = Inside {
    path: "/wp-admin/profile.php",
    text: "user-login-wrap",
};
const WIKI: Inside = Inside {
    path: "/index.php?title=Special:Preferences",
    text: "mw-input-wpusername",
};

impl Scene {
    async fn new() -> Self {
        let stack = Stack::load();
        clear(&stack, SERVER).await;
        let hub = Hub::with_servers(&stack, &Settings::default(), &[SERVER]).await;
        let worker = Worker::start(&stack, SERVER, &Orders::default()).await;
        Self { stack, hub, worker }
    }

    async fn install(&self, host: &str, profile: &str, platform: &str) {
        let task = self.hub.install(SERVER, host, profile, Some(platform));
        self.hub.succeeds(&task.await).await;
    }

    async fn on_site(&self, host: &str, kind: &str, params: Value) -> Value {
        let body = json!({"kind": kind, "params": params});
        let request = Request::post(&format!("/v1/sites/{host}/tasks"), body);
        self.hub.ended(&self.hub.ask(&request).await).await
    }

    /// A token for a login at the site.
    async fn token(&self, host: &str) -> String {
        let opener = Opener::generate();
        let seal = String::from(opener.key());
        let ended = self
            .on_site(host, "site.login", json!({"seal": seal}))
            .await;
        assert_eq!(ended["state"], "succeeded", "{ended:#}");
        let output = &ended["output"];
        let port = self.stack.http_port(SERVER);
        assert_eq!(
            output["page"],
            format!("http://{host}:{port}/kolga_login.php")
        );
        let ends = ended["ended_at"].as_i64().expect("an instant");
        let left = output["until"].as_i64().expect("an instant") - ends;
        assert!((200_000..=300_000).contains(&left), "{left} ms");
        let sealed = output["sealed"].as_str().expect("digits").to_owned();
        let sealed = sealed.try_into().expect("sealed");
        assert!(Opener::generate().open(&sealed).is_err());
        opener.open(&sealed).expect("it is for us")
    }

    fn folder(&self, host: &str) -> PathBuf {
        self.stack.spoke(SERVER, "sites_root").join(host)
    }

    fn database(&self, host: &str) -> String {
        let book = self.stack.spoke(SERVER, "state_dir").join("sites");
        let entry = std::fs::read(book.join(format!("{host}.json"))).expect("an entry");
        let entry: Value = serde_json::from_slice(&entry).expect("JSON");
        entry["database"].as_str().expect("it has one").to_owned()
    }

    /// Where the site keeps what is open.
    fn kept(&self, host: &str, token: &str) -> PathBuf {
        let (name, _) = token.rsplit_once('.').expect("two parts");
        self.folder(host).join("login").join(name)
    }

    async fn ask(&self, host: &str, request: reqwest::RequestBuilder) -> reqwest::Response {
        let host = format!("{host}:{}", self.stack.http_port(SERVER));
        let request = request.header("host", host);
        let asked = tokio::time::timeout(Duration::from_secs(60), request.send()).await;
        asked.expect("in time").expect("an answer")
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.stack.http_port(SERVER))
    }

    /// Of what the page and the scripts of a profile share: visitors have no use for it.
    async fn shared_parts_are_not_served(&self, host: &str) {
        for path in ["/kolga_token.php", "/kolga.php"] {
            let asked = client().get(self.url(path));
            assert_eq!(self.ask(host, asked).await.status(), 404, "{host}{path}");
        }
    }

    /// Follows the link as the page does; the cookies of whoever is let in.
    async fn follow(&self, host: &str, token: &str) -> Option<String> {
        let client = client();
        let request = client
            .post(self.url("/kolga_login.php"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("token={token}"));
        let answer = self.ask(host, request).await;
        let set = answer.headers().get_all("set-cookie").iter();
        let cookies: Vec<String> = set
            .filter_map(|cookie| Some(cookie.to_str().ok()?.split(';').next()?.to_owned()))
            .collect();
        match answer.status().as_u16() {
            302 => Some(cookies.join("; ")),
            403 => {
                assert!(cookies.is_empty(), "{cookies:?}");
                None
            }
            status => panic!("{status}: {}", answer.text().await.expect("text")),
        }
    }

    async fn is_in(&self, host: &str, cookies: &str, page: &Inside) -> bool {
        let request = client().get(self.url(page.path)).header("cookie", cookies);
        let answer = self.ask(host, request).await;
        answer.status() == 200 && answer.text().await.expect("text").contains(page.text)
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

/// Every file of the stack that holds the text: journals, databases, queues, logs, sites; programs and platforms apart.
fn holding(stack: &Stack, text: &str) -> Vec<String> {
    let found = std::process::Command::new("/usr/bin/grep")
        .args([
            "-rlaF",
            "--exclude-dir=bin",
            "--exclude-dir=platforms",
            "--devices=skip",
            "--",
            text,
        ])
        .arg(stack.text("/dir"))
        .output()
        .expect("grep runs");
    let said = String::from_utf8_lossy(&found.stderr);
    // A file may go while it is looked for.
    let whole = said.lines().all(|line| line.contains("No such file"));
    assert!(whole, "{said}");
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    found.lines().map(str::to_owned).collect()
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_link_logs_in_once_and_no_forged_old_or_strange_one_does() {
    let scene = Scene::new().await;
    let (host, other) = ("let-in.kolga.test", "other.kolga.test");
    scenario::platform(&scene.hub).await;
    for site in [host, other] {
        scene.install(site, "wordpress", "wp").await;
    }
    let page = scene
        .ask(host, client().get(scene.url("/kolga_login.php")))
        .await;
    assert_eq!(page.headers()["cache-control"], "no-store");
    let text = page.text().await.expect("text");
    assert!(text.contains("location.hash") && text.contains("method=\"post\""));
    scene.shared_parts_are_not_served(host).await;

    let token = scene.token(host).await;
    let (name, secret) = token.rsplit_once('.').expect("two parts");
    let kept = std::fs::read_to_string(scene.kept(host, &token)).expect("kept");
    assert!(!kept.contains(secret), "{kept}");
    // Guessed, cut short, with another's name, and none at all.
    let forged = [
        format!("{name}.{}", "A".repeat(secret.len())),
        format!("{name}.{}", &secret[1..]),
        format!("01a214a7-bdaa-74f4-8186-8cd21acafd27.1.{secret}"),
        format!("../../private/settings.php.{secret}"),
        name.to_owned(),
        String::new(),
    ];
    for forged in &forged {
        assert_eq!(scene.follow(host, forged).await, None, "{forged}");
    }
    assert_eq!(scene.follow(other, &token).await, None, "another site's");
    assert!(scene.kept(host, &token).exists(), "it is good still");
    // Many at once, of whom one is let in.
    let all = futures_util::future::join_all((0..8).map(|_| scene.follow(host, &token))).await;
    let cookies: Vec<&String> = all.iter().flatten().collect();
    assert_eq!(cookies.len(), 1, "{all:?}");
    assert!(scene.is_in(host, cookies[0], &WORDPRESS).await);
    assert!(!scene.is_in(other, cookies[0], &WORDPRESS).await);
    assert!(!scene.is_in(host, "", &WORDPRESS).await);
    assert_eq!(scene.follow(host, &token).await, None, "a second time");
    assert!(!scene.kept(host, &token).exists());

    // Too old: as if it had been made ten minutes ago.
    let token = scene.token(host).await;
    let file = scene.kept(host, &token);
    let kept: Value = serde_json::from_slice(&std::fs::read(&file).expect("kept")).expect("JSON");
    let mut old = kept.clone();
    old["until"] = json!(kept["until"].as_u64().expect("seconds") - 600);
    std::fs::write(&file, old.to_string()).expect("made older");
    assert_eq!(scene.follow(host, &token).await, None, "too old");
    // The next one clears it away.
    let last = scene.token(host).await;
    assert!(!file.exists());
    assert!(scene.follow(host, &last).await.is_some());
    a_restore_makes_open_links_worthless(&scene, other).await;
    scene.end(&[host, other]).await;
}

/// Those of before the backup and those of after it: who could log in at the site as it was cannot at the one that came back.
async fn a_restore_makes_open_links_worthless(scene: &Scene, host: &str) {
    let early = scene.token(host).await;
    let made = scene.on_site(host, "site.backup", json!({})).await;
    assert_eq!(made["state"], "succeeded", "{made:#}");
    let late = scene.token(host).await;
    for open in [&early, &late] {
        assert!(scene.kept(host, open).exists(), "it is good still");
    }
    let backup = json!({"backup": made["output"]["backup"]});
    let restored = scene.on_site(host, "site.restore", backup).await;
    assert_eq!(restored["state"], "succeeded", "{restored:#}");
    for open in [&early, &late] {
        assert!(!scene.kept(host, open).exists(), "it came back");
        assert_eq!(scene.follow(host, open).await, None);
    }
    let fresh = scene.token(host).await;
    let cookies = scene.follow(host, &fresh).await.expect("it lets in");
    assert!(scene.is_in(host, &cookies, &WORDPRESS).await);
    drop(std::fs::remove_dir_all(repository(&scene.stack, SERVER)));
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn the_command_prints_a_whole_link_and_nothing_else() {
    let scene = Scene::new().await;
    let host = "asked.kolga.test";
    scenario::platform(&scene.hub).await;
    scene.install(host, "wordpress", "wp").await;
    let cli = |arguments: &[&str]| {
        let said = scene
            .stack
            .program("kolga")
            .args(["--hub", &scene.hub.url, "--token-file"])
            .arg(scene.hub.token_file())
            .args(arguments)
            .output()
            .expect("the CLI runs");
        assert!(said.status.success(), "{said:?}");
        String::from_utf8(said.stdout).expect("text")
    };
    let told: Value = serde_json::from_str(&cli(&["--json", "site", "login", host])).expect("JSON");
    assert_eq!(told["user"], "admin");
    for link in [
        told["link"].as_str().expect("a link").to_owned(),
        cli(&["site", "login", host]),
    ] {
        let (page, token) = link.trim_end().split_once('#').expect("a link");
        let port = scene.stack.http_port(SERVER);
        assert_eq!(page, format!("http://{host}:{port}/kolga_login.php"));
        let cookies = scene.follow(host, token).await.expect("it lets in");
        assert!(scene.is_in(host, &cookies, &WORDPRESS).await);
    }
    scene.end(&[host]).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_is_in_a_link_is_nowhere_else_before_and_after_it_was_used() {
    let scene = Scene::new().await;
    let host = "unseen.kolga.test";
    scenario::platform(&scene.hub).await;
    scene.install(host, "wordpress", "wp").await;
    let token = scene.token(host).await;
    let (name, secret) = token.rsplit_once('.').expect("two parts");
    for used in [false, true] {
        if used {
            assert!(scene.follow(host, &token).await.is_some());
        }
        let found = holding(&scene.stack, secret);
        assert_eq!(found, Vec::<String>::new(), "used: {used}");
        // The task itself is in the worker's journal and the hub's book, so these were looked at.
        let (task, _) = name.split_once('.').expect("a run");
        let found = holding(&scene.stack, task);
        println!("no file holds it; of its task tell {found:?}");
        assert!(found.len() > 1, "{found:?}");
    }
    let found = holding(&scene.stack, "POST /kolga_login.php");
    assert!(!found.is_empty(), "nginx's log was looked at");
    let lines = scene.hub.get("/v1/tasks?limit=100").await.to_string();
    assert!(lines.contains("site.login") && !lines.contains(secret));
    scene.end(&[host]).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_site_that_was_copied_or_moved_takes_no_link_of_before_and_one_that_is_closed_gives_none()
{
    let scene = Scene::new().await;
    let (host, copy, renamed) = ("first.kolga.test", "second.kolga.test", "third.kolga.test");
    scenario::platform(&scene.hub).await;
    scene.install(host, "wordpress", "wp").await;
    let token = scene.token(host).await;
    let cloned = scene.on_site(host, "site.clone", json!({"to": copy})).await;
    assert_eq!(cloned["state"], "succeeded", "{cloned:#}");
    let there = scene.folder(copy).join("login");
    let open = std::fs::read_dir(&there).expect("it has one").count();
    assert_eq!(open, 0, "none was copied");
    // And if one had been: it is of another database.
    let put = there.join(scene.kept(host, &token).file_name().expect("a name"));
    std::fs::copy(scene.kept(host, &token), put).expect("copied by hand");
    assert_eq!(scene.follow(copy, &token).await, None);
    let moved = scene
        .on_site(host, "site.migrate", json!({"host": renamed}))
        .await;
    assert_eq!(moved["state"], "succeeded", "{moved:#}");
    assert!(scene.kept(renamed, &token).exists(), "its folder has moved");
    assert_eq!(scene.follow(renamed, &token).await, None);
    let now = scene.token(renamed).await;
    assert!(scene.follow(renamed, &now).await.is_some());

    let disabled = scene.on_site(copy, "site.disable", json!({})).await;
    assert_eq!(disabled["state"], "succeeded", "{disabled:#}");
    let seal = json!({"seal": String::from(Opener::generate().key())});
    let refused = scene.on_site(copy, "site.login", seal.clone()).await;
    assert_eq!(refused["state"], "failed", "{refused:#}");
    let told = refused["failure"]["message"].as_str().expect("a reason");
    assert!(told.contains("disabled"), "{told}");
    let lock = format!("/v1/sites/{renamed}/lock");
    let locked = scene.hub.request("POST", &lock, Some(&json!({}))).await;
    assert!((200..300).contains(&locked.0), "{locked:?}");
    let path = format!("/v1/sites/{renamed}/tasks");
    let wish = json!({"kind": "site.login", "params": seal});
    let refused = scene.hub.request("POST", &path, Some(&wish)).await;
    assert_eq!(refused.0, 409, "{refused:?}");
    let unlocked = scene.hub.request("DELETE", &lock, None).await;
    assert!((200..300).contains(&unlocked.0), "{unlocked:?}");
    scene.end(&[copy, renamed]).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_wiki_takes_a_link_once_too_and_a_site_without_such_a_page_says_so() {
    let scene = Scene::new().await;
    let (host, plain) = ("wiki.kolga.test", "plain.kolga.test");
    let source = "/usr/share/mediawiki";
    let task = scene.hub.build(SERVER, "mw", "mediawiki", source).await;
    scene.hub.succeeds(&task).await;
    scene.install(host, "mediawiki", "mw").await;
    scene.shared_parts_are_not_served(host).await;
    let token = scene.token(host).await;
    let forged = format!("{}A", &token[..token.len() - 1]);
    let forged = if forged == token {
        format!("{}B", &token[..token.len() - 1])
    } else {
        forged
    };
    assert_eq!(scene.follow(host, &forged).await, None);
    let cookies = scene.follow(host, &token).await.expect("it lets in");
    assert!(scene.is_in(host, &cookies, &WIKI).await, "{cookies}");
    assert!(!scene.is_in(host, "", &WIKI).await);
    assert_eq!(scene.follow(host, &token).await, None, "a second time");
    // Who is in stays so though the database has another name then, as after any restore, migration or move.
    let database = scene.database(host);
    let made = scene.on_site(host, "site.backup", json!({})).await;
    cheapen(&scene.stack, SERVER);
    let backup = json!({"backup": made["output"]["backup"]});
    let restored = scene.on_site(host, "site.restore", backup).await;
    assert_eq!(restored["state"], "succeeded", "{restored:#}");
    assert_ne!(scene.database(host), database);
    assert!(scene.is_in(host, &cookies, &WIKI).await, "{cookies}");
    assert!(!scene.is_in(host, "", &WIKI).await);
    drop(std::fs::remove_dir_all(repository(&scene.stack, SERVER)));

    let task = scene.hub.install(SERVER, plain, "static", None).await;
    scene.hub.succeeds(&task).await;
    let seal = json!({"seal": String::from(Opener::generate().key())});
    let refused = scene.on_site(plain, "site.login", seal).await;
    assert_eq!(refused["state"], "failed", "{refused:#}");
    let told = refused["failure"]["message"].as_str().expect("a reason");
    assert!(told.contains("profile static"), "{told}");
    scene.end(&[host, plain]).await;
}
