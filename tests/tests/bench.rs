//! `kolga bench` over the real stack, with numbers so small that they say nothing about speed: that every phase
//! measures what it should, counts right, and leaves nothing behind.

use std::path::{Path, PathBuf};
use std::process::Command;

use kolga_protocol::link::{LinkConfig, queue_depth};
use kolga_tests::hub::{Hub, Settings};
use kolga_tests::scenario::SERVER;
use kolga_tests::stack::Stack;
use kolga_tests::worker::{Orders, Worker};
use serde_json::Value;

const SIMULATED: u64 = 5;

/// Runs it to its end; what it printed.
async fn bench(stack: &Stack, hub: &Hub, arguments: &[&str]) -> Value {
    let mut command = stack.program("kolga");
    command
        .args(["--json", "--hub", &hub.url, "--token-file"])
        .arg(hub.token_file())
        .arg("bench")
        .args(arguments);
    let told = tokio::task::spawn_blocking(move || command.output().expect("kolga runs"));
    let told = told.await.expect("it ends");
    let (out, err) = (
        String::from_utf8_lossy(&told.stdout),
        String::from_utf8_lossy(&told.stderr),
    );
    assert!(told.status.success(), "{arguments:?}: {out}{err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
}

fn number(figures: &Value, pointer: &str) -> f64 {
    let found = figures.pointer(pointer).and_then(Value::as_f64);
    found.unwrap_or_else(|| panic!("no number {pointer} in {figures:#}"))
}

/// The percentiles are in order, and nothing took no time.
fn is_spread(figures: &Value, pointer: &str) {
    let at = |name: &str| number(figures, &format!("{pointer}/{name}"));
    let all = [at("p50"), at("p99"), at("p999"), at("max")];
    assert!(all[0] > 0.0 && all.is_sorted(), "{pointer}: {all:?}");
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn every_phase_measures_a_real_worker() {
    let stack = Stack::load();
    let hub = Hub::with_servers(&stack, &Settings::default(), &[SERVER]).await;
    let worker = Worker::start(&stack, SERVER, &Orders::default()).await;
    let me = format!("this={}", std::process::id());
    let small = "--servers web1 --tasks 200 --window 50 --single 10 --load-seconds 1 --lines 3000";
    let mut arguments: Vec<&str> = small.split(' ').collect();
    arguments.extend(["--process", &me]);
    let figures = bench(&stack, &hub, &arguments).await;
    for (pointer, value) in [
        ("/servers", 1.0),
        ("/tasks", 200.0),
        ("/succeeded", 200.0),
        ("/window", 50.0),
        ("/latency/samples", 10.0),
        ("/half_load/failed", 0.0),
        ("/fan_out/servers", 1.0),
        ("/fan_out/failed", 0.0),
        ("/log/lines", 3000.0),
        ("/log/heard", 3000.0),
        ("/log/lost", 0.0),
    ] {
        assert_eq!(number(&figures, pointer), value, "{pointer}");
    }
    for spread in [
        "/latency/started_ms",
        "/latency/finished_ms",
        "/half_load/started_ms",
        "/half_load/finished_ms",
        "/fan_out/all_answered_ms",
    ] {
        is_spread(&figures, spread);
    }
    assert!(
        number(&figures, "/latency/started_ms/p50") < number(&figures, "/latency/finished_ms/p50")
    );
    let rate = number(&figures, "/tasks_per_second");
    assert!((rate - 200.0 / number(&figures, "/seconds")).abs() < 0.01 * rate);
    let half = number(&figures, "/half_load/tasks_per_second");
    assert!((half - rate / 2.0).abs() < 1.0, "{half} of {rate}");
    let asked = number(&figures, "/half_load/tasks");
    assert!(
        (asked - half).abs() <= 0.1 * half + 2.0,
        "{asked} in a second at {half}/s"
    );
    // At most 64 tasks share a message; one alone costs one there and one back. Each names its run both ways.
    let messages = number(&figures, "/per_task/messages");
    assert!(
        (1.0 / 64.0..=2.5).contains(&messages),
        "{messages} messages a task"
    );
    assert!(number(&figures, "/per_task/bytes") > 64.0);
    assert!(number(&figures, "/per_task/cpu_ms/this") >= 0.0);
    assert!(number(&figures, "/memory/0/most") > 1e6);
    // What it asked for is what the hub has: warm-up, fan-out, and all that was counted.
    let metrics = hub.text("/v1/metrics").await;
    let ended = metrics
        .lines()
        .find_map(|line| line.strip_prefix("kolga_tasks_ended_total{state=\"succeeded\"} "));
    let ended: f64 = ended.expect("counted").parse().expect("a number");
    assert_eq!(ended, 20.0 + 5.0 + 10.0 + 200.0 + asked + 1.0);
    worker.stop().await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn simulated_servers_answer_and_leave_nothing_behind() {
    let stack = Stack::load();
    let hub = Hub::start(&stack, &Settings::default()).await;
    let file = users(&stack, &hub, &SIMULATED.to_string());
    let path = file.to_str().expect("a path");
    let steps = format!("2,{SIMULATED}");
    let simulate = [
        "--simulate",
        &steps,
        "--broker-file",
        path,
        "--tasks",
        "100",
    ];
    let figures = bench(&stack, &hub, &simulate).await;
    for (pointer, value) in [
        ("/before/0/servers", 2.0),
        ("/before/0/succeeded", 100.0),
        ("/before/0/fan_out/servers", 2.0),
        ("/servers", SIMULATED as f64),
        ("/succeeded", 100.0),
        ("/fan_out/servers", SIMULATED as f64),
        ("/fan_out/failed", 0.0),
    ] {
        assert_eq!(number(&figures, pointer), value, "{pointer}");
    }
    assert_eq!(figures["simulated"], true);
    is_spread(&figures, "/fan_out/all_answered_ms");
    assert!(number(&figures, "/connect_seconds") > 0.0);

    assert_eq!(hub.get("/v1/servers").await["items"], serde_json::json!([]));
    let link = LinkConfig::new(stack.text("/amqp_hub_url"), "a test").expect("a URL");
    for queue in ["tasks.sim-1", "control.sim-5"] {
        let depth = queue_depth(&link, queue).await.expect("asked");
        assert_eq!(depth, None, "{queue} is still there");
    }
    let mine = hub.get("/v1/tasks?server=sim-1&limit=1").await;
    assert_eq!(
        mine["items"].as_array().expect("a list").len(),
        1,
        "history stays"
    );
    users(&stack, &hub, "remove");
    let listed = script(
        "stack",
        &["rabbitmqctl", "--dir", stack.text("/dir"), "list_users"],
    );
    assert!(
        listed.contains("kolga-web1") && !listed.contains("kolga-sim-"),
        "{listed}"
    );
}

/// Makes or removes the broker's users; the file with their URL.
fn users(stack: &Stack, hub: &Hub, what: &str) -> PathBuf {
    let url = script("bench-users", &[what, "--stack", stack.text("/dir")]);
    let file = hub.folder().join("broker-url");
    std::fs::write(&file, url).expect("written");
    let uid = stack.uid();
    std::os::unix::fs::chown(&file, Some(uid), Some(uid)).expect("given to whoever runs kolga");
    file
}

fn script(name: &str, arguments: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy")
        .join(name);
    let told = Command::new(script)
        .args(arguments)
        .output()
        .expect("it runs");
    assert!(told.status.success(), "{name} {arguments:?}: {told:?}");
    String::from_utf8(told.stdout).expect("text")
}
