//! A spoke with pools, and a page in each of its sites that tries what it is told to.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use kolga_tests::furnish::write;
use kolga_tests::hub::{Hub, Request, Settings};
use kolga_tests::scenario::SERVER;
use kolga_tests::stack::Stack;
use kolga_tests::worker::{Orders, Worker};
use kolga_tests::world::{cheapen, clear};
use kolga_worker::files::user_id;
use serde_json::{Value, json};

const PROBE: &[u8] = include_bytes!("probe.php");

pub struct Scene {
    pub stack: Stack,
    pub hub: Hub,
    pub worker: Worker,
    client: reqwest::Client,
}

impl Scene {
    /// On a spoke that keeps its trash for so many days.
    pub async fn new(days: i64) -> Self {
        let stack = Stack::load();
        clear(&stack, SERVER).await;
        let stack = stack.with_setting(SERVER, "trash", "keep_days", days.into());
        let hub = Hub::with_servers(&stack, &Settings::default(), &[SERVER]).await;
        let worker = Worker::start(&stack, SERVER, &Orders::default()).await;
        Self {
            stack,
            hub,
            worker,
            client: reqwest::Client::new(),
        }
    }

    /// Asks for a site; the task.
    pub async fn ask(&self, host: &str, own: bool) -> String {
        let options = if own {
            json!({"pool": "own"})
        } else {
            json!({})
        };
        let body = json!({"host": host, "server": SERVER, "profile": "php", "options": options});
        self.hub.ask(&Request::post("/v1/sites", body)).await
    }

    /// A site with the probe in it.
    pub async fn install(&self, host: &str, own: bool) -> PathBuf {
        let task = self.ask(host, own).await;
        self.hub.succeeds(&task).await;
        self.probe(host)
    }

    /// Puts the probe into a site.
    pub fn probe(&self, host: &str) -> PathBuf {
        let folder = self.folder(host);
        let page = folder.join("docroot/probe.php");
        write(&page, PROBE, 0o640, self.stack.uid());
        folder
    }

    pub fn folder(&self, host: &str) -> PathBuf {
        self.stack.spoke(SERVER, "sites_root").join(host)
    }

    /// What its PHP could do.
    pub async fn tries(&self, host: &str, what: &str, at: impl AsRef<Path>) -> Value {
        let asked = [("what", what), ("at", at.as_ref().to_str().expect("text"))];
        self.tries_within(host, &asked, Duration::from_secs(30))
            .await
            .expect("an answer")
    }

    /// The same with all arguments, if it answers in time.
    pub async fn tries_within(
        &self,
        host: &str,
        asked: &[(&str, &str)],
        limit: Duration,
    ) -> Option<Value> {
        let url = format!(
            "http://127.0.0.1:{}/probe.php",
            self.stack.http_port(SERVER)
        );
        let url = reqwest::Url::parse_with_params(&url, asked).expect("an address");
        let request = self.client.get(url).header("host", host).timeout(limit);
        let text = request.send().await.ok()?.text().await.ok()?;
        Some(serde_json::from_str(&text).unwrap_or_else(|_| panic!("{asked:?}: {text}")))
    }

    /// As whom its PHP runs.
    pub async fn user(&self, host: &str) -> u32 {
        let told = self.tries(host, "who", "").await;
        u32::try_from(told.as_u64().expect("a number")).expect("a user")
    }

    /// The user of a site's pool, as its worker's book has it.
    pub fn pool_user(&self, host: &str) -> u32 {
        let book = self.stack.spoke(SERVER, "state_dir").join("sites");
        let entry = std::fs::read(book.join(format!("{host}.json"))).expect("an entry");
        let entry: Value = serde_json::from_slice(&entry).expect("JSON");
        user_id(entry["pool"].as_str().expect("a pool")).expect("a user")
    }

    /// The name of the pool whose user has this number.
    pub fn pool_of(&self, user: u32) -> String {
        let pools = pools(&self.stack).into_iter();
        let mut of = pools.filter(|pool| user_id(pool).expect("a user") == user);
        of.next().expect("a pool")
    }

    pub async fn on_site(&self, host: &str, kind: &str, params: Value) -> Value {
        let body = json!({"kind": kind, "params": params});
        let request = Request::post(&format!("/v1/sites/{host}/tasks"), body);
        let ended = self.hub.ended(&self.hub.ask(&request).await).await;
        assert_eq!(ended["state"], "succeeded", "{ended:#}");
        if kind == "site.backup" {
            cheapen(&self.stack, SERVER);
        }
        ended["output"].clone()
    }

    pub async fn delete(&self, host: &str) {
        let task = self.hub.delete(host).await;
        self.hub.succeeds(&task).await;
    }

    pub fn pools_folder(&self) -> PathBuf {
        self.stack.spoke(SERVER, "pools")
    }

    pub async fn end(self, hosts: &[&str]) {
        for host in hosts {
            self.delete(host).await;
        }
        self.worker.stop().await;
    }
}

/// The users of all pools, as the spoke's configuration has them.
pub fn pools(stack: &Stack) -> Vec<String> {
    let text = std::fs::read_to_string(stack.spoke(SERVER, "config")).expect("read");
    let config: toml::Table = text.parse().expect("TOML");
    let users = config["pools"]["users"].as_array().expect("a list");
    users
        .iter()
        .map(|user| user.as_str().expect("text").to_owned())
        .collect()
}

/// Something run as a user of the machine.
pub fn run_as(user: &str, argv: &[&str]) -> Output {
    Command::new("/usr/bin/setpriv")
        .args([
            "--reuid",
            user,
            "--regid",
            user,
            "--init-groups",
            "--inh-caps=-all",
            "--",
        ])
        .args(argv)
        .current_dir("/")
        .output()
        .expect("it runs")
}

/// Processes of a user that are alive.
pub fn processes_of(user: u32) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let field = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap_or_default()
        };
        let is_dead = field("State:").trim().starts_with('Z');
        let real = field("Uid:")
            .split_whitespace()
            .next()
            .and_then(|uid| uid.parse().ok());
        if real == Some(user) && !is_dead {
            found.extend(
                entry
                    .file_name()
                    .to_str()
                    .and_then(|pid| pid.parse::<u32>().ok()),
            );
        }
    }
    found
}
