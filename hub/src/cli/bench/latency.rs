//! How long a single task takes: alone, and while others keep the hub at half of what it can do.
//!
//! Under load the requests stand at fixed times, however long those before them take, and each is measured
//! from the time at which it was meant to be made: whoever has to wait for his turn is not left out.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use kolga_protocol::id::TaskId;
use kolga_protocol::names::ServerName;
use serde::Serialize;
use tokio::time::{Instant, sleep_until};

use super::Bench;
use super::asking::{ends, pings};
use super::figures::{Spread, rounded};
use super::progress::Progress;
use crate::cli::client::Client;
use crate::cli::events::Events;
use crate::cli::trouble::Trouble;
use crate::wire::{Event, TaskDetail};

/// How often the load asks for more: small enough that no probe waits behind a burst of it.
const TICK: Duration = Duration::from_millis(10);
/// Probes a second at most, and the share of the load that they may be.
const PROBES: f64 = 50.0;
const SHARE: f64 = 0.1;
/// Between two looks at what the load left behind.
const AGAIN: Duration = Duration::from_millis(50);

/// From the request, in milliseconds.
#[derive(Debug, Serialize)]
pub(super) struct Latency {
    /// How many tasks.
    pub samples: usize,
    /// Until its worker had begun it, by the worker's clock; missing where that clock is another one.
    pub started_ms: Option<Spread>,
    /// Until this client had heard of its end over the event stream.
    pub finished_ms: Spread,
}

/// The same under load.
#[derive(Debug, Serialize)]
pub(super) struct HalfLoad {
    /// Tasks a second that were asked for, all at fixed times.
    pub tasks_per_second: f64,
    /// How long.
    pub seconds: f64,
    /// How many tasks, with those that were measured.
    pub tasks: usize,
    /// How many of those did not succeed.
    pub failed: usize,
    /// Those that were measured.
    #[serde(flatten)]
    pub latency: Latency,
}

/// One task that was measured.
struct Probe {
    task: TaskId,
    asked_micros: u128,
    finished: Duration,
}

/// One after the other, with nothing beside.
pub(super) async fn idle(
    bench: &Bench<'_>,
    server: &ServerName,
    count: u32,
) -> Result<Latency, Trouble> {
    bench
        .screen
        .note(&format!("Latency: {count} tasks, one after the other …"));
    let clock = Clock::now();
    let mut progress = Progress::new(bench.screen, u64::from(count), "tasks have ended");
    let mut probes = Vec::new();
    for number in 0..count {
        probes.push(probe(bench.client, server, &clock, Instant::now()).await?);
        progress.tell(u64::from(number) + 1);
    }
    sum_up(bench.client, probes).await
}

/// At fixed times, `rate` tasks a second in all.
pub(super) async fn half_load(
    bench: &Bench<'_>,
    servers: &[ServerName],
    rate: f64,
    time: Duration,
) -> Result<HalfLoad, Trouble> {
    let probing = PROBES.min(rate * SHARE).max(1.0);
    let loading = (rate - probing).max(0.0);
    bench.screen.note(&format!(
        "Latency at half load: {rate:.0} tasks/s for {} s, {probing:.0} of them measured …",
        time.as_secs()
    ));
    let clock = Clock::now();
    let begin = Instant::now();
    let mut progress = Progress::new(bench.screen, time.as_secs(), "seconds are over");
    let mut load = FuturesUnordered::new();
    let mut measured = FuturesUnordered::new();
    let (mut ticks, mut shots) = (0_u32, 0_u32);
    let mut asked = BTreeSet::new();
    let mut probes = Vec::new();
    let mut turn = servers.iter().cycle();
    loop {
        let tick = begin + TICK * ticks;
        let shot = begin + Duration::from_secs_f64(f64::from(shots) / probing);
        let loads = tick < begin + time;
        let shoots = shot < begin + time;
        if !loads && !shoots && load.is_empty() && measured.is_empty() {
            break;
        }
        tokio::select! {
            biased;
            () = sleep_until(shot), if shoots => {
                shots += 1;
                if let Some(server) = turn.next() {
                    measured.push(probe(bench.client, server, &clock, shot));
                }
            }
            () = sleep_until(tick), if loads => {
                let due = |ticks: u32| whole(loading * TICK.as_secs_f64() * f64::from(ticks));
                let count = due(ticks + 1) - due(ticks);
                ticks += 1;
                if count > 0 && let Some(server) = turn.next() {
                    load.push(pings(bench.client, server, count));
                }
            }
            Some(tasks) = load.next() => asked.extend(tasks?),
            Some(probe) = measured.next() => probes.push(probe?),
        }
        progress.tell(begin.elapsed().as_secs());
    }
    asked.extend(probes.iter().map(|probe| probe.task));
    let mut seen = ends(bench.client, &asked).await?;
    while (seen.finished as usize) < asked.len() {
        tokio::time::sleep(AGAIN).await;
        seen = ends(bench.client, &asked).await?;
    }
    Ok(HalfLoad {
        tasks_per_second: rounded(rate),
        seconds: time.as_secs_f64(),
        tasks: asked.len(),
        failed: asked.len() - seen.succeeded as usize,
        latency: sum_up(bench.client, probes).await?,
    })
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(count: f64) -> u32 {
    count as u32
}

/// This machine's time of day, carried on by a clock that nobody sets.
struct Clock {
    micros: u128,
    at: Instant,
}

impl Clock {
    fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            micros: since.unwrap_or_default().as_micros(),
            at: Instant::now(),
        }
    }

    fn micros(&self, at: Instant) -> u128 {
        self.micros + at.saturating_duration_since(self.at).as_micros()
    }
}

/// Asks for one ping and hears its end, measured from when it was meant to be asked for.
async fn probe(
    client: &Client,
    server: &ServerName,
    clock: &Clock,
    meant: Instant,
) -> Result<Probe, Trouble> {
    let task = pings(client, server, 1).await?[0];
    let mut events = Events::open(client, task).await?;
    while let Some(event) = events.next().await? {
        if matches!(event, Event::State(entry) if entry.finished) {
            break;
        }
    }
    Ok(Probe {
        task,
        asked_micros: clock.micros(meant),
        finished: meant.elapsed(),
    })
}

/// Asks afterwards when each had begun, so that the questions are in nobody's way.
async fn sum_up(client: &Client, probes: Vec<Probe>) -> Result<Latency, Trouble> {
    let mut started = Vec::with_capacity(probes.len());
    for probe in &probes {
        let detail: TaskDetail = client
            .get(&format!("/v1/tasks/{}", probe.task), &[])
            .await?;
        let at = detail
            .output
            .as_ref()
            .and_then(|output| output["at_micros"].as_u64());
        let took = at.and_then(|at| u128::from(at).checked_sub(probe.asked_micros));
        // Before it was asked for, or after its end: then the server's clock is not this machine's.
        let took = took
            .and_then(|micros| u64::try_from(micros).ok())
            .map(Duration::from_micros);
        started.extend(took.filter(|took| *took <= probe.finished));
    }
    let agree = started.len() == probes.len();
    Ok(Latency {
        samples: probes.len(),
        started_ms: agree.then(|| Spread::of(started)),
        finished_ms: Spread::of(probes.iter().map(|probe| probe.finished).collect()),
    })
}
