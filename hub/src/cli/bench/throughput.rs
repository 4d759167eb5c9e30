//! How many tasks a second go the whole durable way, and what each costs in messages, bytes and processor time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use kolga_protocol::id::TaskId;
use kolga_protocol::names::ServerName;
use serde::Serialize;
use tokio::sync::Semaphore;

use super::Bench;
use super::asking::{AT_ONCE, ends, pings};
use super::counters::{Counters, until_ended};
use super::figures::rounded;
use super::processes::{self, Watched};
use crate::cli::trouble::Trouble;
use crate::usage;

/// Tasks to a request at most. Larger ones make the hub's transactions long without making it faster.
const BATCH: u32 = 100;
/// Between two looks at tasks that others' tasks were mistaken for.
const AGAIN: Duration = Duration::from_millis(20);

/// What came of it.
#[derive(Debug, Serialize)]
pub(super) struct Throughput {
    /// How many tasks.
    pub tasks: u32,
    /// How many of them did what they should.
    pub succeeded: u32,
    /// How many were under way at once, where that was bounded.
    pub window: Option<u32>,
    /// From the first request to the last end in the hub's store.
    pub seconds: f64,
    /// The figure.
    pub tasks_per_second: f64,
    /// Processor time of this program meanwhile, in milliseconds; with simulated servers theirs as well.
    pub client_cpu_ms: f64,
    /// What each cost.
    pub per_task: PerTask,
}

/// What a task cost.
#[derive(Debug, Serialize)]
pub(super) struct PerTask {
    /// Messages that the hub published and consumed, but for heartbeats. Some hold many tasks' reports.
    pub messages: f64,
    /// The bytes of their bodies.
    pub bytes: f64,
    /// Processor time of each process that is watched, in milliseconds.
    pub cpu_ms: BTreeMap<String, f64>,
}

pub(super) async fn measure(
    bench: &Bench<'_>,
    servers: &[ServerName],
) -> Result<Throughput, Trouble> {
    let (client, tasks, window) = (bench.client, bench.tasks, bench.window);
    let room = window.unwrap_or(tasks);
    let share = tasks / u32::try_from(servers.len()).unwrap_or(u32::MAX).max(1);
    let batch = BATCH.min(room).min(share.max(1));
    bench.screen.note(&format!(
        "Throughput: {tasks} tasks over {} servers, {room} at once …",
        servers.len()
    ));

    let before = Counters::read(client).await?;
    let cpu_before = processes::usage(bench.processes);
    let mine_before = usage::mine()?;
    let free = Semaphore::new(usize::try_from(room).unwrap_or(usize::MAX));
    let began = Instant::now();
    let asking = async {
        let sizes = (0..tasks.div_ceil(batch)).map(|n| batch.min(tasks - n * batch));
        let asked: Vec<Vec<TaskId>> = stream::iter(sizes.zip(servers.iter().cycle()))
            .map(|(size, server)| {
                let free = &free;
                async move {
                    // Given back by whoever sees tasks end.
                    if let Ok(taken) = free.acquire_many(size).await {
                        taken.forget();
                    }
                    pings(client, server, size).await
                }
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        Ok::<BTreeSet<TaskId>, Trouble>(asked.into_iter().flatten().collect())
    };
    let mut given_back = 0;
    let ending = until_ended(bench, before, u64::from(tasks), |ended| {
        let more = ended.min(u64::from(tasks)) - given_back;
        given_back += more;
        free.add_permits(usize::try_from(more).unwrap_or(0));
    });
    let (asked, ()) = tokio::try_join!(asking, ending)?;
    let mut took = began.elapsed();
    let after = Counters::read(client).await?;
    let cpu_after = processes::usage(bench.processes);
    let mine = usage::mine()?.cpu_seconds - mine_before.cpu_seconds;

    // Others' tasks count as well: then some of ours are still open.
    let mut seen = ends(client, &asked).await?;
    while seen.finished < tasks {
        tokio::time::sleep(AGAIN).await;
        took = began.elapsed();
        seen = ends(client, &asked).await?;
    }
    let count = f64::from(tasks);
    #[allow(clippy::cast_precision_loss)]
    let each = |after: u64, before: u64| rounded((after - before) as f64 / count);
    Ok(Throughput {
        tasks,
        succeeded: seen.succeeded,
        window,
        seconds: took.as_secs_f64(),
        tasks_per_second: rounded(count / took.as_secs_f64()),
        client_cpu_ms: rounded(mine * 1e3),
        per_task: PerTask {
            messages: each(after.messages, before.messages),
            bytes: each(after.bytes, before.bytes),
            cpu_ms: cpu_each(bench.processes, &cpu_before, &cpu_after, count),
        },
    })
}

fn cpu_each(
    watched: &[Watched],
    before: &[Option<usage::Usage>],
    after: &[Option<usage::Usage>],
    count: f64,
) -> BTreeMap<String, f64> {
    let each = watched.iter().zip(before.iter().zip(after));
    each.filter_map(|(process, (before, after))| {
        let used = (*after)?.cpu_seconds - (*before)?.cpu_seconds;
        Some((process.name.clone(), rounded(used * 1e3 / count)))
    })
    .collect()
}
