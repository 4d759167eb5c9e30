//! What the tests of moves share: two spokes that keep their backups in one repository, a hub, and visitors of both.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kolga_tests::hub::{Hub, Request, Settings, TASK};
use kolga_tests::orders::Hand;
use kolga_tests::stack::Stack;
use kolga_tests::wait::{HUB, until_every};
use kolga_tests::worker::Worker;
use kolga_tests::world::{cheapen, clear, repository};
use serde_json::{Value, json};

pub const FROM: &str = "web1";
pub const TO: &str = "web2";
/// The first page of a PHP site.
pub const HEALTHY: &str = "made by Kolga";

/// Two spokes and a hub.
pub struct Scene {
    pub stack: Stack,
    pub hub: Hub,
    /// What the hub is told to break.
    pub hand: Hand,
    /// Those of the two spokes, and what they are told to break.
    pub workers: Vec<Worker>,
    pub hands: [Hand; 2],
}

/// A spoke whose backups lie where the other's do.
fn with_one_repository(stack: &Stack) -> Stack {
    let repository = repository(stack, FROM).display().to_string();
    let password = stack.spoke(FROM, "config");
    let password = password.with_file_name("backup-password");
    let password = password.display().to_string();
    stack
        .with_setting(TO, "backups", "repository", repository.into())
        .with_setting(TO, "backups", "password_file", password.into())
}

/// A folder with all that is in it, whose it is and how.
fn copy(from: &std::path::Path, to: &std::path::Path) {
    let copied = std::process::Command::new("/bin/cp")
        .arg("-a")
        .args([from, to])
        .status();
    assert!(copied.expect("cp runs").success(), "{}", to.display());
}

impl Scene {
    /// Two spokes with nothing on them, that keep a trash.
    pub async fn new(settings: Settings) -> Self {
        let stack = Stack::load();
        for server in [FROM, TO] {
            clear(&stack, server).await;
        }
        let stack = with_one_repository(&stack)
            .with_setting(FROM, "trash", "keep_days", 14.into())
            .with_setting(TO, "trash", "keep_days", 14.into());
        let mut hand = Hand::new();
        hand.calm();
        let settings = Settings {
            orders: hand.orders(),
            ..settings
        };
        let hub = Hub::with_servers(&stack, &settings, &[FROM, TO]).await;
        let mut hands = [Hand::new(), Hand::new()];
        hands.iter_mut().for_each(Hand::calm);
        let workers = vec![
            Worker::start(&stack, FROM, &hands[0].orders()).await,
            Worker::start(&stack, TO, &hands[1].orders()).await,
        ];
        let scene = Self {
            stack,
            hub,
            hand,
            workers,
            hands,
        };
        scene.make_repository().await;
        scene
    }

    /// One whose key costs nothing, so that the tests are about something else; the first test makes it, for all.
    async fn make_repository(&self) {
        static MADE: AtomicBool = AtomicBool::new(false);
        let repository = repository(&self.stack, FROM);
        let kept = PathBuf::from(self.stack.text("/dir")).join("repository-of-moves");
        if MADE.load(Ordering::Relaxed) {
            return copy(&kept, &repository);
        }
        let host = "first.kolga.test";
        self.install(FROM, host, "static", None).await;
        let ended = self.on_site(host, "site.backup", json!({})).await;
        assert_eq!(ended["state"], "succeeded", "{ended:#}");
        cheapen(&self.stack, FROM);
        let task = self.hub.delete(host).await;
        self.hub.succeeds(&task).await;
        drop(std::fs::remove_dir_all(&kept));
        copy(&repository, &kept);
        MADE.store(true, Ordering::Relaxed);
    }

    pub async fn install(&self, server: &str, host: &str, profile: &str, platform: Option<&str>) {
        self.install_with(server, host, profile, platform, json!({}))
            .await;
    }

    /// The same with options.
    pub async fn install_with(
        &self,
        server: &str,
        host: &str,
        profile: &str,
        platform: Option<&str>,
        options: Value,
    ) {
        let site = json!({
            "host": host, "server": server, "profile": profile, "platform": platform, "options": options,
        });
        let task = self.hub.ask(&Request::post("/v1/sites", site)).await;
        self.hub.succeeds(&task).await;
    }

    pub fn folder(&self, server: &str, host: &str) -> PathBuf {
        self.stack.spoke(server, "sites_root").join(host)
    }

    pub async fn on_site(&self, host: &str, kind: &str, params: Value) -> Value {
        let body = json!({"kind": kind, "params": params});
        let request = Request::post(&format!("/v1/sites/{host}/tasks"), body);
        self.hub.ended(&self.hub.ask(&request).await).await
    }

    pub async fn site(&self, host: &str) -> Value {
        self.hub.get(&format!("/v1/sites/{host}")).await
    }

    /// Asks for a move; the operation's path.
    pub async fn asks(&self, host: &str, to: &str) -> String {
        let path = format!("/v1/sites/{host}/move");
        let answer = self.hub.post(&path, &json!({"server": to})).await;
        let id = answer["operation"]["id"].as_str().expect("an id");
        format!("/v1/operations/{id}")
    }

    /// Waits until nothing more happens to an operation by itself.
    pub async fn over(&self, path: &str) -> Value {
        until_every(HUB, &format!("{path} is over"), TASK, async || {
            let shown = self.hub.get(path).await;
            let over = shown["state"] == "finished" || shown["state"] == "cancelled";
            over.then_some(shown)
        })
        .await
    }

    /// Waits until an operation stands like this.
    pub async fn comes_to(&self, path: &str, state: &str) {
        until_every(HUB, &format!("{path} is {state}"), TASK, async || {
            (self.hub.get(path).await["state"] == state).then_some(())
        })
        .await;
    }

    pub async fn stages(&self, path: &str) -> Vec<Value> {
        let items = self.hub.get(&format!("{path}/items")).await;
        items["items"].as_array().expect("a list").clone()
    }

    /// Moves a site, which succeeds.
    pub async fn moves(&self, host: &str, to: &str) -> Value {
        let path = self.asks(host, to).await;
        let over = self.over(&path).await;
        let stages = self.stages(&path).await;
        assert_eq!(over["counts"]["succeeded"], 5, "{over:#} {stages:#?}");
        assert_eq!(self.site(host).await["server"], to);
        over
    }

    /// What the spoke's own book says of a site.
    pub fn entry(&self, server: &str, host: &str) -> Option<Value> {
        let book = self.stack.spoke(server, "state_dir").join("sites");
        let text = std::fs::read(book.join(format!("{host}.json"))).ok()?;
        Some(serde_json::from_slice(&text).expect("JSON"))
    }

    pub fn database(&self, server: &str, host: &str) -> String {
        let entry = self.entry(server, host).expect("it is there");
        entry["database"].as_str().expect("it has one").to_owned()
    }

    pub fn visitor(&self, server: &str) -> Visitor {
        Visitor {
            client: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .pool_max_idle_per_host(0)
                .timeout(Duration::from_secs(30))
                .build()
                .expect("a client"),
            at: format!("127.0.0.1:{}", self.stack.http_port(server)),
            named: self.stack.http_port(server),
        }
    }

    /// The site answers on that server, is held nowhere, and has left nothing where it is not.
    pub async fn is_only_on(&self, server: &str, host: &str, text: &str) {
        let other = if server == FROM { TO } else { FROM };
        let site = self.site(host).await;
        assert_eq!(
            (&site["server"], &site["condition"]),
            (&json!(server), &json!("ready")),
            "{site:#}"
        );
        let (status, page) = self.visitor(server).get(host, "/").await.expect("it");
        assert!(status == 200 && page.contains(text), "{status} {page}");
        let (status, _) = self.visitor(other).get(host, "/").await.expect("it");
        assert_eq!(status, 404, "{other} serves nothing of that name");
        let entry = self.entry(server, host).expect("the book knows it");
        assert_eq!(entry["held"], Value::Null, "{entry:#}");
        assert_eq!(self.entry(other, host), None);
        assert!(!self.folder(other, host).exists());
        let verified = self.on_site(host, "site.verify", json!({})).await;
        assert_eq!(verified["output"]["changes"], json!([]), "{verified:#}");
        assert_eq!(verified["output"]["problems"], json!([]), "{verified:#}");
    }

    pub async fn end(self) {
        for worker in self.workers {
            worker.stop().await;
        }
        drop(std::fs::remove_dir_all(repository(&self.stack, FROM)));
    }

    /// Ends the worker of a server, and starts it again with another configuration.
    pub async fn restart_with(&mut self, at: usize, change: impl FnOnce(&Stack) -> Stack) {
        self.workers.remove(at).stop().await;
        self.stack = change(&self.stack);
        let server = [FROM, TO][at];
        let worker = Worker::start(&self.stack, server, &self.hands[at].orders()).await;
        self.workers.insert(at, worker);
    }

    /// Starts a worker again that was killed.
    pub async fn start_again(&mut self, at: usize) {
        let server = [FROM, TO][at];
        self.workers[at] = Worker::start(&self.stack, server, &self.hands[at].orders()).await;
    }
}

/// Somebody with a browser, for whom names lead to one server.
#[derive(Clone)]
pub struct Visitor {
    client: reqwest::Client,
    /// Where that server listens.
    pub at: String,
    /// The port in the address of its sites.
    pub named: u16,
}

impl Visitor {
    pub async fn get(&self, host: &str, path: &str) -> reqwest::Result<(u16, String)> {
        self.get_as(host, path, "").await
    }

    pub async fn get_as(
        &self,
        host: &str,
        path: &str,
        cookies: &str,
    ) -> reqwest::Result<(u16, String)> {
        let url = format!("http://{}{path}", self.at);
        let request = self.client.get(url).header("cookie", cookies);
        let request = request.header("host", format!("{host}:{}", self.named));
        let answer = request.send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// Logs in at a WordPress; the cookies.
    pub async fn log_in(&self, host: &str, password: &str) -> Option<String> {
        let form = format!("log=admin&pwd={password}&wp-submit=x");
        let url = format!("http://{}/wp-login.php", self.at);
        let request = self.client.post(url).body(form);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let request = request.header("host", format!("{host}:{}", self.named));
        let answer = request.send().await.expect("an answer");
        let set = answer.headers().get_all("set-cookie").iter();
        let cookies: Vec<String> = set
            .filter_map(|cookie| Some(cookie.to_str().ok()?.split(';').next()?.to_owned()))
            .collect();
        let is_in = cookies.iter().any(|cookie| cookie.contains("logged_in"));
        is_in.then(|| cookies.join("; "))
    }
}

/// What visitors of a site that moves have met.
#[derive(Debug, Default)]
pub struct Seen {
    pub visits: usize,
    /// Answers of the site where it was, and where it comes to.
    pub here: usize,
    pub there: usize,
    /// Answers that ask to come back in a moment, and how long they were the only ones.
    pub waits: usize,
    pub millis: u128,
    pub wrong: Vec<String>,
}

/// Asks both servers for a site again and again: the one that had it first.
pub async fn watch(
    from: Visitor,
    to: Visitor,
    host: &'static str,
    page: &'static str,
    stop: Arc<AtomicBool>,
) -> Seen {
    let (mut seen, mut gap) = (Seen::default(), None::<std::time::Instant>);
    while !stop.load(Ordering::Relaxed) {
        seen.visits += 1;
        let (first, second) = (from.get(host, "/").await, to.get(host, "/").await);
        let (Ok(first), Ok(second)) = (&first, &second) else {
            seen.wrong.push(format!("{first:?} {second:?}"));
            continue;
        };
        let serves = |answer: &(u16, String)| answer.0 == 200 && answer.1.contains(page);
        match (first.0, second.0) {
            (200, 404) if serves(first) => seen.here += 1,
            (503, 404) => seen.waits += 1,
            // Made there, and not yet given up here.
            (503, 200) if serves(second) => seen.there += 1,
            (404, 200) if serves(second) => seen.there += 1,
            other => seen.wrong.push(format!("{other:?}")),
        }
        match (first.0, second.0) {
            (503, 404) => drop(gap.get_or_insert_with(std::time::Instant::now)),
            _ => seen.millis += gap.take().map_or(0, |began| began.elapsed().as_millis()),
        }
    }
    seen
}

/// Asks a neighbour for its page again and again; how often, and what was wrong with an answer.
pub async fn visit(
    visitor: Visitor,
    host: &'static str,
    stop: Arc<AtomicBool>,
) -> (usize, Vec<String>) {
    let (mut visits, mut wrong) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        visits += 1;
        match visitor.get(host, "/").await {
            Ok((200, page)) if page.contains(HEALTHY) => {}
            Ok((status, page)) => wrong.push(format!("{status}, {} bytes", page.len())),
            Err(error) => wrong.push(error.to_string()),
        }
    }
    (visits, wrong)
}
