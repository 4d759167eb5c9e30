//! Hostile names, bodies and profiles: a clear error each time, nothing touched, and the other sites keep
//! answering.

use std::process::Output;

use kolga_tests::hub::{Hub, Request, Settings};
use kolga_tests::scenario::SERVER;
use kolga_tests::stack::Stack;
use kolga_tests::worker::{Orders, Worker};
use kolga_tests::world::{World, clear, maria};
use serde_json::{Value, json};

const NEIGHBOUR: &str = "neighbour.kolga.test";

const NAMES: &[&str] = &[
    "../x",
    "a;b",
    "a\nb",
    "-rf",
    "a b",
    "a'b",
    "a\"b",
    "a`b`",
    "$(id)",
    "a\\b",
    "a\u{202e}b.org",
    "a{}b.org",
    "a#b.org",
    "%2e%2e",
    "*",
    "localhost",
    "127.0.0.1",
    "",
];

async fn system() -> (Stack, Hub, Worker) {
    let stack = Stack::load();
    clear(&stack, SERVER).await;
    let hub = Hub::with_servers(&stack, &Settings::default(), &[SERVER]).await;
    let worker = Worker::start(&stack, SERVER, &Orders::default()).await;
    let task = hub.install(SERVER, NEIGHBOUR, "static", None).await;
    hub.succeeds(&task).await;
    (stack, hub, worker)
}

fn cli(stack: &Stack, hub: &Hub, arguments: &[&str]) -> Output {
    stack
        .program("kolga")
        .args(["--hub", &hub.url, "--token-file"])
        .arg(hub.token_file())
        .args(arguments)
        .output()
        .expect("kolga runs")
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_hostile_name_is_refused_at_the_command_line_and_at_the_api() {
    let (stack, hub, worker) = system().await;
    let before = World::of(&stack, SERVER, &[NEIGHBOUR]).await;
    let long = "a".repeat(300);
    let mut refused = 0;
    for name in NAMES.iter().copied().chain([long.as_str()]) {
        for arguments in [
            vec![
                "site",
                "install",
                "--server",
                SERVER,
                "--profile",
                "static",
                "--",
                name,
            ],
            vec!["server", "add", "--", name],
            vec![
                "platform",
                "add",
                "--server",
                SERVER,
                "--profile",
                "php",
                "--source",
                "/x",
                "--",
                name,
            ],
        ] {
            // Good names of servers and platforms, though not of sites.
            if matches!(name, "localhost" | "127.0.0.1") && arguments[0] != "site" {
                continue;
            }
            let told = cli(&stack, &hub, &arguments);
            assert_eq!(told.status.code(), Some(2), "{arguments:?}: {told:?}");
            let shown = String::from_utf8(told.stderr).expect("text");
            assert!(
                shown.chars().all(|c| c == '\n' || !c.is_control()),
                "{shown:?}"
            );
            refused += 1;
        }
        let site = json!({"host": name, "server": SERVER, "profile": "static"});
        let (status, answer) = hub.request("POST", "/v1/sites", Some(&site)).await;
        assert!((400..500).contains(&status), "{name:?}: {status} {answer}");
        assert!(answer["error"]["message"].is_string(), "{answer}");
        refused += 1;
    }
    println!("hostile names refused: {refused}");
    // A NUL cannot stand in an argv, so only the API can be given one.
    let site = json!({"host": "a\0b.org", "server": SERVER, "profile": "static"});
    assert!((400..500).contains(&hub.request("POST", "/v1/sites", Some(&site)).await.0));
    assert_eq!(
        before.difference(&World::of(&stack, SERVER, &[NEIGHBOUR]).await),
        [""; 0]
    );
    worker.stop().await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_body_that_is_too_long_broken_or_no_json_is_answered_with_a_reason() {
    let (_stack, hub, worker) = system().await;
    let client = reqwest::Client::new();
    let token = std::fs::read_to_string(hub.token_file()).expect("a token");
    let bodies = [
        Vec::new(),
        b"{".to_vec(),
        b"null".to_vec(),
        vec![b'['; 100_000],
        vec![0; 512],
        vec![b' '; 64 * 1024 * 1024],
        br#"{"host":"a.example.org","host":"b.example.org","server":"web1","profile":"static"}"#
            .to_vec(),
        br#"{"host":"a.example.org","server":"web1","profile":"static","surprise":1}"#.to_vec(),
    ];
    for body in bodies {
        let length = body.len();
        let answer = client
            .post(format!("{}/v1/sites", hub.url))
            .bearer_auth(token.trim())
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await;
        // A body that is too long may be cut off before it was read to its end.
        let Ok(answer) = answer else {
            assert!(length > 1024 * 1024, "{length} bytes: no answer");
            continue;
        };
        let status = answer.status().as_u16();
        assert!((400..500).contains(&status), "{length} bytes: {status}");
        let told: serde_json::Value = answer.json().await.expect("JSON");
        assert!(told["error"]["code"].is_string(), "{told}");
    }
    for token in [None, Some("wrong"), Some("")] {
        let mut request = client.get(format!("{}/v1/sites", hub.url));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let status = request.send().await.expect("an answer").status().as_u16();
        assert_eq!(status, 401);
    }
    worker.stop().await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_profile_with_a_broken_vhost_fails_alone_and_its_neighbour_answers_all_the_time() {
    let (stack, hub, worker) = system().await;
    worker.stop().await;
    let folder = stack.spoke(SERVER, "profiles").join("broken");
    std::fs::create_dir_all(&folder).expect("a folder");
    let manifest = "name = \"broken\"\ndescription = \"A vhost that nginx refuses\"\n\
        [[directories]]\npath = \"docroot\"\nmode = \"0750\"\nweb = \"read\"\n\
        [vhost]\ntemplate = \"vhost.conf\"\n[healthy]\npath = \"/\"\nstatus = 200\n";
    std::fs::write(folder.join("profile.toml"), manifest).expect("written");
    std::fs::write(
        folder.join("vhost.conf"),
        "server { this is no directive }\n",
    )
    .expect("written");
    let worker = Worker::start(&stack, SERVER, &Orders::default()).await;
    let before = World::of(&stack, SERVER, &[NEIGHBOUR, "broken.kolga.test"]).await;

    let port = stack.http_port(SERVER);
    let watching = tokio::spawn(async move {
        // A connection for each request: on one that is kept a request can cross nginx's good-bye to it,
        // which says nothing about the site.
        let client = reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            .build()
            .expect("a client");
        let (mut good, mut bad) = (0, 0);
        loop {
            let asked = client
                .get(format!("http://127.0.0.1:{port}/"))
                .header("host", NEIGHBOUR)
                .send();
            match asked.await {
                Ok(answer) if answer.status().is_success() => good += 1,
                other => {
                    println!("the neighbour: {other:?}");
                    bad += 1;
                }
            }
            if ENOUGH.load(std::sync::atomic::Ordering::Relaxed) {
                return (good, bad);
            }
        }
    });
    for _ in 0..3 {
        let task = hub
            .install(SERVER, "broken.kolga.test", "broken", None)
            .await;
        let shown = hub.ended(&task).await;
        assert_eq!(shown["state"], "failed", "{shown:#}");
        let why = shown["failure"]["message"].as_str().expect("a reason");
        assert!(
            why.contains("broken.kolga.test"),
            "it names the site: {why}"
        );
    }
    // And what is right goes on working beside it.
    let task = hub.install(SERVER, "fine.kolga.test", "static", None).await;
    hub.succeeds(&task).await;
    let task = hub.delete("fine.kolga.test").await;
    hub.succeeds(&task).await;
    ENOUGH.store(true, std::sync::atomic::Ordering::Relaxed);
    let (good, bad) = watching.await.expect("watched");
    println!("the neighbour answered {good} times, and failed to {bad} times");
    assert!(good > 50 && bad == 0);

    let after = World::of(&stack, SERVER, &[NEIGHBOUR, "broken.kolga.test"]).await;
    // The first deletion of all makes the folder for trash.
    let left: Vec<String> = before
        .difference(&after)
        .into_iter()
        .filter(|line| !line.contains("/.trash "))
        .collect();
    assert!(left.is_empty(), "{}", left.join("\n"));
    std::fs::remove_dir_all(folder).expect("removed");
    worker.stop().await;
}

static ENOUGH: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_is_there_already_and_not_ours_is_refused_and_left_as_it_was() {
    let (stack, hub, worker) = system().await;
    let host = "taken.kolga.test";
    let name = kolga_protocol::names::DatabaseName::for_site(&host.parse().expect("a name"));
    let folder = stack.spoke(SERVER, "sites_root").join(host);
    let conf = stack
        .spoke(SERVER, "config")
        .parent()
        .expect("a folder")
        .join("conf/sites.d");
    let vhost = conf.join(format!("{host}.conf"));

    for what in ["folder", "database", "user", "vhost"] {
        let mut server = maria(&stack).await;
        let run = async |server: &mut sqlx::MySqlConnection, sql: String| {
            sqlx::query(sqlx::AssertSqlSafe(sql))
                .execute(server)
                .await
                .expect("done");
        };
        match what {
            "folder" => {
                std::fs::create_dir(&folder).expect("planted");
                std::fs::write(folder.join("precious"), "not yours").expect("planted");
            }
            "database" => {
                run(&mut server, format!("CREATE DATABASE `{name}`")).await;
                run(
                    &mut server,
                    format!("CREATE TABLE `{name}`.precious (a INT)"),
                )
                .await;
            }
            "user" => run(&mut server, format!("CREATE USER `{name}`@localhost")).await,
            _ => std::fs::write(&vhost, "# not yours\n").expect("planted"),
        }
        let before = World::of(&stack, SERVER, &[NEIGHBOUR, host]).await;
        let task = hub.install(SERVER, host, "php", None).await;
        let shown = hub.ended(&task).await;
        assert_eq!(shown["state"], "failed", "{what}: {shown:#}");
        let after = World::of(&stack, SERVER, &[NEIGHBOUR, host]).await;
        assert_eq!(before.difference(&after), [""; 0], "{what} was touched");
        match what {
            "folder" => std::fs::remove_dir_all(&folder).expect("removed"),
            "database" => run(&mut server, format!("DROP DATABASE `{name}`")).await,
            "user" => run(&mut server, format!("DROP USER `{name}`@localhost")).await,
            _ => std::fs::remove_file(&vhost).expect("removed"),
        }
    }
    let task = hub.install(SERVER, host, "php", None).await;
    hub.succeeds(&task).await;
    worker.stop().await;
}

/// What a script of a profile tries, at places that it is told by a file in its site; what came of each.
const TRIES: &str = r#"<?php
$site = json_decode(stream_get_contents(STDIN), true)['site'];
$at = json_decode(file_get_contents("$site/places"), true);
file_put_contents("$site/came", json_encode([
    'write' => (bool) @file_put_contents($at['outside'] . '/written', 'x'),
    'read the configuration' => (bool) @file_get_contents($at['config']),
    'read secrets' => (bool) @file_get_contents($at['secrets']),
    'remove by a link' => @unlink("$site/docroot/link/kept"),
    'write in its own folder' => (bool) @file_put_contents("$site/docroot/own", 'x'),
]));
"#;

/// A profile of the operator's whose command tries all that, confined or not; the folder is gone with it.
struct Trying(std::path::PathBuf);

impl Trying {
    fn new(stack: &Stack, name: &str, confined: bool) -> Self {
        let folder = stack.spoke(SERVER, "profiles").join(name);
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir(&folder).expect("a folder");
        let manifest = format!(
            "name = \"{name}\"\ndescription = \"x\"\nconfined = {confined}\nneeds = {{ php = true }}\n\
             [[directories]]\npath = \"docroot\"\nmode = \"0750\"\nweb = \"read\"\n\
             [commands.tries]\ndescription = \"x\"\nscript = \"tries.php\"\ntimeout_seconds = 60\n\
             [vhost]\ntemplate = \"v.conf\"\n[healthy]\npath = \"/\"\nstatus = 200\n"
        );
        let vhost = "server { listen {{ listen[0] }}; server_name {{ host }}; return 200; }\n";
        for (file, text) in [
            ("profile.toml", &*manifest),
            ("tries.php", TRIES),
            ("v.conf", vhost),
        ] {
            std::fs::write(folder.join(file), text).expect("a file");
        }
        Self(folder)
    }
}

impl Drop for Trying {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_confined_script_gets_at_its_own_site_alone_and_an_unconfined_one_at_all_that_the_worker_may()
 {
    let stack = Stack::load();
    clear(&stack, SERVER).await;
    let _profiles =
        [("loose", false), ("held", true)].map(|(name, it)| Trying::new(&stack, name, it));
    let hub = Hub::with_servers(&stack, &Settings::default(), &[SERVER]).await;
    let worker = Worker::start(&stack, SERVER, &Orders::default()).await;
    let task = hub.install(SERVER, NEIGHBOUR, "php", None).await;
    hub.succeeds(&task).await;
    let outside = std::path::PathBuf::from(stack.text("/dir")).join("outside");
    let secrets = stack.spoke(SERVER, "state_dir").join("secrets");
    let places = json!({
        "outside": outside, "config": stack.spoke(SERVER, "config"),
        "secrets": secrets.join(format!("{NEIGHBOUR}.json")),
    });
    let mine = |path: &std::path::Path| {
        std::os::unix::fs::chown(path, Some(stack.uid()), Some(stack.uid())).expect("the worker's");
    };
    for (profile, reaches) in [("loose", true), ("held", false)] {
        drop(std::fs::remove_dir_all(&outside));
        std::fs::create_dir(&outside).expect("a folder");
        std::fs::write(outside.join("kept"), "x").expect("a file");
        mine(&outside);
        let host = format!("{profile}.kolga.test");
        let task = hub.install(SERVER, &host, profile, None).await;
        hub.succeeds(&task).await;
        let site = stack.spoke(SERVER, "sites_root").join(&host);
        std::fs::write(site.join("places"), places.to_string()).expect("a file");
        std::os::unix::fs::symlink(&outside, site.join("docroot/link")).expect("a link");
        mine(&site.join("places"));
        let body = json!({"kind": "site.run", "params": {"command": "tries"}});
        let request = Request::post(&format!("/v1/sites/{host}/tasks"), body);
        let task = hub.ask(&request).await;
        hub.succeeds(&task).await;
        let came = std::fs::read_to_string(site.join("came")).expect("it ran");
        let came: Value = serde_json::from_str(&came).expect("JSON");
        println!("{profile}: {came}");
        let wanted = json!({
            "write": reaches, "read the configuration": reaches, "read secrets": reaches,
            "remove by a link": reaches, "write in its own folder": true,
        });
        assert_eq!(came, wanted, "{profile}");
        assert_eq!(outside.join("kept").exists(), !reaches, "{profile}");
        let gone = hub.delete(&host).await;
        hub.succeeds(&gone).await;
    }
    std::fs::remove_dir_all(&outside).expect("gone");
    let gone = hub.delete(NEIGHBOUR).await;
    hub.succeeds(&gone).await;
    worker.stop().await;
}
