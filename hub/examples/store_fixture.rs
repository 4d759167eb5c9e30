//! Makes `hub/tests/fixtures/store-1.sql`: a store of the first release with a task in every state, its
//! entries, a site, and an outbox that is not empty. `tests/fixture.rs` says what a later release must make
//! of it.
//!
//! Once a release has written this store, the file never changes again. Until then:
//! `cargo run -p kolga --example store_fixture`

#[path = "../../worker/examples/dump/mod.rs"]
mod dump;

use std::path::Path;
use std::sync::Arc;

use kolga_hub::store::create::Create;
use kolga_hub::store::outbox::Take;
use kolga_hub::store::published::{Fate, Published};
use kolga_hub::store::reports::TakeReports;
use kolga_hub::store::servers::AddServer;
use kolga_hub::store::{Policy, Store};
use kolga_protocol::id::{Attempt, Run, UnixMillis};
use kolga_protocol::message::{
    Failure, Level, LogLines, Report, ReportBody, Reports, StateReport, StepPhase, StepReport,
};
use kolga_protocol::state::Event;
use kolga_protocol::task::{Output, Params, ping, site_install};

/// Next attempts are due at once.
const POLICY: Policy = Policy {
    attempts: 3,
    retry_millis: 0,
    check_millis: 0,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("kolga-fixture-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let file = folder.join("kolga.sqlite");
    let (store, writer) = Store::open(&format!("sqlite:{}", file.display()), POLICY).await?;
    let requested_by = "anna".to_owned();
    let name = "web1".parse()?;
    store.write(AddServer { name, requested_by }).await?;
    scenario(&store).await?;
    drop(store);
    writer.await?;
    let to = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/store-1.sql");
    let about =
        "A store of the first release, made by `cargo run -p kolga --example store_fixture`.";
    dump::dump(&file, Path::new(to), about).await?;
    std::fs::remove_dir_all(&folder)?;
    println!("{to}");
    Ok(())
}

/// Who asks for a task says what is to become of it: that is how the test knows them.
async fn scenario(store: &Store) -> anyhow::Result<()> {
    let steps = |phase| {
        ReportBody::Step(StepReport {
            name: "probe_server".to_owned(),
            position: 1,
            total: 2,
            phase,
        })
    };
    let lines = ReportBody::Log(LogLines {
        level: Level::Output,
        step: Some("probe_server".to_owned()),
        text: "one line\nand another".to_owned(),
    });
    let began = || vec![event(Event::Accepted), event(Event::Started)];
    let rolled = |last: ReportBody| {
        let mut all = began();
        all.extend([because(Event::RollingBack), last]);
        all
    };
    let mut succeeded = began();
    succeeded.push(success(&Output::Ping(ping::Output {
        worker_version: "0.1.0".to_owned(),
        at_micros: 1_700_000_000_000_000,
    })));
    let mut running = began();
    running.extend([steps(StepPhase::Applying), lines, steps(StepPhase::Applied)]);
    let mut installed = began();
    installed.push(success(&Output::SiteInstall(site_install::Output {
        url: "http://www.example.org/".to_owned(),
        path: "/var/lib/kolga/sites/www.example.org".to_owned(),
        database: None,
        admin_user: None,
        secret_file: None,
    })));
    let install = Params::SiteInstall(site_install::Params {
        site: "www.example.org".parse()?,
        aliases: vec!["example.org".parse()?],
        profile: "static".parse()?,
        platform: None,
        options: std::collections::BTreeMap::new(),
    });
    let mut stuck = began();
    stuck.extend([because(Event::RollingBack), because(Event::Stuck)]);
    for (name, params, reports) in [
        ("sent", pings(), Vec::new()),
        ("accepted", pings(), vec![event(Event::Accepted)]),
        ("running", pings(), running),
        ("rolling_back", pings(), {
            let mut all = began();
            all.push(because(Event::RollingBack));
            all
        }),
        ("stuck", pings(), stuck),
        ("succeeded", pings(), succeeded),
        ("failed", pings(), rolled(because(Event::Failed))),
        ("cancelled", pings(), rolled(because(Event::Cancelled))),
        ("interrupted", pings(), rolled(because(Event::Interrupted))),
        ("rejected", pings(), vec![because(Event::Rejected)]),
        ("installed", install, installed),
    ] {
        let run = make(store, name, params).await?;
        send(store).await?;
        tell(store, run, reports).await?;
    }
    // Last, so that the relay has not taken it.
    make(store, "queued", pings()).await?;
    Ok(())
}

fn pings() -> Params {
    Params::Ping(ping::Params {})
}

async fn make(store: &Store, name: &str, params: Params) -> anyhow::Result<Run> {
    let create = Create {
        server: "web1".parse()?,
        params,
        count: 1,
        requested_by: name.to_owned(),
    };
    let tasks = store.write(create).await?;
    Ok(Run::new(tasks[0], Attempt::FIRST))
}

/// What the relay does.
async fn send(store: &Store) -> anyhow::Result<()> {
    let items = store.write(Take { most: 1000 }).await?;
    let results = items.into_iter().map(|item| (item, Fate::Confirmed));
    let results = Arc::new(results.collect());
    Ok(store.write(Published { results }).await.map(drop)?)
}

/// What the inbox does.
async fn tell(store: &Store, run: Run, bodies: Vec<ReportBody>) -> anyhow::Result<()> {
    let items = (1..)
        .zip(bodies)
        .map(|(seq, body)| Report {
            run,
            seq,
            at: UnixMillis(1_700_000_000_000),
            body,
        })
        .collect();
    let batch = Reports {
        server: "web1".parse()?,
        journal: uuid::Uuid::nil(),
        items,
    };
    let take = TakeReports {
        batches: vec![batch],
        refused: Vec::new(),
    };
    Ok(store.write(take).await.map(drop)?)
}

fn event(event: Event) -> ReportBody {
    ReportBody::State(StateReport::bare(event))
}

fn because(event: Event) -> ReportBody {
    let failure = Failure::plain(format!("for the fixture: {event}"));
    ReportBody::State(StateReport::because(event, failure))
}

fn success(output: &Output) -> ReportBody {
    ReportBody::State(StateReport {
        event: Event::Succeeded,
        failure: None,
        output: Some(output.to_payload()),
    })
}
