//! The HTTP API over a real listener. There is no broker in these tests, which is a state that the hub
//! must live with; what needs one is in `tests/broker`.

mod hub;
mod live;
mod operations;

use std::os::unix::fs::PermissionsExt;

use hub::{Folder, TestHub};
use reqwest::StatusCode;
use serde_json::{Value, json};

#[tokio::test]
async fn health_needs_no_token_and_everything_else_does() {
    let hub = TestHub::start().await;
    let client = reqwest::Client::new();
    let health = client
        .get(hub.url("/v1/health"))
        .send()
        .await
        .expect("answered");
    assert_eq!(health.status(), StatusCode::OK);
    for path in [
        "/v1/servers",
        "/v1/doctor",
        "/v1/metrics",
        "/v1/tasks",
        "/v1/tasks/1/events",
    ] {
        for header in [
            None,
            Some("Bearer wrong"),
            Some("Basic abc"),
            Some("Bearer "),
        ] {
            let mut request = client.get(hub.url(path));
            if let Some(header) = header {
                request = request.header("authorization", header);
            }
            let response = request.send().await.expect("answered");
            assert_eq!(
                response.status(),
                StatusCode::UNAUTHORIZED,
                "{path} {header:?}"
            );
            let body: Value = response.json().await.expect("JSON");
            assert_eq!(body["error"]["code"], "no_token");
        }
    }
    hub.end().await;
}

#[tokio::test]
async fn the_token_is_for_the_hubs_user_alone_and_stays() {
    let folder = Folder::new();
    let hub = TestHub::start_in(&folder).await;
    let first = hub.token.clone();
    let mode = |name: &str| {
        let metadata = std::fs::metadata(folder.path().join(name)).expect("it is there");
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode("api-token"), 0o600);
    assert_eq!(mode("kolga.sqlite"), 0o600);
    hub.end().await;
    let hub = TestHub::start_in(&folder).await;
    assert_eq!(hub.token, first);
    hub.end().await;
}

#[tokio::test]
async fn two_hubs_do_not_share_a_folder() {
    let folder = Folder::new();
    let hub = TestHub::start_in(&folder).await;
    let second = kolga_hub::serve::Hub::start(hub::config(folder.path())).await;
    let reason = format!("{:#}", second.err().expect("there is one already"));
    assert!(reason.contains("another hub"), "{reason}");
    hub.end().await;
}

#[tokio::test]
async fn what_goes_wrong_is_told_as_json_with_a_code() {
    let hub = TestHub::start().await;
    let too_long = format!("{{\"name\": \"{}\"}}", "x".repeat(2 * 1024 * 1024));
    for (method, path, body, status, code) in [
        ("GET", "/v1/nothing", "", 404, "no_such_path"),
        ("PUT", "/v1/servers", "", 405, "no_such_method"),
        ("POST", "/v1/servers", "{", 400, "bad_request"),
        (
            "POST",
            "/v1/servers",
            "{\"nmae\": \"web1\"}",
            400,
            "bad_request",
        ),
        (
            "POST",
            "/v1/servers",
            "{\"name\": \"../web1\"}",
            400,
            "bad_request",
        ),
        ("POST", "/v1/servers", too_long.as_str(), 413, "bad_request"),
        ("GET", "/v1/servers/web1", "", 404, "server_unknown"),
        ("GET", "/v1/servers/a%0ab", "", 400, "bad_name"),
        ("GET", "/v1/sites/a.example.org", "", 404, "site_unknown"),
        ("DELETE", "/v1/sites/a.example.org", "", 404, "site_unknown"),
        ("GET", "/v1/tasks?limit=x", "", 400, "bad_query"),
        ("GET", "/v1/tasks?state=asleep", "", 400, "bad_name"),
        ("GET", "/v1/tasks/abc", "", 404, "task_unknown"),
        (
            "POST",
            "/v1/tasks",
            "{\"server\":\"web9\",\"kind\":\"ping\"}",
            404,
            "server_unknown",
        ),
        (
            "POST",
            "/v1/tasks",
            "{\"server\":\"web9\",\"kind\":\"dance\"}",
            400,
            "bad_task",
        ),
        (
            "POST",
            "/v1/tasks",
            "{\"server\":\"web9\",\"kind\":\"site.delete\",\"params\":{\"site\":\"a;b\"}}",
            400,
            "bad_task",
        ),
    ] {
        let method = method.parse().expect("a method");
        let response = hub
            .request(method, path)
            .header("content-type", "application/json")
            .body(body.to_owned())
            .send()
            .await
            .expect("answered");
        assert_eq!(response.status().as_u16(), status, "{path} {:.60}", body);
        let error: Value = response.json().await.expect("JSON");
        assert_eq!(error["error"]["code"], code, "{path} {error}");
        let message = error["error"]["message"].as_str().expect("a sentence");
        assert!(message.len() > 5 && !message.contains('\n'), "{message}");
    }
    hub.end().await;
}

#[tokio::test]
async fn a_task_waits_visibly_while_the_broker_is_away_and_outlives_the_hub() {
    let folder = Folder::new();
    let hub = TestHub::start_in(&folder).await;
    let added = hub.post("/v1/servers", json!({"name": "web1"})).await;
    assert_eq!(added["presence"], "never_seen");
    let made = hub
        .post(
            "/v1/tasks",
            json!({"server": "web1", "kind": "ping", "count": 3}),
        )
        .await;
    assert_eq!(made["tasks"].as_array().expect("a list").len(), 3);
    let id = made["tasks"][0].as_str().expect("an id").to_owned();
    let task = hub.get(&format!("/v1/tasks/{id}")).await;
    assert_eq!(task["state"], "queued");
    let waiting = task["waiting"].as_str().expect("a reason");
    assert!(waiting.contains("broker"), "{waiting}");
    let doctor = hub.get("/v1/doctor").await;
    let checks = doctor["checks"].as_array().expect("checks");
    let link = checks
        .iter()
        .find(|check| check["name"] == "broker link")
        .expect("probed");
    assert_eq!(link["status"], "fail");
    hub.end().await;

    let hub = TestHub::start_in(&folder).await;
    let list = hub.get("/v1/tasks?server=web1&state=queued&limit=2").await;
    assert_eq!(list["items"].as_array().expect("a page").len(), 2);
    let next = list["next"].as_str().expect("there is more");
    let rest = hub
        .get(&format!("/v1/tasks?server=web1&before={next}"))
        .await;
    assert_eq!(rest["items"][0]["id"], id.as_str());
    assert_eq!(rest["next"], Value::Null);
    hub.end().await;
}

#[tokio::test]
async fn sites_are_asked_for_and_their_names_are_kept() {
    let hub = TestHub::start().await;
    hub.post("/v1/servers", json!({"name": "web1"})).await;
    let site = json!({
        "host": "Blog.Example.org", "server": "web1", "profile": "static",
        "aliases": ["www.blog.example.org"], "options": {"title": "A blog"},
    });
    let answer = hub.post("/v1/sites", site.clone()).await;
    assert_eq!(answer["site"]["host"], "blog.example.org");
    assert_eq!(answer["site"]["condition"], "pending");
    assert_eq!(answer["task"]["object"], "site:blog.example.org");
    let again = hub.request(reqwest::Method::POST, "/v1/sites").json(&site);
    let again = again.send().await.expect("answered");
    assert_eq!(again.status(), StatusCode::CONFLICT);

    let busy = hub.request(reqwest::Method::DELETE, "/v1/sites/blog.example.org");
    let busy: Value = busy
        .send()
        .await
        .expect("answered")
        .json()
        .await
        .expect("JSON");
    assert_eq!(busy["error"]["code"], "site_busy");

    let tasks = "/v1/sites/blog.example.org/tasks";
    for (wish, status, code) in [
        (json!({"kind": "site.disable"}), 409, "site_busy"),
        (json!({"kind": "site.enabel"}), 400, "bad_task"),
        (
            json!({"kind": "site.disable", "params": {"sight": 1}}),
            400,
            "bad_task",
        ),
        (json!({"kind": "ping"}), 400, "bad_task"),
    ] {
        let refused = hub.request(reqwest::Method::POST, tasks).json(&wish);
        let refused = refused.send().await.expect("answered");
        assert_eq!(refused.status().as_u16(), status, "{wish}");
        let refused: Value = refused.json().await.expect("JSON");
        assert_eq!(refused["error"]["code"], code, "{wish}");
    }

    let task = answer["task"]["id"].as_str().expect("an id");
    let cancelled = hub
        .post(&format!("/v1/tasks/{task}/cancel"), json!({}))
        .await;
    assert_eq!(cancelled["task"]["state"], "cancelled");
    let failed = hub.get("/v1/sites/blog.example.org").await;
    assert_eq!(failed["condition"], "failed");
    let gone = hub.request(reqwest::Method::DELETE, "/v1/sites/blog.example.org");
    assert_eq!(
        gone.send().await.expect("answered").status(),
        StatusCode::OK
    );
    assert!(
        hub.get("/v1/sites").await["items"]
            .as_array()
            .expect("a list")
            .is_empty()
    );
    hub.end().await;
}

#[tokio::test]
async fn a_lock_says_who_and_why_and_only_a_site_that_is_there_has_one() {
    let hub = TestHub::start().await;
    hub.post("/v1/servers", json!({"name": "web1"})).await;
    let site = json!({"host": "a.example.org", "server": "web1", "profile": "static"});
    hub.post("/v1/sites", site).await;
    let lock = "/v1/sites/a.example.org/lock";
    let locked = hub.post(lock, json!({"reason": "an audit, ask Ada"})).await;
    assert_eq!(locked["locked"]["reason"], "an audit, ask Ada");
    assert_eq!(locked["locked"]["by"], "api");
    let refused = hub.request(reqwest::Method::DELETE, "/v1/sites/a.example.org");
    let refused: Value = refused
        .send()
        .await
        .expect("answered")
        .json()
        .await
        .expect("JSON");
    assert_eq!(refused["error"]["code"], "site_locked");
    let message = refused["error"]["message"].as_str().expect("a sentence");
    assert!(
        message.ends_with("locked by api: an audit, ask Ada"),
        "{message}"
    );
    let hint = refused["error"]["hint"].as_str().expect("a hint");
    assert!(hint.contains("kolga site unlock a.example.org"), "{hint}");
    for (path, wish, status) in [
        (
            lock,
            json!({"reason": "two\nlines"}),
            StatusCode::BAD_REQUEST,
        ),
        (lock, json!({"why": "x"}), StatusCode::BAD_REQUEST),
        (
            "/v1/sites/b.example.org/lock",
            json!({"reason": "x"}),
            StatusCode::NOT_FOUND,
        ),
    ] {
        let answer = hub.request(reqwest::Method::POST, path).json(&wish);
        assert_eq!(
            answer.send().await.expect("answered").status(),
            status,
            "{wish}"
        );
    }
    let unlocked = hub.request(reqwest::Method::DELETE, lock);
    let unlocked: Value = unlocked
        .send()
        .await
        .expect("answered")
        .json()
        .await
        .expect("JSON");
    assert_eq!(unlocked["locked"], Value::Null);
    let busy = hub.request(reqwest::Method::DELETE, "/v1/sites/a.example.org");
    let busy: Value = busy
        .send()
        .await
        .expect("answered")
        .json()
        .await
        .expect("JSON");
    assert_eq!(busy["error"]["code"], "site_busy", "the lock is off");
    hub.end().await;
}

#[tokio::test]
async fn a_platform_is_asked_for_before_the_site_that_needs_it() {
    let hub = TestHub::start().await;
    hub.post("/v1/servers", json!({"name": "web1"})).await;
    let site = json!({
        "host": "a.example.org", "server": "web1", "profile": "wordpress", "platform": "wp",
    });
    let early = hub.request(reqwest::Method::POST, "/v1/sites").json(&site);
    let early: Value = early
        .send()
        .await
        .expect("answered")
        .json()
        .await
        .expect("JSON");
    assert_eq!(early["error"]["code"], "platform_unknown");
    let platform = json!({
        "name": "wp", "server": "web1", "profile": "wordpress", "source": "/usr/share/wordpress",
    });
    let answer = hub.post("/v1/platforms", platform).await;
    assert_eq!(answer["platform"]["condition"], "pending");
    assert_eq!(hub.get("/v1/platforms/web1/wp").await["name"], "wp");

    let lock = json!({"reason": "being looked at"});
    let locked = hub.post("/v1/platforms/web1/wp/lock", lock).await;
    assert_eq!(locked["locked"]["reason"], "being looked at");
    let refused = hub.request(reqwest::Method::POST, "/v1/sites").json(&site);
    let refused = refused.send().await.expect("answered");
    assert_eq!(refused.status(), StatusCode::CONFLICT);
    let refused: Value = refused.json().await.expect("JSON");
    assert_eq!(refused["error"]["code"], "platform_locked");
    let hint = refused["error"]["hint"].as_str().expect("what to do");
    assert!(
        hint.contains("kolga platform unlock wp --server web1"),
        "{hint}"
    );
    let unlock = hub.request(reqwest::Method::DELETE, "/v1/platforms/web1/wp/lock");
    let unlocked: Value = unlock
        .send()
        .await
        .expect("answered")
        .json()
        .await
        .expect("JSON");
    assert_eq!(unlocked["locked"], Value::Null);

    hub.post("/v1/sites", site).await;
    let delete = hub.request(reqwest::Method::DELETE, "/v1/platforms/web1/wp");
    let busy: Value = delete
        .send()
        .await
        .expect("answered")
        .json()
        .await
        .expect("JSON");
    assert_eq!(busy["error"]["code"], "platform_busy");
    // One that could not be built is only forgotten.
    let build = answer["task"]["id"].as_str().expect("an id");
    hub.post(&format!("/v1/tasks/{build}/cancel"), json!({}))
        .await;
    let delete = hub.request(reqwest::Method::DELETE, "/v1/platforms/web1/wp");
    let forgotten: Value = delete
        .send()
        .await
        .expect("answered")
        .json()
        .await
        .expect("JSON");
    assert_eq!(forgotten["task"]["kind"], "platform.build");
    assert_eq!(hub.get("/v1/platforms").await["items"], json!([]));
    hub.end().await;
}

#[tokio::test]
async fn an_inventory_is_asked_for_and_only_one_that_was_taken_is_compared() {
    let hub = TestHub::start().await;
    hub.post("/v1/servers", json!({"name": "web1"})).await;
    let asked = hub.post("/v1/servers/web1/inventory", json!({})).await;
    assert_eq!(asked["task"]["kind"], "server.inventory");
    let id = asked["task"]["id"].as_str().expect("an id");
    let compare = hub.request(reqwest::Method::GET, &format!("/v1/tasks/{id}/inventory"));
    let refused = compare.send().await.expect("answered");
    assert_eq!(refused.status(), StatusCode::CONFLICT);
    let refused: Value = refused.json().await.expect("JSON");
    assert_eq!(refused["error"]["code"], "no_inventory");
    hub.end().await;
}

#[tokio::test]
async fn long_lists_come_in_pages() {
    let hub = TestHub::start().await;
    for number in 1..=5 {
        hub.post("/v1/servers", json!({"name": format!("web{number}")}))
            .await;
    }
    let mut seen = Vec::new();
    let mut path = "/v1/servers?limit=2".to_owned();
    let mut pages = 0;
    loop {
        let page = hub.get(&path).await;
        let items = page["items"].as_array().expect("a list");
        seen.extend(items.iter().map(|item| item["name"].clone()));
        pages += 1;
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/v1/servers?limit=2&after={next}");
    }
    assert_eq!(seen, ["web1", "web2", "web3", "web4", "web5"]);
    assert_eq!(pages, 3);
    for wrong in [
        "/v1/sites?after=not%20a%20host",
        "/v1/platforms?after=wp",
        "/v1/sites?limit=-1",
        "/v1/sites?offset=10",
        "/v1/servers?server=web1",
    ] {
        let response = hub.request(reqwest::Method::GET, wrong).send().await;
        let status = response.expect("answered").status();
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    // More than the hub gives at once is no mistake.
    assert!(hub.get("/v1/sites?limit=1000000").await["items"].is_array());
    hub.end().await;
}

/// The value of one line of the metrics.
fn metric(text: &str, sample: &str) -> f64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    let value = line.unwrap_or_else(|| panic!("no {sample} in {text}"));
    value.parse().expect("a number")
}

#[tokio::test]
async fn metrics_count_what_happens_as_prometheus_reads_it() {
    let hub = TestHub::start().await;
    hub.post("/v1/servers", json!({"name": "web1"})).await;
    let ping = json!({"server": "web1", "kind": "ping", "count": 3});
    let made = hub.post("/v1/tasks", ping).await;
    let id = made["tasks"][0].as_str().expect("an id");
    let cancel = format!("/v1/tasks/{id}/cancel");
    let cancelled = hub.post(&cancel, json!({})).await;
    assert_eq!(cancelled["task"]["state"], "cancelled");

    let read = async |path: &str| {
        let answer = hub.request(reqwest::Method::GET, path).send().await;
        let answer = answer.expect("answered");
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let sort = answer.headers()["content-type"].to_str().expect("text");
        assert!(sort.starts_with("text/plain; version=0.0.4"), "{sort}");
        answer.text().await.expect("text")
    };
    let text = read("/v1/metrics").await;
    for (sample, value) in [
        ("kolga_tasks_created_total", 3.0),
        ("kolga_tasks_ended_total{state=\"cancelled\"}", 1.0),
        ("kolga_tasks_ended_total{state=\"succeeded\"}", 0.0),
        ("kolga_tasks_open{state=\"queued\"}", 2.0),
        ("kolga_outbox_messages", 2.0),
        ("kolga_servers{presence=\"never_seen\"}", 1.0),
        ("kolga_link_up{link=\"relay\"}", 0.0),
        ("kolga_store_failures_total", 0.0),
    ] {
        assert_eq!(metric(&text, sample), value, "{sample}");
    }
    // A server, three tasks, a cancel: in at least three transactions, since each waited for the last.
    assert!(metric(&text, "kolga_store_commits_total") >= 3.0);
    assert!(metric(&text, "kolga_store_rows_total") >= 9.0);
    assert!(metric(&text, "process_resident_memory_bytes") > 1e6);
    assert!(metric(&text, "kolga_uptime_seconds") > 0.0);
    // Each value belongs to a family that was described before it.
    let mut family = "";
    for line in text.lines() {
        if let Some(described) = line.strip_prefix("# TYPE ") {
            family = described.split(' ').next().expect("a name");
        } else if !line.starts_with('#') {
            let rest = line
                .strip_prefix(family)
                .unwrap_or_else(|| panic!("{line}"));
            assert!(rest.starts_with([' ', '{']), "{line}");
        }
    }

    let counters = read("/v1/metrics?only=counters").await;
    assert_eq!(metric(&counters, "kolga_tasks_created_total"), 3.0);
    assert!(!counters.contains("kolga_outbox_messages"), "{counters}");
    let wrong = hub.request(reqwest::Method::GET, "/v1/metrics?only=some");
    let wrong = wrong.send().await.expect("answered");
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    hub.end().await;
}

#[tokio::test]
async fn a_server_is_removed_when_nothing_keeps_it_and_its_tasks_stay_in_the_list() {
    let hub = TestHub::start().await;
    hub.post("/v1/servers", json!({"name": "web1"})).await;
    let site = json!({"host": "a.example.org", "server": "web1", "profile": "static"});
    let site = hub.post("/v1/sites", site).await;
    let ping = hub
        .post("/v1/tasks", json!({"server": "web1", "kind": "ping"}))
        .await;
    let remove = async || {
        let answer = hub.request(reqwest::Method::DELETE, "/v1/servers/web1");
        let answer = answer.send().await.expect("answered");
        let status = answer.status();
        (status, answer.json::<Value>().await.expect("JSON"))
    };
    let (status, refused) = remove().await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(refused["error"]["code"], "server_in_use");
    let why = refused["error"]["message"].as_str().expect("a sentence");
    assert_eq!(
        why,
        "server web1 has 1 sites, 2 open tasks, 2 messages to be sent"
    );

    let ping = ping["tasks"][0].as_str().expect("an id").to_owned();
    let install = site["task"]["id"].as_str().expect("an id").to_owned();
    for task in [&ping, &install] {
        hub.post(&format!("/v1/tasks/{task}/cancel"), json!({}))
            .await;
    }
    // The site has failed, so it was never there; and the broker is away, so its queues may be.
    let (status, removed) = remove().await;
    assert_eq!(status, StatusCode::OK, "{removed}");
    assert_eq!(removed, json!({"name": "web1", "queues_removed": false}));
    for list in ["/v1/servers", "/v1/sites"] {
        assert_eq!(hub.get(list).await["items"], json!([]), "{list}");
    }
    let history = hub.get("/v1/tasks?server=web1").await;
    assert_eq!(history["items"].as_array().expect("a list").len(), 2);
    let retry = format!("/v1/tasks/{ping}/retry");
    let retry = hub.request(reqwest::Method::POST, &retry).json(&json!({}));
    let retry: Value = retry
        .send()
        .await
        .expect("answered")
        .json()
        .await
        .expect("JSON");
    assert_eq!(retry["error"]["code"], "server_unknown");
    assert_eq!(remove().await.0, StatusCode::NOT_FOUND);
    // The name is free again.
    hub.post("/v1/servers", json!({"name": "web1"})).await;
    hub.end().await;
}
