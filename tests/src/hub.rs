//! A hub under test, and the HTTP API through which the tests use it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::stack::Stack;
use crate::wait::{HUB, until, until_every};
use crate::worker::Orders;

/// How long a task may take to end.
pub const TASK: Duration = Duration::from_secs(180);

/// How long a hub may take to start.
const START: Duration = Duration::from_secs(30);

/// A running `kolga serve` with a store of its own.
pub struct Hub {
    stack: Stack,
    folder: PathBuf,
    orders: Orders,
    child: Child,
    client: reqwest::Client,
    /// `http://127.0.0.1:port`
    pub url: String,
}

/// A request that asks for a task.
#[derive(Clone, Debug)]
pub struct Request {
    method: &'static str,
    path: String,
    body: Option<Value>,
}

impl Request {
    /// One with a body.
    #[must_use]
    pub fn post(path: &str, body: Value) -> Self {
        let (method, path) = ("POST", path.to_owned());
        let body = Some(body);
        Self { method, path, body }
    }

    /// One that removes.
    #[must_use]
    pub fn delete(path: &str) -> Self {
        let (method, path) = ("DELETE", path.to_owned());
        let body = None;
        Self { method, path, body }
    }
}

/// What differs between hubs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The store's URL; a file of its own where there is none.
    pub store: Option<String>,
    /// Attempts that an interrupted task may have by itself.
    pub attempts: u32,
    /// Seconds before the first of them.
    pub retry_seconds: u32,
    /// Seconds after which a server counts as silent.
    pub silent_seconds: u32,
    /// What it is told to break.
    pub orders: Orders,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            store: None,
            attempts: 1,
            retry_seconds: 1,
            silent_seconds: 60,
            orders: Orders::default(),
        }
    }
}

impl Hub {
    /// Starts a hub with an empty store, and empties the queues that a former one may have left full.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(stack: &Stack, settings: &Settings) -> Self {
        purge(stack).await;
        let folder =
            PathBuf::from(stack.text("/dir")).join(format!("hub-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&folder).expect("a folder");
        let uid = stack.uid();
        std::os::unix::fs::chown(&folder, Some(uid), Some(uid)).expect("given to the hub's user");
        let port = free_port();
        let store = settings
            .store
            .clone()
            .unwrap_or_else(|| format!("sqlite:{}", folder.join("kolga.sqlite").display()));
        let text = format!(
            "state_dir = {:?}\nlisten = \"127.0.0.1:{port}\"\n[store]\nurl = {store:?}\n\
             [broker]\nurl = {:?}\n[tasks]\nattempts = {}\nretry_seconds = {}\nsilent_seconds = {}\n",
            folder.display().to_string(),
            stack.text("/amqp_hub_url"),
            settings.attempts,
            settings.retry_seconds,
            settings.silent_seconds,
        );
        let config = folder.join("hub.toml");
        std::fs::write(&config, text).expect("a configuration");
        std::os::unix::fs::chown(&config, Some(uid), Some(uid)).expect("given to the hub's user");
        // It holds the broker's password.
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&config, private).expect("protected");
        let hub = Self {
            child: spawn(stack, &folder, &settings.orders),
            orders: settings.orders.clone(),
            stack: stack.clone(),
            folder,
            client: reqwest::Client::new(),
            url: format!("http://127.0.0.1:{port}"),
        };
        until("the hub answers", START, async || {
            hub.answers().await.then_some(())
        })
        .await;
        hub
    }

    /// Starts a hub and tells it of these servers.
    pub async fn with_servers(stack: &Stack, settings: &Settings, servers: &[&str]) -> Self {
        let hub = Self::start(stack, settings).await;
        for server in servers {
            hub.post("/v1/servers", &json!({"name": server})).await;
        }
        hub
    }

    async fn answers(&self) -> bool {
        let asked = self.client.get(format!("{}/v1/health", self.url));
        let answer = asked.send().await;
        answer.is_ok_and(|answer| answer.status().is_success()) && self.token().is_some()
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it as a power cut would.
    ///
    /// # Panics
    /// When it has ended already.
    pub fn kill(&mut self) {
        self.child.kill().expect("the hub runs");
        self.child.wait().expect("the hub has ended");
    }

    /// Whether it was ended by SIGKILL.
    ///
    /// # Panics
    /// When it has ended in another way, or the kernel does not tell.
    pub fn was_killed(&mut self) -> bool {
        use std::os::unix::process::ExitStatusExt as _;
        let ended = self.child.try_wait().expect("a child can be asked about");
        let killed = ended.is_none_or(|status| status.signal() == Some(9));
        assert!(killed, "the hub ended by itself: {ended:?}");
        ended.is_some()
    }

    /// Starts it again after it was killed.
    ///
    /// # Panics
    /// When it dies before it answers.
    pub async fn start_again(&mut self) {
        assert!(self.try_start_again().await, "the hub does not start");
    }

    /// The same of one that may be killed before it answers: then not.
    pub async fn try_start_again(&mut self) -> bool {
        self.child = spawn(&self.stack, &self.folder, &self.orders);
        until("the hub answers or dies", START, async || {
            if self.was_killed() {
                return Some(false);
            }
            self.answers().await.then_some(true)
        })
        .await
    }

    /// After how many seconds a server counts as silent from its next start on.
    ///
    /// # Panics
    /// When its configuration cannot be written.
    pub fn set_silent_seconds(&self, seconds: u32) {
        let config = self.folder.join("hub.toml");
        let text = std::fs::read_to_string(&config).expect("a configuration");
        let lines = text
            .lines()
            .map(|line| match line.starts_with("silent_seconds") {
                true => format!("silent_seconds = {seconds}\n"),
                false => format!("{line}\n"),
            });
        std::fs::write(&config, lines.collect::<String>()).expect("a configuration");
    }

    fn token(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.folder.join("api-token")).ok()?;
        Some(text.trim().to_owned())
    }

    /// The file that the command line takes the token from.
    #[must_use]
    pub fn token_file(&self) -> PathBuf {
        self.folder.join("api-token")
    }

    /// The folder with its store.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// A request; the status and the JSON of the answer.
    ///
    /// # Panics
    /// When the hub does not answer with JSON.
    pub async fn request(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let answer = self.try_request(method, path, body).await;
        answer.expect("the hub answers with JSON")
    }

    /// The same of a hub that may be dead: nothing when it does not answer to the end.
    ///
    /// # Panics
    /// When there is no such method, or the hub has never run.
    pub async fn try_request(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Option<(u16, Value)> {
        let method = method.parse().expect("a method");
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(self.token().expect("a token"));
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.json().await.ok()?))
    }

    /// Asks for a task; its id.
    ///
    /// # Panics
    /// When the hub refuses or does not answer.
    pub async fn ask(&self, request: &Request) -> String {
        self.try_ask(request).await.expect("the hub answers")
    }

    /// The same of a hub that may die of it.
    ///
    /// # Panics
    /// When the hub refuses.
    pub async fn try_ask(&self, request: &Request) -> Option<String> {
        let Request { method, path, body } = request;
        let (status, answer) = self.try_request(method, path, body.as_ref()).await?;
        let taken = (200..300).contains(&status);
        assert!(taken, "{method} {path} {body:?}: {status} {answer}");
        let id = answer["task"]["id"]
            .as_str()
            .or(answer["tasks"][0].as_str());
        Some(id.expect("an id").to_owned())
    }

    /// The task that was asked for last, if any.
    ///
    /// # Panics
    /// When the hub does not answer.
    pub async fn newest_task(&self) -> Option<String> {
        self.try_newest_task().await.expect("the hub answers")
    }

    /// The same of a hub that may be dead: nothing when it does not answer.
    pub async fn try_newest_task(&self) -> Option<Option<String>> {
        let (_, tasks) = self.try_request("GET", "/v1/tasks?limit=1", None).await?;
        Some(tasks["items"][0]["id"].as_str().map(str::to_owned))
    }

    /// Reads.
    ///
    /// # Panics
    /// When the hub refuses.
    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.request("GET", path, None).await;
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    /// Reads what is no JSON.
    ///
    /// # Panics
    /// When the hub refuses.
    pub async fn text(&self, path: &str) -> String {
        let request = self
            .client
            .get(format!("{}{path}", self.url))
            .bearer_auth(self.token().expect("a token"));
        let answer = request.send().await.expect("the hub answers");
        assert_eq!(answer.status().as_u16(), 200, "GET {path}");
        answer.text().await.expect("text")
    }

    /// Asks for something new.
    ///
    /// # Panics
    /// When the hub refuses.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.request("POST", path, Some(body)).await;
        assert!(
            (200..300).contains(&status),
            "POST {path} {body}: {status} {answer}"
        );
        answer
    }

    /// Asks for a site; the task.
    pub async fn install(
        &self,
        server: &str,
        host: &str,
        profile: &str,
        platform: Option<&str>,
    ) -> String {
        let site = json!({
            "host": host, "server": server, "profile": profile, "platform": platform,
            "aliases": [], "options": {},
        });
        task_of(&self.post("/v1/sites", &site).await)
    }

    /// Asks for a site's removal; the task.
    ///
    /// # Panics
    /// When the hub refuses.
    pub async fn delete(&self, host: &str) -> String {
        let path = format!("/v1/sites/{host}?no_backup=true");
        let (status, answer) = self.request("DELETE", &path, None).await;
        assert!(
            (200..300).contains(&status),
            "DELETE {path}: {status} {answer}"
        );
        task_of(&answer)
    }

    /// Asks for a platform; the task.
    pub async fn build(&self, server: &str, name: &str, profile: &str, source: &str) -> String {
        let platform =
            json!({"name": name, "server": server, "profile": profile, "source": source});
        task_of(&self.post("/v1/platforms", &platform).await)
    }

    /// Asks for a task of any type; its id.
    ///
    /// # Panics
    /// When the hub refuses.
    pub async fn task(&self, server: &str, kind: &str, params: Value) -> String {
        let task = json!({"server": server, "kind": kind, "params": params});
        let answer = self.post("/v1/tasks", &task).await;
        answer["tasks"][0].as_str().expect("an id").to_owned()
    }

    /// A task as it stands.
    pub async fn show(&self, task: &str) -> Value {
        self.get(&format!("/v1/tasks/{task}")).await
    }

    /// Waits until nothing more happens to a task by itself.
    pub async fn ended(&self, task: &str) -> Value {
        until_every(HUB, &format!("task {task} ends"), TASK, async || {
            let shown = self.show(task).await;
            (shown["finished"] == true).then_some(shown)
        })
        .await
    }

    /// Waits until a task is in this state.
    pub async fn reaches(&self, task: &str, state: &str) -> Value {
        until_every(HUB, &format!("task {task} is {state}"), TASK, async || {
            let shown = self.show(task).await;
            (shown["state"] == state).then_some(shown)
        })
        .await
    }

    /// Waits for success.
    ///
    /// # Panics
    /// When it does not succeed.
    pub async fn succeeds(&self, task: &str) -> Value {
        let shown = self.ended(task).await;
        assert_eq!(shown["state"], "succeeded", "{shown:#}");
        shown
    }

    /// The lines of a task's log.
    ///
    /// # Panics
    /// When the hub does not give it.
    pub async fn log(&self, task: &str) -> Vec<String> {
        let log = self.get(&format!("/v1/tasks/{task}/log?limit=1000")).await;
        let items = log["items"].as_array().expect("a list").clone();
        items
            .iter()
            .flat_map(|entry| entry["text"].as_str().expect("a text").split('\n'))
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn task_of(answer: &Value) -> String {
    answer["task"]["id"].as_str().expect("an id").to_owned()
}

fn spawn(stack: &Stack, folder: &std::path::Path, orders: &Orders) -> Child {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("hub.log"))
        .expect("a log");
    let mut command = stack.program("kolga");
    orders.to(&mut command);
    command
        .args(["serve", "--config"])
        .arg(folder.join("hub.toml"))
        .stdin(Stdio::null())
        .stderr(log.try_clone().expect("a log"))
        .stdout(log)
        .spawn()
        .expect("kolga starts")
}

/// A port that is free now, and that no other test of this process was given.
fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
        if given.insert(port) {
            return port;
        }
    }
}

/// Empties every queue of the system, so that a test begins with nothing on its way.
///
/// # Panics
/// When the broker is not there.
pub async fn purge(stack: &Stack) {
    let connection = broker(stack).await;
    for queue in [
        "tasks.web1",
        "control.web1",
        "tasks.web2",
        "control.web2",
        "hub.reports",
        "hub.heartbeats",
        "kolga.dead",
    ] {
        // A queue that is not there closes the channel; the next one gets a new one.
        let channel = connection.create_channel().await.expect("a channel");
        drop(
            channel
                .queue_purge(queue.into(), lapin::options::QueuePurgeOptions::default())
                .await,
        );
    }
    drop(connection.close(200, "done".into()).await);
}

/// A connection to the broker with the hub's rights.
///
/// # Panics
/// When the broker does not let us in.
pub async fn broker(stack: &Stack) -> lapin::Connection {
    lapin::Connection::connect(
        stack.text("/amqp_hub_url"),
        lapin::ConnectionProperties::default(),
    )
    .await
    .expect("the broker")
}
