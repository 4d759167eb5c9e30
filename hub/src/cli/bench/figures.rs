//! What was measured, for people and for programs.

use std::time::Duration;

use serde::Serialize;

use super::fan_out::FanOut;
use super::latency::{HalfLoad, Latency};
use super::log::Log;
use super::processes::Memory;
use super::throughput::Throughput;
use crate::cli::screen::Screen;
use crate::cli::server::bytes;
use crate::cli::table::Table;
use crate::cli::trouble::Trouble;

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    /// The hub's version.
    pub version: String,
    /// As configured.
    pub database: String,
    /// As configured.
    pub broker: String,
    /// What was measured, with the most servers where there were several steps.
    #[serde(flatten)]
    pub last: Step,
    /// The steps before it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<Step>,
}

/// What was measured with one number of servers.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    /// How many servers.
    pub servers: usize,
    /// Whether they are simulated.
    pub simulated: bool,
    /// How long it took until the new ones among them were connected, where they are simulated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_seconds: Option<f64>,
    /// Tasks a second.
    #[serde(flatten)]
    pub throughput: Option<Throughput>,
    /// One task at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// One task among many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub half_load: Option<HalfLoad>,
    /// One task to each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fan_out: Option<FanOut>,
    /// Lines a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<Log>,
    /// What watched processes hold, over the whole step.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub memory: Vec<Memory>,
}

/// How times are spread, in milliseconds.
#[derive(Debug, Serialize)]
pub(super) struct Spread {
    p50: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

/// A figure with as many digits as anybody can use.
pub(super) fn rounded(figure: f64) -> f64 {
    (figure * 1e3).round() / 1e3
}

impl Spread {
    pub(super) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        // The nearest rank: the smallest that so many of a thousand do not exceed.
        let rank = |permille: usize| {
            let at = (times.len() * permille).div_ceil(1000).saturating_sub(1);
            rounded(times.get(at).copied().unwrap_or_default().as_secs_f64() * 1e3)
        };
        Self {
            p50: rank(500),
            p99: rank(990),
            p999: rank(999),
            max: rank(1000),
        }
    }

    fn row(&self) -> String {
        format!(
            "p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms, max {:.1} ms",
            self.p50, self.p99, self.p999, self.max
        )
    }
}

impl Figures {
    /// Shows it.
    pub(super) fn show(&self, screen: &Screen) -> Result<(), Trouble> {
        if screen.is_json() {
            return Ok(screen.json(self)?);
        }
        let mut table = Table::pairs();
        table.pair("hub", format!("kolga {}", self.version));
        table.pair("database", &self.database);
        table.pair("broker", &self.broker);
        for step in self.before.iter().chain([&self.last]) {
            step.tell(&mut table);
        }
        Ok(table.show(screen)?)
    }

    /// Tasks that did not do what they should, of all phases.
    pub(super) fn failed(&self) -> usize {
        let steps = self.before.iter().chain([&self.last]);
        steps.map(Step::failed).sum()
    }
}

impl Step {
    fn failed(&self) -> usize {
        let whole = self.throughput.as_ref();
        whole.map_or(0, |whole| (whole.tasks - whole.succeeded) as usize)
            + self.half_load.as_ref().map_or(0, |half| half.failed)
            + self.fan_out.as_ref().map_or(0, |fan_out| fan_out.failed)
    }

    fn tell(&self, table: &mut Table) {
        let simulated = if self.simulated { "simulated, " } else { "" };
        let connected = self
            .connect_seconds
            .map(|s| format!("connected in {s:.1} s"));
        let how = connected.unwrap_or_else(|| "online".to_owned());
        table.pair("servers", format!("{} {simulated}{how}", self.servers));
        if let Some(whole) = &self.throughput {
            let Throughput {
                tasks,
                seconds,
                tasks_per_second,
                ..
            } = whole;
            table.pair(
                "whole way",
                format!("{tasks_per_second:.0} tasks/s ({tasks} tasks in {seconds:.2} s)"),
            );
            let each = &whole.per_task;
            table.pair(
                "each",
                format!("{:.2} messages, {:.0} bytes", each.messages, each.bytes),
            );
            for (name, cpu) in &each.cpu_ms {
                table.pair("each", format!("{cpu:.3} ms of processor time in {name}"));
            }
        }
        if let Some(latency) = &self.latency {
            latency.tell(table, "alone");
        }
        if let Some(half) = &self.half_load {
            half.latency
                .tell(table, &format!("at {:.0} tasks/s", half.tasks_per_second));
        }
        if let Some(fan_out) = &self.fan_out {
            let times = fan_out.all_answered_ms.row();
            table.pair(
                "all answered",
                format!("{} servers: {times}", fan_out.servers),
            );
        }
        if let Some(log) = &self.log {
            table.pair(
                "log",
                format!(
                    "{:.0} lines/s followed live ({} of {} lines in {:.2} s, {} lost with {} marks)",
                    log.lines_per_second, log.heard, log.lines, log.seconds, log.lost, log.marks
                ),
            );
            log.memory.iter().for_each(|held| held.tell(table, "log"));
        }
        self.memory
            .iter()
            .for_each(|held| held.tell(table, "memory"));
        if self.failed() > 0 {
            table.pair("did not succeed", format!("{} tasks", self.failed()));
        }
    }
}

impl Latency {
    fn tell(&self, table: &mut Table, when: &str) {
        let started = match &self.started_ms {
            Some(times) => times.row(),
            None => "unknown: the server's clock is not this machine's".to_owned(),
        };
        table.pair("until started", format!("{when}: {started}"));
        let finished = self.finished_ms.row();
        table.pair("until finished", format!("{when}: {finished}"));
    }
}

impl Memory {
    fn tell(&self, table: &mut Table, name: &str) {
        table.pair(
            name,
            format!(
                "{}: {} before, {} at most, {} after",
                self.name,
                bytes(self.before),
                bytes(self.most),
                bytes(self.after)
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_told_by_nearest_rank() {
        let spread = Spread::of((1..=2000).rev().map(Duration::from_millis).collect());
        assert_eq!(
            (spread.p50, spread.p99, spread.p999, spread.max),
            (1000.0, 1980.0, 1998.0, 2000.0)
        );
        let few = Spread::of((1..=10).map(Duration::from_millis).collect());
        assert_eq!((few.p50, few.p99, few.p999), (5.0, 10.0, 10.0));
        assert_eq!(Spread::of(Vec::new()).p99, 0.0);
    }

    #[test]
    fn a_phase_that_was_left_out_is_missing_and_not_zero() {
        let figures = Figures {
            version: "1".to_owned(),
            database: "SQLite".to_owned(),
            broker: "RabbitMQ".to_owned(),
            last: Step {
                servers: 2,
                simulated: false,
                connect_seconds: None,
                throughput: None,
                latency: Some(Latency {
                    samples: 1,
                    started_ms: None,
                    finished_ms: Spread::of(vec![Duration::from_micros(2500)]),
                }),
                half_load: None,
                fan_out: None,
                log: None,
                memory: Vec::new(),
            },
            before: Vec::new(),
        };
        let json = serde_json::to_value(&figures).expect("plain data");
        assert_eq!(json["latency"]["finished_ms"]["p50"], 2.5);
        assert_eq!(json["latency"]["started_ms"], serde_json::Value::Null);
        let top = json.as_object().expect("an object");
        for missing in ["tasks_per_second", "half_load", "fan_out", "log", "before"] {
            assert!(!top.contains_key(missing), "{missing}");
        }
    }
}
