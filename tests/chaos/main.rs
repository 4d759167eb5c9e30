//! `kolga-chaos`: a whole system under load while everything goes wrong that can, and what came of it.
//!
//! Started by `deploy/chaos`, which brings up the services. [`system`] starts Kolga on them, [`load`] works
//! with it, [`nemesis`] fires the [`faults`], [`settle`] waits, [`checks`] judges; [`recovery`] measures how
//! long it takes until all goes on.

mod api;
mod checks;
mod children;
mod databases;
mod disk;
mod effects;
mod faults;
mod ledger;
mod load;
mod moves;
mod nemesis;
mod operations;
mod patience;
mod random;
mod recovery;
mod service;
mod settle;
mod system;
mod table;
mod world;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokio::time::Instant;

use crate::checks::{Check, Looked};
use crate::faults::Fault;
use crate::ledger::Ledger;
use crate::load::Load;
use crate::nemesis::Tally;
use crate::random::Random;
use crate::settle::Settled;
use crate::system::System;

/// Puts a whole system under load and makes everything fail that can, again and again, in a random order.
///
/// Prints how often each fault fired and what came of it, and checks that nothing was lost, nothing done
/// twice, and nothing left behind. Ends with 1 when a check fails or a fault never fired. Started by
/// `deploy/chaos`.
#[derive(Debug, Parser)]
#[command(name = "kolga-chaos", version)]
struct Arguments {
    /// For how long faults are fired; each is fired once at least.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,
    /// The choices: the same seed makes the same choices. Made up, and printed, where left out.
    #[arg(long)]
    seed: Option<u64>,
    /// Fire the next fault while what the last one broke may still be broken, which is rougher and quicker.
    #[arg(long)]
    hurry: bool,
    /// The hub keeps its tasks in PostgreSQL instead of SQLite.
    #[arg(long)]
    postgres: bool,
    /// Within how many seconds after the last fault everything must have settled; on a machine that is busy with
    /// other work, as many times as long as the load of each processor.
    #[arg(long, default_value_t = 60)]
    settle: u64,
    /// Only measure so many times how long recovery takes, from a worker, a broker and a hub that are killed.
    #[arg(long, value_name = "TIMES")]
    recovery: Option<u32>,
    /// Print tables as Markdown.
    #[arg(long)]
    markdown: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let system = Arc::new(System::start(arguments.postgres).await?);
    let passed = match arguments.recovery {
        Some(times) => {
            recovery::measure(&system, times, arguments.markdown).await?;
            true
        }
        None => chaos(&system, &arguments).await?,
    };
    system.stop().await;
    Ok(match passed {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

async fn chaos(system: &Arc<System>, arguments: &Arguments) -> anyhow::Result<bool> {
    let seed = arguments
        .seed
        .unwrap_or_else(|| u64::from(std::process::id()) ^ u64::from(clock_nanos()));
    println!(
        "seed {seed}, {}, {} minutes of faults{}",
        if arguments.postgres {
            "PostgreSQL"
        } else {
            "SQLite"
        },
        arguments.minutes,
        if arguments.hurry { " in a hurry" } else { "" },
    );
    println!();
    let mut random = Random::new(seed);
    let ledger = Arc::new(Ledger::default());
    tokio::try_join!(load::prepare(system), moves::prepare(system))?;
    let moves = moves::Tally::default();
    let load = Load::start(system, &ledger, &mut random, &moves);
    let began = Instant::now();
    let lasts = Duration::from_secs(arguments.minutes * 60);
    let tallies = nemesis::rage(system, &mut random, lasts, !arguments.hurry).await;
    let lasted = began.elapsed();
    load.stop().await;
    let settled = settle::settle(system, Duration::from_secs(arguments.settle)).await?;
    let (checks, looked) = checks::check(system, &ledger, &settled, &moves).await?;
    let tallies = nemesis::lock(&tallies).clone();
    let rows = Fault::all(system).into_iter().map(|fault| {
        let tally = tallies.get(fault.name()).cloned().unwrap_or_default();
        (fault.name(), tally)
    });
    let rows: Vec<_> = rows.collect();
    print_faults(&rows, arguments.markdown);
    print_checks(&checks, &settled, arguments);
    print_looked(&looked, &settled, lasted);
    let idle: Vec<_> = rows.iter().filter(|(_, tally)| tally.fired == 0).collect();
    for (name, tally) in &idle {
        println!("NEVER FIRED: {name}, tried {} times", tally.tried);
    }
    let broken: Vec<_> = checks
        .iter()
        .filter(|check| !check.against.is_empty())
        .collect();
    for check in &broken {
        println!("NOT SO: {}", check.name);
        for line in check.against.iter().take(20) {
            println!("    {line}");
        }
    }
    if settled.took.is_none() {
        let limit = table::duration(settled.limit);
        println!("NOT SO: everything settles within {limit}");
    }
    let passed = idle.is_empty() && broken.is_empty() && settled.took.is_some();
    if !passed {
        println!(
            "failed with seed {seed}; logs are in {}",
            system.folder.display()
        );
    }
    Ok(passed)
}

fn clock_nanos() -> u32 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.subsec_nanos())
}

fn print_faults(rows: &[(&str, Tally)], markdown: bool) {
    let cells = |(name, tally): &(&str, Tally)| {
        let known: Vec<Duration> = tally.flowing.iter().flatten().copied().collect();
        let never = tally.flowing.len() - known.len();
        let at =
            |percent| table::percentile(&known, percent).map_or_else(String::new, table::duration);
        let longest = match never {
            0 => at(100),
            _ => format!("never, {never} times"),
        };
        vec![(*name).to_owned(), tally.fired.to_string(), at(50), longest]
    };
    let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
    table::print(
        &[
            "fault",
            "fired",
            "tasks flow again after (p50)",
            "(longest)",
        ],
        &rows,
        markdown,
    );
}

fn print_checks(checks: &[Check], settled: &Settled, arguments: &Arguments) {
    let mut rows: Vec<Vec<String>> = checks
        .iter()
        .map(|check| {
            vec![
                check.name.to_owned(),
                check.against.len().to_string(),
                "0".to_owned(),
            ]
        })
        .collect();
    rows.push(vec![
        "everything settled after".to_owned(),
        settled
            .took
            .map_or_else(|| "never".to_owned(), table::duration),
        table::duration(settled.limit),
    ]);
    table::print(&["check", "found", "at most"], &rows, arguments.markdown);
}

fn print_looked(looked: &Looked, settled: &Settled, lasted: Duration) {
    let states: Vec<String> = looked
        .by_state
        .iter()
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    let moves: Vec<String> = looked
        .moves
        .iter()
        .map(|(how, count)| format!("{count} {how}"))
        .collect();
    println!(
        "Looked at: {} tasks ({}) in {} attempts; {} operations over {} items; {} installers begun, {} whose task succeeded; {} numbered \
         lines of logs, {} gaps told; moves: {}, {} of whose tasks were interrupted and done again; {} looks at sites that move, {} of them at a page; {} sites at the end; {} tasks stuck while MariaDB was away, all undone \
         by retry-undo; {} of faults.",
        looked.tasks,
        states.join(", "),
        looked.attempts,
        looked.operations,
        looked.items,
        looked.begun,
        looked.effects,
        looked.lines,
        looked.gaps_told,
        moves.join(", "),
        looked.moves_again,
        looked.looks,
        looked.pages,
        looked.sites,
        settled.stuck_by_mariadb.len(),
        table::duration(lasted),
    );
}
