//! Operations over sites on two spokes, over the whole system: the hub dies in their middle, tasks of theirs fail, they
//! are stopped, resumed and cancelled.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kolga_tests::hub::{Hub, Settings, TASK};
use kolga_tests::orders::Hand;
use kolga_tests::stack::Stack;
use kolga_tests::wait::{HUB, until, until_every};
use kolga_tests::worker::{Orders, Worker};
use kolga_tests::world::clear;
use serde_json::{Value, json};

const SERVERS: [&str; 2] = ["web1", "web2"];
const SITES: usize = 6;
/// How long the hub may take to come to the point at which it is killed.
const FIRED: Duration = Duration::from_secs(60);

struct Scene {
    stack: Stack,
    hub: Hub,
    hand: Hand,
    workers: Vec<Worker>,
}

impl Scene {
    /// Two spokes with nothing on them.
    async fn empty() -> Self {
        let stack = Stack::load();
        for server in SERVERS {
            clear(&stack, server).await;
        }
        let mut hand = Hand::new();
        hand.calm();
        let settings = Settings {
            orders: hand.orders(),
            ..Settings::default()
        };
        let hub = Hub::with_servers(&stack, &settings, &SERVERS).await;
        let mut scene = Self {
            stack,
            hub,
            hand,
            workers: Vec::new(),
        };
        scene.start_workers().await;
        scene
    }

    /// Sites on two spokes, every other on each.
    async fn new() -> Self {
        let scene = Self::empty().await;
        let mut tasks = Vec::new();
        for number in 0..SITES {
            let (server, host) = (SERVERS[number % 2], format!("site{number}.kolga.test"));
            tasks.push(scene.hub.install(server, &host, "static", None).await);
        }
        for task in tasks {
            scene.hub.succeeds(&task).await;
        }
        scene
    }

    async fn start_workers(&mut self) {
        for server in SERVERS {
            let worker = Worker::start(&self.stack, server, &Orders::default()).await;
            self.workers.push(worker);
        }
    }

    async fn stop_workers(&mut self) {
        for worker in self.workers.drain(..) {
            worker.stop().await;
        }
    }

    /// Starts an operation; its path.
    async fn start(&self, wish: Value) -> String {
        let answer = self.hub.post("/v1/operations", &wish).await;
        let id = answer["operation"]["id"].as_str().expect("an id");
        format!("/v1/operations/{id}")
    }

    /// Waits until nothing more happens to an operation by itself, or something else is true of it.
    async fn reaches(&self, path: &str, states: &[&str]) -> Value {
        let what = format!("{path} is {states:?}");
        until_every(HUB, &what, TASK, async || {
            let shown = self.hub.get(path).await;
            let state = shown["state"].as_str().expect("a state");
            states.contains(&state).then_some(shown)
        })
        .await
    }

    async fn items(&self, path: &str) -> Vec<Value> {
        let items = self.hub.get(&format!("{path}/items")).await;
        items["items"].as_array().expect("a list").clone()
    }

    /// The newest operation's path, if there is one.
    async fn newest(&self) -> Option<String> {
        let list = self.hub.get("/v1/operations?limit=1").await;
        let id = list["items"][0]["id"].as_str()?;
        Some(format!("/v1/operations/{id}"))
    }

    /// Each item has a task of its own, which succeeded in its first attempt; no other task was made.
    async fn each_has_one(&self, path: &str, items: usize) {
        let over = self.hub.get(path).await;
        assert_eq!(over["counts"]["succeeded"], items, "{over:#}");
        let shown = self.items(path).await;
        let tasks: BTreeSet<&str> = shown
            .iter()
            .filter_map(|item| item["task"].as_str())
            .collect();
        assert_eq!(tasks.len(), items, "each has a task of its own");
        for task in tasks {
            let shown = self.hub.show(task).await;
            assert_eq!(shown["state"], "succeeded");
            let attempts = shown["attempts"].as_array().map(Vec::len);
            assert_eq!(attempts, Some(1), "{shown:#}");
        }
        let id = path.rsplit('/').next().expect("an id");
        assert_eq!(self.tasks().await[id], items, "and none has two");
    }

    /// How many tasks of each operation the hub has.
    async fn tasks(&self) -> BTreeMap<String, usize> {
        let all = self.hub.get("/v1/tasks?limit=1000").await;
        assert_eq!(all["next"], Value::Null, "the list is whole");
        let mut numbers = BTreeMap::new();
        for task in all["items"].as_array().expect("a list") {
            if let Some(operation) = task["operation"].as_str() {
                *numbers.entry(operation.to_owned()).or_default() += 1;
            }
        }
        numbers
    }

    /// How many sites visitors see.
    async fn enabled(&self) -> usize {
        let sites = self.hub.get("/v1/sites").await;
        let sites = sites["items"].as_array().expect("a list");
        sites.iter().filter(|site| site["enabled"] == true).count()
    }
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_hub_that_is_killed_in_the_middle_goes_on_and_does_to_each_site_once_what_was_asked() {
    let mut scene = Scene::new().await;
    let mut fired = 0;
    for (kind, point) in [
        ("site.disable", "operation:made#2"),
        ("site.enable", "mover:woken#2"),
    ] {
        scene.hand.give(&format!("kill@{point}"));
        let wish = json!({"kind": kind, "select": {"on": ["web*"]}, "parallel": 2});
        // The point comes after the first of its tasks has ended, or been told of: the answer is out by then.
        let path = scene.start(wish).await;
        until("the hub is killed", FIRED, async || {
            scene.hub.was_killed().then_some(())
        })
        .await;
        fired += 1;
        scene.hand.calm();
        scene.hub.start_again().await;
        let after = scene.hub.get(&path).await;
        let over = scene.reaches(&path, &["finished"]).await;
        println!(
            "killed at {point}: then {}, at last {}",
            after["counts"], over["counts"]
        );
        assert_ne!(
            after["counts"]["succeeded"], SITES,
            "it was killed too late"
        );
        scene.each_has_one(&path, SITES).await;
        let wanted = if kind == "site.enable" { SITES } else { 0 };
        assert_eq!(scene.enabled().await, wanted);
    }
    println!("the hub was killed {fired} times");
    assert_eq!(fired, 2);
    scene.stop_workers().await;
}

/// A number by chance, which is printed; `KOLGA_SEED` repeats it.
fn seed() -> usize {
    let seed = std::env::var("KOLGA_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed();
    let seed = seed.unwrap_or_else(|| now.map_or(0, |now| now.as_secs()));
    println!("KOLGA_SEED={seed}");
    usize::try_from(seed).expect("a number")
}

/// Points at which the hub is killed in an ordinary run; `KOLGA_PAIRS=all` takes all of them.
const CHOSEN: usize = 12;

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_hub_that_is_killed_at_any_point_of_an_operation_makes_each_of_its_tasks_once() {
    let mut scene = Scene::empty().await;
    // One after the other, so that both ways are gone: from its beginning, and from the end of a task.
    let wish = json!({"kind": "ping", "select": {"all": true}, "parallel": 1});
    scene.hand.calm();
    let path = scene.start(wish.clone()).await;
    scene.reaches(&path, &["finished"]).await;
    let points = scene.hand.passed().len();
    assert!(points > 20, "an operation has more than {points} points");
    let all = std::env::var("KOLGA_PAIRS").is_ok_and(|text| text == "all");
    let step = if all { 1 } else { points.div_ceil(CHOSEN) };
    let (mut tried, mut killed_at) = (0, BTreeMap::<String, usize>::new());
    let mut newest = scene.newest().await;
    for number in (1 + seed() % step..=points).step_by(step) {
        tried += 1;
        scene.hand.give(&format!("kill@{number}"));
        let asked = scene.hub.try_request("POST", "/v1/operations", Some(&wish));
        let told = asked.await.is_some();
        // Also one that passes fewer points than the first comes to its end.
        let died = until(
            "the hub is killed, or nothing more happens",
            FIRED,
            async || {
                if scene.hub.was_killed() {
                    return Some(true);
                }
                let (_, list) = scene
                    .hub
                    .try_request("GET", "/v1/operations?limit=1", None)
                    .await?;
                (list["items"][0]["state"] == "finished" && told).then_some(false)
            },
        )
        .await;
        scene.hand.calm();
        if died {
            *killed_at
                .entry(scene.hand.killed_at().expect("a point"))
                .or_default() += 1;
            scene.hub.start_again().await;
        }
        let now = scene.newest().await;
        // What it did not write down before it died it has not said to have either.
        let path = match now == newest {
            true => {
                assert!(!told, "{newest:?} was told of and is not there");
                scene.start(wish.clone()).await
            }
            false => now.expect("an operation"),
        };
        scene.reaches(&path, &["finished"]).await;
        scene.each_has_one(&path, SERVERS.len()).await;
        newest = Some(path);
    }
    let killed: usize = killed_at.values().sum();
    println!("{tried} of {points} points tried, killed {killed} times: {killed_at:?}");
    assert!(killed * 2 > tried, "most of the orders were followed");
    scene.stop_workers().await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn an_operation_keeps_its_limits_stops_after_failures_is_resumed_and_is_cancelled() {
    let mut scene = Scene::new().await;
    // One open on each of two servers, however many there may be at once.
    let verify = json!({
        "kind": "site.verify", "select": {"all": true, "profile": "static"}, "parallel": 5, "per_server": 1,
    });
    let path = scene.start(verify).await;
    let (mut looks, mut most) = (0, 0);
    let over = until_every(HUB, "every site is verified", TASK, async || {
        let items = scene.items(&path).await;
        let open = items.iter().filter(|item| item["state"] == "made");
        let on: Vec<&str> = open.filter_map(|item| item["server"].as_str()).collect();
        let servers: BTreeSet<&str> = on.iter().copied().collect();
        assert_eq!(
            servers.len(),
            on.len(),
            "two are open on one server: {on:?}"
        );
        looks += 1;
        most = most.max(on.len());
        let shown = scene.hub.get(&path).await;
        (shown["state"] == "finished").then_some(shown)
    })
    .await;
    println!("{looks} looks, {most} open at most");
    assert_eq!((over["counts"]["succeeded"].as_u64(), most), (Some(6), 2));

    // A recipe of the spokes', for each site; then one that is not there.
    let recipe = |name: &str| {
        json!({
            "kind": "recipe.run", "each": "site", "select": {"profile": "static"}, "parallel": 1, "stop_after": 2,
            "params": {"recipe": name, "params": {"text": "Back at noon"}},
        })
    };
    let path = scene.start(recipe("notice-on")).await;
    let over = scene.reaches(&path, &["finished"]).await;
    assert_eq!(over["counts"]["succeeded"], SITES, "{over:#}");
    let path = scene.start(recipe("nothing")).await;
    for failed in [2, 4] {
        let paused = scene.reaches(&path, &["paused"]).await;
        assert_eq!(paused["counts"]["failed"], failed, "{paused:#}");
        assert_eq!(paused["counts"]["waiting"], SITES - failed);
        let reason = paused["reason"].as_str().expect("a reason");
        assert!(reason.starts_with("2 tasks did not succeed"), "{reason}");
        scene.hub.post(&format!("{path}/resume"), &json!({})).await;
        // The last two are the last failures that may be: nothing waits behind them.
        scene.reaches(&path, &["paused", "finished"]).await;
    }
    let over = scene.reaches(&path, &["finished"]).await;
    assert_eq!(over["counts"]["failed"], SITES);

    // Nobody takes these, and who is asked to drop them drops them.
    scene.stop_workers().await;
    let path = scene
        .start(json!({"kind": "site.disable", "select": {"all": true}}))
        .await;
    until_every(HUB, "four are on their way", TASK, async || {
        let items = scene.items(&path).await;
        let tasks = items.iter().filter_map(|item| item["task"].as_str());
        let mut sent = 0;
        for task in tasks {
            sent += usize::from(scene.hub.show(task).await["state"] == "sent");
        }
        (sent == 4).then_some(())
    })
    .await;
    let answer = scene.hub.post(&format!("{path}/cancel"), &json!({})).await;
    assert_eq!(answer["operation"]["state"], "cancelling");
    assert_eq!(answer["operation"]["counts"]["cancelled"], SITES - 4);
    scene.start_workers().await;
    let over = scene.reaches(&path, &["cancelled"]).await;
    assert_eq!(over["counts"]["cancelled"], SITES, "{over:#}");
    assert_eq!(scene.enabled().await, SITES, "no site was touched");
    scene.stop_workers().await;
}
