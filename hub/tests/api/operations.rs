//! Operations and labels over HTTP, as far as the hub can go with them while the broker is away: tasks are made and
//! wait.

use std::time::Duration;

use futures_util::StreamExt;
use kolga_hub::wire::Operation;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::hub::TestHub;

/// Nothing here takes long; a stream that never ends is a failure, not a hang.
const PATIENCE: Duration = Duration::from_secs(20);

/// A hub that knows so many servers.
async fn with_servers(number: usize) -> TestHub {
    let hub = TestHub::start().await;
    for server in 1..=number {
        let name = format!("web{server}");
        hub.post("/v1/servers", json!({ "name": name })).await;
    }
    hub
}

/// Starts an operation; its path.
async fn start(hub: &TestHub, operation: Value) -> String {
    let answer = hub.post("/v1/operations", operation).await;
    let id = answer["operation"]["id"].as_str().expect("an id");
    format!("/v1/operations/{id}")
}

async fn stream(hub: &TestHub, path: &str) -> Response {
    let asked = hub.request(Method::GET, &format!("{path}/events"));
    asked.send().await.expect("answered")
}

/// Reads the stream up to its end, or up to the first state of the operation that is `wanted`.
async fn read(response: Response, wanted: impl Fn(&Operation) -> bool) -> Vec<Operation> {
    let told = tokio::time::timeout(PATIENCE, told(response, wanted));
    told.await.expect("in time")
}

async fn told(response: Response, wanted: impl Fn(&Operation) -> bool) -> Vec<Operation> {
    let mut text = String::new();
    let mut told: Vec<Operation> = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(bytes) = stream.next().await {
        text.push_str(std::str::from_utf8(&bytes.expect("the stream goes on")).expect("text"));
        let whole = text.rfind("\n\n").map_or("", |end| &text[..end]);
        let data = whole.lines().filter_map(|line| line.strip_prefix("data: "));
        told = data
            .map(|data| serde_json::from_str(data).expect("an operation"))
            .collect();
        if told.iter().any(&wanted) {
            break;
        }
    }
    told
}

/// What the hub answers to what it does not like.
async fn refused(hub: &TestHub, path: &str, body: Value) -> (u16, String) {
    let asked = hub.request(Method::POST, path).json(&body);
    let answer = asked.send().await.expect("answered");
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.expect("JSON");
    let code = body["error"]["code"].as_str().unwrap_or_default();
    (status, code.to_owned())
}

#[tokio::test]
async fn an_operation_makes_as_many_tasks_as_may_be_open_and_can_be_stopped_for_good() {
    let hub = with_servers(5).await;
    let ping = |more: Value| {
        let mut wish = json!({"kind": "ping", "select": {"on": ["web*"]}, "parallel": 2});
        let fields = wish.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        wish
    };
    let chosen = hub
        .post("/v1/operations", ping(json!({"dry_run": true})))
        .await;
    assert_eq!(chosen["targets"].as_array().map(Vec::len), Some(5));
    assert_eq!(hub.get("/v1/operations").await["items"], json!([]));

    let path = start(&hub, ping(json!({}))).await;
    let told = read(stream(&hub, &path).await, |now| now.counts.open == 2).await;
    let last = told.last().expect("it is told");
    assert_eq!((last.counts.total, last.counts.waiting), (5, 3));
    let items = hub.get(&format!("{path}/items?state=made")).await;
    let items = items["items"].as_array().expect("a list").clone();
    assert_eq!(items.len(), 2);
    let task = items[0]["task"].as_str().expect("a task");
    let task = hub.get(&format!("/v1/tasks/{task}")).await;
    assert_eq!(task["operation"].as_str(), path.rsplit('/').next());
    assert_eq!(task["kind"], "ping");

    // Nobody has the two, so that they are cancelled at once; no other is made in their place.
    let whole = stream(&hub, &path).await;
    let cancel = format!("{path}/cancel");
    let (told, cancelled) = tokio::join!(
        read(whole, |_| false),
        hub.post(&cancel, json!({"let_finish": false}))
    );
    assert_eq!(cancelled["operation"]["state"], "cancelled");
    assert_eq!(cancelled["operation"]["counts"]["cancelled"], 5);
    let over = told.last().expect("it is told");
    assert_eq!(over.state.as_str(), "cancelled");
    assert_eq!(
        hub.get("/v1/tasks").await["items"].as_array().map(Vec::len),
        Some(2)
    );
    for what in ["cancel", "resume", "pause"] {
        let answer = refused(&hub, &format!("{path}/{what}"), json!({})).await;
        assert_eq!(answer, (409, "operation_over".to_owned()), "{what}");
    }
    hub.end().await;
}

#[tokio::test]
async fn a_paused_operation_outlives_its_hub_and_goes_on_when_it_is_resumed() {
    let folder = crate::hub::Folder::new();
    let hub = TestHub::start_in(&folder).await;
    for name in ["web1", "web2", "web3"] {
        hub.post("/v1/servers", json!({ "name": name })).await;
    }
    let wish = json!({"kind": "server.verify", "select": {"all": true}, "parallel": 1});
    let path = start(&hub, wish).await;
    read(stream(&hub, &path).await, |now| now.counts.open == 1).await;
    let items = hub.get(&format!("{path}/items")).await;
    let task = items["items"][0]["task"]
        .as_str()
        .expect("a task")
        .to_owned();
    let paused = hub.post(&format!("{path}/pause"), json!({})).await;
    assert_eq!(paused["operation"]["state"], "stopping");
    let whole = stream(&hub, &path).await;
    hub.post(&format!("/v1/tasks/{task}/cancel"), json!({}))
        .await;
    let told = read(whole, |_| false).await;
    let rest = told.last().expect("it is told");
    assert_eq!((rest.state.as_str(), rest.counts.waiting), ("paused", 2));
    hub.end().await;

    let hub = TestHub::start_in(&folder).await;
    let shown = hub.get(&path).await;
    assert_eq!(shown["reason"], "paused by api");
    assert_eq!(shown["counts"]["waiting"], 2);
    let resumed = hub.post(&format!("{path}/resume"), json!({})).await;
    assert_eq!(resumed["operation"]["reason"], Value::Null);
    let told = read(stream(&hub, &path).await, |now| now.counts.open == 1).await;
    let last = told.last().expect("it is told");
    assert_eq!((last.state.as_str(), last.counts.cancelled), ("running", 1));
    hub.end().await;
}

#[tokio::test]
async fn what_is_wrong_with_an_operation_is_told_before_there_is_one() {
    let hub = with_servers(1).await;
    for (wish, status, code) in [
        (json!({"kind": "ping", "select": {}}), 400, "bad_selector"),
        (
            json!({"kind": "ping", "select": {"platform": "wp"}}),
            400,
            "bad_selector",
        ),
        (
            json!({"kind": "site.verify", "select": {"all": true, "sites": ["a.example.org"]}}),
            400,
            "bad_selector",
        ),
        (
            json!({"kind": "site.verify", "select": {"all": true}}),
            404,
            "nothing_selected",
        ),
        (
            json!({"kind": "site.verify", "select": {"sites": ["a.example.org"]}}),
            404,
            "site_unknown",
        ),
        (
            json!({"kind": "ping", "select": {"on": ["web9"]}}),
            404,
            "server_unknown",
        ),
        (
            json!({"kind": "ping", "select": {"on": ["web 1"]}}),
            400,
            "bad_request",
        ),
        (
            json!({"kind": "ping", "select": {"labels": ["a=b=c"]}}),
            400,
            "bad_request",
        ),
        (
            json!({"kind": "pong", "select": {"all": true}}),
            400,
            "bad_task",
        ),
        (
            json!({"kind": "site.install", "select": {"all": true}}),
            400,
            "bad_task",
        ),
        (
            json!({"kind": "platform.build", "select": {"all": true}}),
            400,
            "bad_task",
        ),
        (
            json!({"kind": "platform.verify", "select": {"platform": "typo"}}),
            404,
            "nothing_selected",
        ),
        (
            json!({"kind": "trash.empty", "params": {"item": "x"}, "select": {"all": true}}),
            400,
            "bad_task",
        ),
        (
            json!({"kind": "ping", "each": "site", "select": {"all": true}}),
            400,
            "bad_task",
        ),
        (
            json!({"kind": "site.run", "params": {"comand": "cron"}, "select": {"all": true}}),
            400,
            "bad_task",
        ),
        (
            json!({"kind": "site.migrate", "params": {"host": "b.example.org"}, "select": {"all": true}}),
            400,
            "bad_task",
        ),
        (
            json!({"kind": "recipe.run", "params": {"recipe": "x", "site": "b.example.org"},
                   "select": {"all": true}}),
            400,
            "bad_task",
        ),
        (
            json!({"kind": "recipe.run", "each": "site", "params": {"recipe": "x"},
                   "select": {"platform": "wp"}}),
            404,
            "nothing_selected",
        ),
        (
            json!({"kind": "ping", "select": {"all": true}, "parallel": 0}),
            400,
            "bad_count",
        ),
        (
            json!({"kind": "ping", "select": {"all": true}, "paralel": 1}),
            400,
            "bad_request",
        ),
    ] {
        let answer = refused(&hub, "/v1/operations", wish.clone()).await;
        assert_eq!(answer, (status, code.to_owned()), "{wish}");
    }
    assert_eq!(hub.get("/v1/operations").await["items"], json!([]));
    let nobody = refused(&hub, "/v1/operations/01234567/cancel", json!({})).await;
    assert_eq!(nobody, (404, "operation_unknown".to_owned()));
    hub.end().await;
}

#[tokio::test]
async fn labels_are_set_and_removed_and_choose() {
    let hub = with_servers(3).await;
    let labels = |server: &str| format!("/v1/servers/{server}/labels");
    for (server, changes) in [
        ("web1", json!(["zone=north", "env=test"])),
        ("web2", json!(["zone=south"])),
        ("web1", json!(["env-", "zone=east"])),
    ] {
        hub.post(&labels(server), json!({ "changes": changes }))
            .await;
    }
    let shown = hub.get("/v1/servers/web1").await;
    assert_eq!(shown["labels"], json!({"zone": "east"}));
    for (wanted, servers) in [
        (json!(["zone=east"]), &["web1"][..]),
        (json!(["zone"]), &["web1", "web2"]),
        (json!(["zone!=east"]), &["web2", "web3"]),
        (json!(["!zone"]), &["web3"]),
    ] {
        let wish = json!({"kind": "ping", "select": {"labels": wanted}, "dry_run": true});
        let chosen = hub.post("/v1/operations", wish).await;
        let chosen: Vec<&str> = chosen["targets"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|target| target["server"].as_str())
            .collect();
        assert_eq!(chosen, servers, "{wanted}");
    }
    for change in ["", "=x", "a", "a=", "a b=c", "-=x", "a=ü"] {
        let answer = refused(&hub, &labels("web1"), json!({"changes": [change]})).await;
        assert_eq!(answer, (400, "bad_request".to_owned()), "{change:?}");
    }
    let many: Vec<String> = (0..65).map(|number| format!("n{number}=1")).collect();
    let answer = refused(&hub, &labels("web1"), json!({ "changes": many })).await;
    assert_eq!(answer, (400, "too_many_labels".to_owned()));
    let answer = refused(&hub, &labels("web9"), json!({"changes": ["a=b"]})).await;
    assert_eq!(answer, (404, "server_unknown".to_owned()));
    let platform = "/v1/platforms/web1/wp/labels";
    let answer = refused(&hub, platform, json!({"changes": ["a=b"]})).await;
    assert_eq!(answer, (404, "platform_unknown".to_owned()));
    hub.end().await;
}
