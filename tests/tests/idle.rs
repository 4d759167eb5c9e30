//! What a hub and a worker cost while there is nothing to do: how often they wake, and how much memory they
//! hold. A wake-up is a voluntary switch of the kernel's away from one of their threads, which had been woken
//! to have something to give up.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use kolga_tests::hub::{Hub, Settings};
use kolga_tests::scenario::SERVER;
use kolga_tests::stack::Stack;
use kolga_tests::wait::until;
use kolga_tests::worker::{Orders, Worker};
use kolga_tests::world::clear;
use serde_json::json;

const SOON: Duration = Duration::from_secs(60);
/// As long as three heartbeats, three questions to the broker and two pings of the watchdog.
const LASTS: Duration = Duration::from_secs(60);

/// Wake-ups of a process so far, by the name of the thread.
type Wakes = BTreeMap<String, u64>;

/// A field of a file like `/proc/PID/status`.
fn field(path: PathBuf, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_start_matches(':').trim().to_owned())
}

fn wakes(pid: u32) -> Wakes {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let mut wakes = Wakes::new();
    for thread in threads {
        let path = thread.expect("a thread").path().join("status");
        // One that ended meanwhile has woken for the last time.
        let name = field(path.clone(), "Name");
        let count = field(path, "voluntary_ctxt_switches").and_then(|count| count.parse().ok());
        if let (Some(name), Some(count)) = (name, count) {
            let count: u64 = count;
            *wakes.entry(name).or_default() += count;
        }
    }
    wakes
}

fn resident_kib(pid: u32) -> u64 {
    let told = field(format!("/proc/{pid}/status").into(), "VmRSS").expect("it runs");
    let (number, unit) = told.split_once(' ').expect("a number and a unit");
    assert_eq!(unit, "kB");
    number.parse().expect("a number")
}

/// Prints what a process did between two looks; how often it woke in a second.
fn told(who: &str, pid: u32, before: &Wakes, after: &Wakes, elapsed: Duration) -> f64 {
    let mut total = 0;
    let mut parts = Vec::new();
    for (name, count) in after {
        let woken = count.saturating_sub(before.get(name).copied().unwrap_or(0));
        total += woken;
        parts.push(format!("{name} {woken}"));
    }
    // Counts of a minute are small.
    #[allow(clippy::cast_precision_loss)]
    let rate = total as f64 / elapsed.as_secs_f64();
    let resident = resident_kib(pid);
    println!(
        "{who}: {rate:.2} wake-ups a second over {elapsed:.0?} ({}), {resident} KiB resident",
        parts.join(", ")
    );
    rate
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn an_idle_hub_and_an_idle_worker_hardly_wake() {
    let stack = Stack::load();
    clear(&stack, SERVER).await;
    // As their units have it: feeding the watchdog is among what they do.
    let orders = Orders {
        environment: vec![("WATCHDOG_USEC".to_owned(), "60000000".to_owned())],
        ..Orders::default()
    };
    let settings = Settings {
        orders: orders.clone(),
        ..Settings::default()
    };
    let hub = Hub::with_servers(&stack, &settings, &[SERVER]).await;
    let worker = Worker::start(&stack, SERVER, &orders).await;
    let ping = hub.task(SERVER, "ping", json!({})).await;
    hub.succeeds(&ping).await;
    worker.rests().await;
    until("it is heard", SOON, async || {
        let server = hub.get(&format!("/v1/servers/{SERVER}")).await;
        (server["presence"] == "online").then_some(())
    })
    .await;
    // What the last task began ends, and the clients' connections close.
    tokio::time::sleep(Duration::from_secs(5)).await;

    let began = Instant::now();
    let (hub_before, worker_before) = (wakes(hub.pid()), wakes(worker.pid()));
    // The time that passes is what is measured here.
    tokio::time::sleep(LASTS).await;
    let (hub_after, worker_after) = (wakes(hub.pid()), wakes(worker.pid()));
    let elapsed = began.elapsed();
    let hub_rate = told("hub", hub.pid(), &hub_before, &hub_after, elapsed);
    let worker_rate = told(
        "worker",
        worker.pid(),
        &worker_before,
        &worker_after,
        elapsed,
    );
    // On a busy machine some more than in docs/BENCHMARKS.md; before they slept it was 10.7 and 4.7.
    assert!(hub_rate < 2.5, "the hub woke {hub_rate:.2} times a second");
    assert!(
        worker_rate < 2.0,
        "the worker woke {worker_rate:.2} times a second"
    );
    worker.stop().await;
}
