//! The binary `kolga` against a real hub: `kolga serve` with a store of its own and a broker that is
//! away, so that tasks stay where the hub can still do everything with them by itself.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

const KOLGA: &str = env!("CARGO_BIN_EXE_kolga");

/// A hub that runs; killed and forgotten at the end of its test.
struct Hub {
    child: Child,
    folder: PathBuf,
    url: String,
}

impl Hub {
    fn start(name: &str) -> Self {
        let folder =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for the hub");
        let config = folder.join("hub.toml");
        let text = format!(
            "state_dir = {folder:?}\nlisten = \"127.0.0.1:0\"\n\
             [broker]\nurl = \"amqp://nobody:nothing@127.0.0.1:1/kolga\"\n"
        );
        std::fs::write(&config, text).expect("a configuration");
        let mut child = Command::new(KOLGA)
            .args(["serve", "--config"])
            .arg(&config)
            .env_remove("KOLGA_LOG")
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary under test starts");
        let stderr = child.stderr.take().expect("it is piped");
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        let address = lines
            .by_ref()
            .find_map(|line| {
                let (_, after) = line.split_once("the hub runs address=")?;
                after.split_whitespace().next().map(str::to_owned)
            })
            .expect("the hub says where it listens");
        // Somebody must read on, or the hub would hang on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            folder,
            url: format!("http://{address}"),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(KOLGA);
        command
            .env("KOLGA_HUB", &self.url)
            .env("KOLGA_TOKEN_FILE", self.folder.join("api-token"))
            .env("USER", "tess")
            .args(arguments);
        command
    }

    /// What the command printed, its exit code being as expected.
    fn run(&self, code: i32, arguments: &[&str]) -> (String, String) {
        let output = self.command(arguments).output().expect("kolga runs");
        let (out, err) = told(&output);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {out}{err}"
        );
        (out, err)
    }

    fn json(&self, code: i32, arguments: &[&str]) -> Value {
        let (out, err) = self.run(code, &[&["--json"], arguments].concat());
        serde_json::from_str(&out)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {out}{err}"))
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn told(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_server_is_added_once_and_then_listed() {
    let hub = Hub::start("servers");
    let (out, _) = hub.run(0, &["server", "list"]);
    assert!(out.contains("kolga server add"), "{out}");
    let (out, _) = hub.run(0, &["server", "add", "web1"]);
    assert!(out.contains("kolga server verify web1"), "{out}");
    let (out, _) = hub.run(0, &["server", "list"]);
    assert!(out.contains("web1  never seen"), "{out}");
    assert_eq!(hub.json(0, &["server", "show", "web1"])["name"], "web1");

    let (out, err) = hub.run(1, &["server", "add", "web1"]);
    assert!(out.is_empty() && err.starts_with("error:"), "{out}{err}");
    let refused = hub.json(1, &["server", "show", "web2"]);
    assert!(
        refused["error"]["message"]
            .as_str()
            .is_some_and(|m| m.contains("web2"))
    );
}

#[test]
fn a_task_that_waits_can_be_found_cancelled_and_tried_again() {
    let hub = Hub::start("tasks");
    hub.run(0, &["server", "add", "web1"]);
    let (out, _) = hub.run(0, &["server", "verify", "web1"]);
    assert!(
        out.contains("server.verify on web1") && out.contains("--follow"),
        "{out}"
    );
    let (_, err) = hub.run(1, &["server", "print", "web1", "--lines", "0"]);
    assert!(err.contains("0 is not between 1 and"), "{err}");
    let printing = hub.json(0, &["server", "print", "web1", "--lines", "3"]);
    assert_eq!(printing["task"]["kind"], "server.print");

    let list = hub.json(
        0,
        &["task", "list", "--server", "web1", "--state", "queued"],
    );
    let id = list["items"][0]["id"].as_str().expect("a task").to_owned();
    assert_eq!(list["items"][0]["requested_by"], "tess");
    let end = &id[id.len() - 8..];
    let (out, _) = hub.run(0, &["task", "show", end]);
    assert!(
        out.contains(&id) && out.contains("waits: the broker"),
        "{out}"
    );
    hub.run(0, &["task", "log", end]);

    let (out, _) = hub.run(0, &["task", "cancel", end, "--wait"]);
    assert!(
        out.contains("Cancelled") && out.contains(&format!("kolga task retry {id}")),
        "{out}"
    );
    hub.run(1, &["task", "wait", &id]);
    let (out, _) = hub.run(1, &["task", "log", &id, "--follow"]);
    assert!(out.contains("Cancelled"), "{out}");
    hub.run(1, &["task", "cancel", &id]);

    assert_eq!(hub.json(0, &["task", "retry", end])["task"]["attempt"], 2);
    // What was told of the first attempt does not end the wait for the second.
    let wait = hub
        .command(&["task", "wait", &id, "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("kolga runs");
    hub.run(0, &["task", "cancel", &id, "--wait"]);
    let (code, waited) = ended(wait);
    assert_eq!(code, Some(1));
    assert_eq!(waited["attempt"], 2);
    assert_eq!(waited["state"], "cancelled");
}

/// The exit code and the JSON of a command that runs.
fn ended(mut child: Child) -> (Option<i32>, Value) {
    let stdout = child.stdout.take().expect("it is piped");
    let document = serde_json::from_reader(stdout).expect("one JSON document");
    (child.wait().expect("it ends").code(), document)
}

#[test]
fn a_site_needs_a_server_that_is_known() {
    let hub = Hub::start("sites");
    let install = [
        "site",
        "install",
        "blog.example.org",
        "--server",
        "web9",
        "--profile",
        "static",
    ];
    let refused = hub.json(1, &install);
    assert!(
        refused["error"]["message"]
            .as_str()
            .is_some_and(|m| m.contains("web9")),
        "{refused}"
    );
    let (out, _) = hub.run(0, &["site", "list"]);
    assert!(out.contains("No sites"), "{out}");
    hub.run(1, &["site", "delete", "blog.example.org"]);
}

#[test]
fn a_wrong_token_is_refused_and_a_missing_one_is_a_matter_of_usage() {
    let hub = Hub::start("token");
    let wrong = hub.folder.join("wrong-token");
    std::fs::write(&wrong, "0123456789abcdef\n").expect("a file");
    let wrong = wrong.to_str().expect("a path in UTF-8").to_owned();
    let (_, err) = hub.run(1, &["--token-file", &wrong, "server", "list"]);
    assert!(err.contains("--token-file"), "{err}");
    let (_, err) = hub.run(2, &["--token-file", "/nonexistent", "server", "list"]);
    assert!(
        err.contains("/nonexistent") && err.contains("KOLGA_TOKEN_FILE"),
        "{err}"
    );
}

#[test]
fn the_doctor_says_that_the_broker_is_away_and_what_to_do() {
    let hub = Hub::start("doctor");
    let (out, _) = hub.run(1, &["doctor"]);
    assert!(
        out.contains("FAIL  broker link") && out.contains("broker.url"),
        "{out}"
    );
    assert!(out.contains("ok    token"), "{out}");
    let doctor = hub.json(1, &["doctor"]);
    assert!(
        doctor["database"]
            .as_str()
            .is_some_and(|d| d.contains("SQLite"))
    );
}

#[test]
fn nobody_to_answer_a_ping_is_said_before_anything_is_measured() {
    let hub = Hub::start("bench");
    let (_, err) = hub.run(1, &["bench"]);
    assert!(err.contains("no server is online"), "{err}");
}

#[test]
fn a_long_list_is_read_by_pages_or_whole() {
    let hub = Hub::start("pages");
    for number in 1..=5 {
        hub.run(0, &["server", "add", &format!("web{number}")]);
    }
    let (out, _) = hub.run(0, &["server", "list", "--limit", "2"]);
    assert!(out.contains("web2") && !out.contains("web3"), "{out}");
    assert!(
        out.contains("kolga server list --after web2, or --all"),
        "{out}"
    );
    let (out, _) = hub.run(0, &["server", "list", "--after", "web4"]);
    assert!(out.contains("web5") && !out.contains("web4"), "{out}");
    let names = |arguments: &[&str]| -> Vec<String> {
        let list = hub.json(0, arguments);
        let items = list["items"].as_array().expect("a list");
        let names = items.iter().map(|item| item["name"].as_str());
        names.map(|name| name.expect("a name").to_owned()).collect()
    };
    assert_eq!(
        names(&["server", "list", "--all"]),
        ["web1", "web2", "web3", "web4", "web5"]
    );
    assert_eq!(names(&["server", "list", "--limit", "1"]), ["web1"]);
    assert!(names(&["site", "list", "--all"]).is_empty());
    let (out, _) = hub.run(0, &["task", "list", "--all"]);
    assert!(out.contains("No such tasks"), "{out}");
    hub.run(2, &["task", "list", "--all", "--limit", "3"]);
    hub.run(1, &["platform", "list", "--after", "wp"]);
}

#[test]
fn many_servers_are_one_operation_that_is_listed_shown_and_cancelled() {
    let hub = Hub::start("operations");
    for name in ["web1", "web2", "db1"] {
        hub.run(0, &["server", "add", name]);
    }
    let (out, _) = hub.run(0, &["server", "label", "web2", "zone=north"]);
    assert!(out.contains("zone=north"), "{out}");
    let (out, _) = hub.run(0, &["server", "verify", "--on", "web*", "--dry-run"]);
    assert!(out.contains("2 would be chosen"), "{out}");
    let (out, _) = hub.run(0, &["op", "list"]);
    assert!(out.contains("No operations"), "{out}");
    let (out, _) = hub.run(
        0,
        &["server", "verify", "--label", "zone=north", "--dry-run"],
    );
    assert!(
        out.contains("web2") && out.contains("1 would be chosen"),
        "{out}"
    );

    let started = hub.json(0, &["server", "verify", "web1", "db1", "--at-once", "1"]);
    let id = started["operation"]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let end = &id[id.len() - 8..];
    let (out, _) = hub.run(0, &["operation", "list"]);
    assert!(out.contains(end) && out.contains("server.verify"), "{out}");
    let (out, _) = hub.run(0, &["op", "show", end, "--items", "all"]);
    assert!(out.contains("web1") && out.contains("1 at once"), "{out}");

    // Who stays is told by the exit code whether it can be resumed.
    let watch = hub
        .command(&["--json", "op", "watch", end])
        .stdout(Stdio::piped())
        .spawn()
        .expect("kolga runs");
    hub.run(0, &["op", "cancel", end]);
    let output = watch.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    let last = String::from_utf8_lossy(&output.stdout);
    let last: Value = serde_json::from_str(last.lines().last().expect("a line")).expect("JSON");
    assert_eq!(last["state"], "cancelled");
    assert_eq!(last["counts"]["cancelled"], 2);
    hub.run(1, &["op", "resume", end]);

    for wrong in [
        &["server", "verify"][..],
        &["site", "verify"],
        &["site", "run", "cron"],
        &["site", "run", "a.example.org", "cron", "--all"],
        &[
            "site",
            "migrate",
            "--platform",
            "a",
            "--to",
            "b",
            "--rename",
            "c.example.org",
        ],
        &["platform", "verify"],
        &["platform", "verify", "wp"],
        &["platform", "verify", "wp", "--server", "web1", "--all"],
        &["platform", "verify", "wp", "--platform", "wp"],
        &["platform", "lock"],
        &["platform", "unlock", "wp"],
        &["platform", "lock", "wp", "--server", "web1", "--all"],
        &["platform", "lock", "--all", "--at-once", "2"],
        &["run", "recipe"],
        &["run", "recipe", "--all", "--param", "site=a.example.org"],
        &["op", "start", "ping", "--label", "a=b=c"],
    ] {
        hub.run(2, wrong);
    }
    let none = hub.json(1, &["site", "migrate", "--platform", "old", "--to", "new"]);
    assert_eq!(none["error"]["code"], "nothing_selected");
    for command in ["verify", "lock", "unlock"] {
        let none = hub.json(1, &["platform", command, "wp", "--all"]);
        assert_eq!(none["error"]["code"], "nothing_selected");
    }
    let recipe = ["run", "clear", "--on", "web*", "--dry-run"];
    assert_eq!(
        hub.json(0, &recipe)["targets"].as_array().map(Vec::len),
        Some(2)
    );
}
