//! What was measured, for people and for programs.

use std::time::Duration;

use kolga_protocol::names::ServerName;
use serde::Serialize;

use super::super::screen::Screen;
use super::super::table::Table;
use super::super::trouble::Trouble;

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    /// The hub's version.
    pub version: String,
    /// As configured.
    pub database: String,
    /// As configured.
    pub broker: String,
    /// Who answered.
    pub servers: Vec<ServerName>,
    /// How many tasks.
    pub tasks: u32,
    /// How many of them did what they should.
    pub succeeded: u32,
    /// How many were under way at once, where that was bounded.
    pub window: Option<u32>,
    /// From the first request to the last end, as the hub's store has it.
    pub seconds: f64,
    /// The figure.
    pub tasks_per_second: f64,
    /// One task at a time.
    pub latency: Option<Latency>,
}

/// From the request until this client heard of it, in milliseconds.
#[derive(Debug, Serialize)]
pub(super) struct Latency {
    /// How many tasks.
    samples: usize,
    /// Until it had begun.
    started_ms: Spread,
    /// Until it had ended.
    finished_ms: Spread,
}

#[derive(Debug, Serialize)]
struct Spread {
    p50: f64,
    p99: f64,
    max: f64,
}

impl Latency {
    /// Sorts them out.
    pub(super) fn of(started: Vec<Duration>, finished: Vec<Duration>) -> Self {
        Self {
            samples: finished.len(),
            started_ms: Spread::of(started),
            finished_ms: Spread::of(finished),
        }
    }
}

impl Spread {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        // The nearest rank: the smallest that so many of a hundred do not exceed.
        let rank = |percent: usize| {
            let at = (times.len() * percent).div_ceil(100).saturating_sub(1);
            let time = times.get(at).copied().unwrap_or_default();
            (time.as_secs_f64() * 1e6).round() / 1e3
        };
        Self {
            p50: rank(50),
            p99: rank(99),
            max: rank(100),
        }
    }

    fn row(&self) -> String {
        format!(
            "p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
            self.p50, self.p99, self.max
        )
    }
}

impl Figures {
    /// Shows it.
    pub(super) fn show(&self, screen: &Screen) -> Result<(), Trouble> {
        if screen.is_json() {
            return Ok(screen.json(self)?);
        }
        let servers: Vec<&str> = self.servers.iter().map(ServerName::as_str).collect();
        let mut table = Table::pairs();
        table.pair("hub", format!("kolga {}", self.version));
        table.pair("database", &self.database);
        table.pair("broker", &self.broker);
        table.pair("servers", servers.join(", "));
        table.pair(
            "whole way",
            format!(
                "{:.0} tasks/s ({} tasks in {:.2} s)",
                self.tasks_per_second, self.tasks, self.seconds
            ),
        );
        if self.succeeded < self.tasks {
            let missing = self.tasks - self.succeeded;
            table.pair("did not succeed", format!("{missing} of them"));
        }
        if let Some(latency) = &self.latency {
            table.pair("until started", latency.started_ms.row());
            table.pair("until finished", latency.finished_ms.row());
        }
        Ok(table.show(screen)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_told_by_nearest_rank() {
        let spread = Spread::of((1..=200).rev().map(Duration::from_millis).collect());
        assert_eq!((spread.p50, spread.p99, spread.max), (100.0, 198.0, 200.0));
        assert_eq!(Spread::of(Vec::new()).p99, 0.0);
    }
}
