//! What a task of an operation costs, from the commit that ends one to the next one's message, at the beginning and at
//! the end of operations of several sizes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kolga_hub::selector::Selector;
use kolga_hub::store::Store;
use kolga_hub::store::operations::advance::Advance;
use kolga_hub::store::operations::prune::PruneOperations;
use kolga_hub::store::operations::start::{Start, Work};
use kolga_hub::store::outbox::Take;
use kolga_hub::store::published::{Fate, Published};
use kolga_hub::store::reports::TakeReports;
use kolga_protocol::id::UnixMillis;
use kolga_protocol::message::{Report, ReportBody, Reports, StateReport};
use kolga_protocol::names::ServerName;
use kolga_protocol::state::Event;
use uuid::Uuid;

use crate::measure::middle;

/// Tasks that are open at once.
const AT_ONCE: u32 = 50;
/// So many rounds are looked at, at either end.
const LOOKED_AT: usize = 10;

/// Measures one size after the other, and prints the table.
pub async fn table(store: &Store, sizes: &[u32]) -> anyhow::Result<()> {
    println!(
        "| sites | start, ms | longest that another waited, ms | first tasks, µs each | last tasks, µs each |\n\
         |---:|---:|---:|---:|---:|"
    );
    for &sites in sizes {
        let (started, waited) = start(store, sites).await?;
        let mut rounds = Vec::new();
        while let Some(each) = round(store).await? {
            rounds.push(each);
        }
        let ends = LOOKED_AT.min(rounds.len());
        let first = middle(rounds[..ends].to_vec());
        let last = middle(rounds[rounds.len() - ends..].to_vec());
        println!(
            "| {sites} | {:.1} | {:.1} | {} | {} |",
            started.as_secs_f64() * 1000.0,
            waited.as_secs_f64() * 1000.0,
            first.as_micros(),
            last.as_micros()
        );
    }
    Ok(())
}

/// How long it takes, and how long somebody else waits for the writer meanwhile, at most.
async fn start(store: &Store, sites: u32) -> anyhow::Result<(Duration, Duration)> {
    let hosts = (0..sites).map(|number| format!("blog{number}.example.org").parse());
    let start = Start {
        work: Work::new("site.disable", serde_json::Map::new(), None)?,
        select: Selector {
            sites: hosts.collect::<Result<_, _>>()?,
            ..Selector::default()
        },
        parallel: AT_ONCE,
        per_server: None,
        stop_after: 0,
        dry_run: false,
        requested_by: "growth".to_owned(),
    };
    let began = Instant::now();
    let starting = store.start(start);
    tokio::pin!(starting);
    let mut longest = Duration::ZERO;
    loop {
        let asked = Instant::now();
        // It looks for what is not there, and so takes no time of its own.
        let another = store.write(PruneOperations);
        tokio::pin!(another);
        tokio::select! {
            biased;
            done = &mut starting => {
                done?;
                return Ok((began.elapsed(), longest));
            }
            written = &mut another => {
                written?;
                longest = longest.max(asked.elapsed());
            }
        }
    }
}

/// As many as may be open are made, sent, and end; how long for each, if there were any.
async fn round(store: &Store) -> anyhow::Result<Option<Duration>> {
    let began = Instant::now();
    while store.write(Advance).await? {}
    let items = store.write(Take { most: 256 }).await?;
    let Some(made) = u32::try_from(items.len()).ok().filter(|&made| made > 0) else {
        return Ok(None);
    };
    let mut by_server: BTreeMap<ServerName, Vec<Report>> = BTreeMap::new();
    for item in &items {
        let ways = (1..).zip([Event::Accepted, Event::Started, Event::Succeeded]);
        let reports = ways.map(|(seq, event)| Report {
            run: item.run,
            seq,
            at: UnixMillis::now(),
            body: ReportBody::State(StateReport::bare(event)),
        });
        by_server
            .entry(item.server.clone())
            .or_default()
            .extend(reports);
    }
    let results = items.into_iter().map(|item| (item, Fate::Confirmed));
    let results = Arc::new(results.collect());
    store.write(Published { results }).await?;
    let batches = by_server.into_iter().map(|(server, items)| Reports {
        server,
        journal: Uuid::nil(),
        items,
    });
    let batches = batches.collect();
    let refused = Vec::new();
    store.write(TakeReports { batches, refused }).await?;
    Ok(Some(began.elapsed() / made))
}
