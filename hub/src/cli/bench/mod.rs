//! `kolga bench`: what an operator needs to know to size an installation. It asks as every client asks and
//! hears as every client hears, over the API and its streams; every task goes the whole durable way.
//!
//! One file a phase: `throughput`, `latency` (alone and at half load), `fan_out`, `log`. They share how to ask
//! (`asking`), how to hear that tasks have ended (`counters`) and what processes use (`processes`);
//! `simulate` makes servers where there are not enough; `figures` shows what came of it.

mod asking;
mod counters;
mod fan_out;
mod figures;
mod latency;
mod log;
mod processes;
mod progress;
mod simulate;
mod simulated;
mod throughput;

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use kolga_protocol::names::ServerName;

use figures::{Figures, Step};
use processes::Watched;
use simulate::Simulation;

use super::client::Client;
use super::screen::Screen;
use super::trouble::Trouble;
use crate::wire::{self, Doctor, Page, Presence, Server};

/// Tasks to each server that go before the clock starts, so that connections and caches are as they are in
/// use; one where there are many servers.
const WARM_UP: u32 = 20;
const MANY: usize = 10;

/// `kolga bench`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kolga bench                                    all phases, over all servers that are online
  kolga bench --only throughput --tasks 20000 --servers web1,web2 --window 1000 --json
  kolga bench --process hub=812 --process worker=944 --process broker=530
  deploy/bench-users 1000 >/root/broker && \\
  kolga bench --simulate 10,100,1000 --broker-file /root/broker

Phases:
  throughput  tasks a second; and for each the messages, bytes and processor time (--process)
  idle        one task after the other: until begun, until finished
  half-load   the same, while tasks come at fixed times, half as many a second as went before
  fan-out     one task to each server: until all have answered
  log         lines a second, from a child of the worker to a client that follows (not simulated)

The tasks are pings: stored by the hub, confirmed by the broker, journaled by the worker, reported, and
stored again, like any other task, and nothing in between. They stay in the list of tasks until they are
pruned. `until begun` compares the clocks of this machine and of the server.

Simulated servers run in this process: connections, queues, rights and messages are a worker's, over the
same code; their journals are in memory only and cost no disk. They are called sim-1, sim-2 …, and are
removed at the end, also after ctrl-c.")]
pub(super) struct Args {
    /// Phases; those that make sense where left out
    #[arg(long, value_name = "PHASES", value_delimiter = ',')]
    only: Vec<Phase>,
    /// How many tasks, for the figure of tasks per second
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    tasks: u32,
    /// To which servers, in turn; all that are online where left out
    #[arg(long, value_name = "SERVERS", value_delimiter = ',')]
    servers: Vec<ServerName>,
    /// At most about so many tasks under way at once; all of them where left out
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    window: Option<u32>,
    /// How many tasks one at a time, for the figures of latency
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    single: u32,
    /// How long the load lasts, for the figures of latency at half load
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    load_seconds: u64,
    /// How many lines of a log
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    lines: u32,
    /// How long each line is, in bytes
    #[arg(long, value_name = "N", default_value_t = 80, value_parser = clap::value_parser!(u32).range(8..=8192))]
    line_bytes: u32,
    /// Watch a process of this machine, such as hub=812; may be given again
    #[arg(long, value_name = "NAME=PID")]
    process: Vec<Watched>,
    /// Simulate so many servers; of several numbers each is measured, in growing order
    #[arg(long, value_name = "N", value_delimiter = ',', conflicts_with = "servers", requires = "broker_file",
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    simulate: Vec<u32>,
    /// The file with the broker's URL for simulated servers: see deploy/bench-users
    #[arg(long, value_name = "FILE")]
    broker_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Phase {
    Throughput,
    Idle,
    HalfLoad,
    FanOut,
    Log,
}

/// What every phase is given.
struct Bench<'a> {
    client: &'a Client,
    screen: &'a Screen,
    tasks: u32,
    window: Option<u32>,
    processes: &'a [Watched],
}

impl Args {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let doctor: Doctor = client.get("/v1/doctor", &[]).await?;
        let bench = Bench {
            client,
            screen,
            tasks: self.tasks,
            window: self.window,
            processes: &self.process,
        };
        let mut steps = match &self.broker_file {
            Some(file) if !self.simulate.is_empty() => {
                let mut simulation = Simulation::new(file)?;
                let measured = tokio::select! {
                    steps = self.ramp(&bench, &mut simulation) => steps,
                    _ = tokio::signal::ctrl_c() => Err(Trouble::Interrupted),
                };
                let ended = simulation.end(client, screen).await;
                let steps = measured?;
                ended?;
                steps
            }
            _ => {
                let servers = self.servers(client).await?;
                vec![self.measure(&bench, &servers, None).await?]
            }
        };
        let Some(last) = steps.pop() else {
            return Ok(());
        };
        let figures = Figures {
            version: doctor.version,
            database: doctor.database,
            broker: doctor.broker,
            last,
            before: steps,
        };
        figures.show(screen)?;
        match figures.failed() {
            0 => Ok(()),
            _ => Err(Trouble::TaskFailed),
        }
    }

    async fn ramp(
        &self,
        bench: &Bench<'_>,
        simulation: &mut Simulation,
    ) -> Result<Vec<Step>, Trouble> {
        let mut counts = self.simulate.clone();
        counts.sort_unstable();
        counts.dedup();
        let mut steps = Vec::new();
        for count in counts {
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            let took = simulation.grow(bench.client, bench.screen, count).await?;
            steps.push(self.measure(bench, simulation.names(), Some(took)).await?);
        }
        Ok(steps)
    }

    fn wants(&self, phase: Phase, simulated: bool) -> bool {
        let usual = match phase {
            Phase::Log => !simulated,
            Phase::Idle | Phase::HalfLoad => self.single > 0 && !simulated,
            Phase::Throughput | Phase::FanOut => true,
        };
        if self.only.is_empty() {
            usual
        } else {
            self.only.contains(&phase) && (phase != Phase::Log || !simulated)
        }
    }

    async fn measure(
        &self,
        bench: &Bench<'_>,
        servers: &[ServerName],
        connected: Option<Duration>,
    ) -> Result<Step, Trouble> {
        let wants = |phase| self.wants(phase, connected.is_some());
        let each = if servers.len() > MANY { 1 } else { WARM_UP };
        fan_out::round(bench, servers, each).await?;
        let mut memory = processes::memory(bench.processes);
        let mut step = Step {
            servers: servers.len(),
            simulated: connected.is_some(),
            connect_seconds: connected.map(|took| figures::rounded(took.as_secs_f64())),
            throughput: None,
            latency: None,
            half_load: None,
            fan_out: None,
            log: None,
            memory: Vec::new(),
        };
        if wants(Phase::FanOut) {
            step.fan_out = Some(fan_out::measure(bench, servers).await?);
        }
        if wants(Phase::Idle) && self.single > 0 {
            step.latency = Some(latency::idle(bench, &servers[0], self.single).await?);
        }
        if wants(Phase::Throughput) || wants(Phase::HalfLoad) {
            step.throughput = Some(throughput::measure(bench, servers).await?);
            processes::look(bench.processes, &mut memory);
        }
        if let Some(whole) = step.throughput.as_ref().filter(|_| wants(Phase::HalfLoad)) {
            let (rate, time) = (
                whole.tasks_per_second / 2.0,
                Duration::from_secs(self.load_seconds),
            );
            step.half_load = Some(latency::half_load(bench, servers, rate, time).await?);
        }
        if wants(Phase::Log) {
            let log = log::measure(bench, &servers[0], self.lines, self.line_bytes).await?;
            step.log = Some(log);
        }
        processes::look(bench.processes, &mut memory);
        step.memory = memory;
        Ok(step)
    }

    async fn servers(&self, client: &Client) -> Result<Vec<ServerName>, Trouble> {
        if !self.servers.is_empty() {
            return Ok(self.servers.clone());
        }
        let mut online = Vec::new();
        let mut query = vec![("limit", "1000".to_owned())];
        loop {
            let page: Page<Server> = client.get("/v1/servers", &query).await?;
            let heard = page.items.into_iter();
            let heard = heard.filter(|server| server.presence == Presence::Online);
            online.extend(heard.map(|server| server.name));
            let Some(next) = page.next else { break };
            query.truncate(1);
            query.push(("after", next));
        }
        if online.is_empty() {
            let error = wire::Error {
                code: "no_server_online".to_owned(),
                message: "no server is online, so nobody would answer a ping".to_owned(),
                hint: Some("See what is wrong with them: kolga doctor".to_owned()),
            };
            return Err(Trouble::Refused { error });
        }
        Ok(online)
    }
}
