//! How the hub's store behaves as it fills: cost of a task's whole way, of questions and of pruning, and the
//! hub's memory, over stores of several sizes. It prints the table that stands in `docs/GROWTH.md`.
//!
//! ```text
//! cargo build --release -p kolga --bins --examples
//! target/release/examples/growth --store sqlite:/var/tmp/growth.sqlite
//! target/release/examples/growth --store postgres://kolga:…@127.0.0.1/growth
//! target/release/examples/growth --store sqlite:/var/tmp/growth.sqlite --operations 10,100,1000,10000
//! ```
//!
//! History is written past the store, in the form in which the store writes it; everything that is measured goes
//! through the store's own operations, in batches as the relay and the inbox hand them over.

mod fill;
mod hub;
mod measure;
mod operations;

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use kolga_hub::store::{Policy, Store};

/// Fill a store to several sizes and measure at each
#[derive(Debug, Parser)]
struct Args {
    /// An empty database: sqlite:FILE or postgres://…
    #[arg(long, value_name = "URL")]
    store: String,
    /// Tasks in the store
    #[arg(long, value_name = "N,N…", value_delimiter = ',', default_values_t = [10, 1000, 100_000, 1_000_000])]
    sizes: Vec<u32>,
    /// Sites in the store, from the beginning
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    sites: u32,
    /// Measure operations over so many of the sites, and nothing else
    #[arg(long, value_name = "N,N…", value_delimiter = ',')]
    operations: Vec<u32>,
}

/// A row of the table.
struct Row {
    tasks: u32,
    way: Duration,
    create: Duration,
    claim: Duration,
    questions: Vec<(&'static str, Duration)>,
    prune: Duration,
    mib: u64,
    hub: hub::Memory,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let policy = Policy {
        attempts: 3,
        retry_millis: 5000,
        check_millis: 60_000,
    };
    let (store, writer) = Store::open(&args.store, policy).await?;
    let held = store.held().await?;
    if held.tasks > 0 {
        bail!("{} holds tasks already: name an empty database", args.store);
    }
    println!(
        "{}; {} sites; {}",
        store.description(),
        args.sites,
        machine()
    );
    let mut fill = fill::Fill::new(&args.store, args.sites).await?;
    if !args.operations.is_empty() {
        return operations::table(&store, &args.operations).await;
    }
    let mut heading = None;
    for &tasks in &args.sizes {
        fill.up_to(tasks).await?;
        let way = measure::way(&store).await?;
        let claim = measure::claim(&store, tasks).await?;
        let row = Row {
            tasks,
            way: way.whole,
            create: way.create,
            claim,
            questions: measure::questions(&store).await?,
            prune: measure::prune(&store).await?,
            mib: fill.mib().await?,
            hub: hub::memory(&args.store).context("the hub's memory")?,
        };
        let heading = heading.get_or_insert_with(|| print_heading(&row));
        print(heading, &row);
    }
    drop(store);
    writer.await?;
    Ok(())
}

fn machine() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    format!("{cores} cores, load {load} at the start")
}

fn print_heading(row: &Row) -> Vec<&'static str> {
    let names: Vec<_> = row.questions.iter().map(|(name, _)| *name).collect();
    println!(
        "| tasks | whole way, µs a task | of it create | claim a site, µs | {} | prune, µs a task | database, MiB | \
         hub idle, MiB | hub after reading lists, MiB |",
        names.join(" | ")
    );
    println!("|{}", "---:|".repeat(names.len() + 8));
    names
}

fn print(names: &[&str], row: &Row) {
    let millis = |time: Duration| format!("{:.2}", time.as_secs_f64() * 1000.0);
    let questions: Vec<_> = names
        .iter()
        .zip(&row.questions)
        .map(|(_, (_, time))| millis(*time))
        .collect();
    println!(
        "| {} | {} | {} | {} | {} | {} | {} | {:.1} | {:.1} |",
        row.tasks,
        row.way.as_micros(),
        row.create.as_micros(),
        row.claim.as_micros(),
        questions.join(" | "),
        row.prune.as_micros(),
        row.mib,
        row.hub.idle,
        row.hub.after
    );
}
