//! One ping to each server: how long until all have answered.

use std::time::{Duration, Instant};

use kolga_protocol::names::ServerName;
use serde::Serialize;

use super::Bench;
use super::asking::{ends, everybody};
use super::counters::{Counters, until_ended};
use super::figures::Spread;
use crate::cli::trouble::Trouble;

/// So often, since the first of anything is slower.
const ROUNDS: u32 = 5;

/// What came of it.
#[derive(Debug, Serialize)]
pub(super) struct FanOut {
    /// How many servers.
    pub servers: usize,
    /// How many tasks did not succeed, in all rounds.
    pub failed: usize,
    /// How often it was done.
    pub rounds: u32,
    /// From the first request until the last answer was in the hub's store.
    pub all_answered_ms: Spread,
}

pub(super) async fn measure(bench: &Bench<'_>, servers: &[ServerName]) -> Result<FanOut, Trouble> {
    bench.screen.note(&format!(
        "Fan-out: one task to each of {} servers, {ROUNDS} times …",
        servers.len()
    ));
    let mut times = Vec::new();
    let mut failed = 0;
    for _ in 0..ROUNDS {
        let (took, missing) = round(bench, servers, 1).await?;
        times.push(took);
        failed += missing;
    }
    Ok(FanOut {
        servers: servers.len(),
        failed,
        rounds: ROUNDS,
        all_answered_ms: Spread::of(times),
    })
}

/// So many pings to each server; how long it took, and how many did not succeed.
pub(super) async fn round(
    bench: &Bench<'_>,
    servers: &[ServerName],
    each: u32,
) -> Result<(Duration, usize), Trouble> {
    let count = servers.len() * usize::try_from(each).unwrap_or(usize::MAX);
    let before = Counters::read(bench.client).await?;
    let began = Instant::now();
    let asking = everybody(bench.client, servers, each);
    let ending = until_ended(bench, before, count as u64, |_| {});
    let (asked, ()) = tokio::try_join!(asking, ending)?;
    let mut took = began.elapsed();
    let mut seen = ends(bench.client, &asked).await?;
    while (seen.finished as usize) < count {
        took = began.elapsed();
        seen = ends(bench.client, &asked).await?;
    }
    Ok((took, count - seen.succeeded as usize))
}
