//! A store that the first release left behind, `fixtures/store-1.sql`: this release opens it, shows it, and goes
//! on where it stopped. `examples/store_fixture.rs` says how it was made.

use std::path::PathBuf;

use kolga_hub::store::outbox::Take;
use kolga_hub::store::read::Filter;
use kolga_hub::store::reports::TakeReports;
use kolga_hub::store::{Policy, Store};
use kolga_hub::wire::Task;
use kolga_protocol::id::{Run, UnixMillis};
use kolga_protocol::message::{Report, ReportBody, Reports, StateReport};
use kolga_protocol::state::{Event, State};
use kolga_protocol::task::{Output, ping};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};

/// What a red test means before the first release.
const CHANGED: &str = "it opens; was the schema changed? Until the first release: cargo run -p kolga --example store_fixture";

const POLICY: Policy = Policy {
    attempts: 3,
    retry_millis: 0,
    check_millis: 0,
};

/// A folder with the store of the fixture; gone when dropped.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

async fn open() -> (Store, Folder) {
    let folder = std::env::temp_dir().join(format!("kolga-fixture-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir(&folder).expect("a folder");
    let file = folder.join("kolga.sqlite");
    let mut database = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&file)
        .create_if_missing(true)
        .connect()
        .await
        .expect("a database");
    let sql = include_str!("fixtures/store-1.sql");
    database.execute(AssertSqlSafe(sql)).await.expect("loaded");
    let url = format!("sqlite:{}", file.display());
    let (store, _) = Store::open(&url, POLICY).await.expect(CHANGED);
    (store, Folder(folder))
}

/// The task whose asker has this name.
async fn task(store: &Store, name: &str) -> Task {
    let filter = Filter {
        limit: 100,
        ..Filter::default()
    };
    let tasks = store.tasks(&filter).await.expect("they are read");
    assert_eq!(tasks.len(), 12);
    let found = tasks.into_iter().find(|task| task.requested_by == name);
    found.unwrap_or_else(|| panic!("no task asked for by {name}"))
}

async fn tell(store: &Store, task: &Task, seq: u64, report: StateReport) {
    let report = Report {
        run: Run::new(task.id, task.attempt),
        seq,
        at: UnixMillis::now(),
        body: ReportBody::State(report),
    };
    let batch = Reports {
        server: "web1".parse().expect("a name"),
        journal: uuid::Uuid::nil(),
        items: vec![report],
    };
    let take = TakeReports {
        batches: vec![batch],
        refused: Vec::new(),
    };
    store.write(take).await.expect("taken");
}

fn pong() -> StateReport {
    let output = Output::Ping(ping::Output {
        worker_version: "0.1.0".to_owned(),
        at_micros: 7,
    });
    StateReport {
        event: Event::Succeeded,
        failure: None,
        output: Some(output.to_payload()),
    }
}

#[tokio::test]
async fn every_task_of_an_old_store_is_shown_as_it_was() {
    let (store, _folder) = open().await;
    for state in State::ALL {
        assert_eq!(task(&store, state.as_str()).await.state, state);
    }
    let failed = task(&store, "failed").await;
    let failure = failed.failure.expect("a reason");
    assert_eq!(failure.message, "for the fixture: failed");
    let done = task(&store, "succeeded").await;
    let detail = store.task_detail(done.id).await.expect("read");
    let output = detail.expect("there").output.expect("a result");
    assert_eq!(output["worker_version"], "0.1.0");
    let running = task(&store, "running").await;
    let (log, _) = store.log(running.id, 0, 100).await.expect("read");
    let lines: Vec<_> = log.iter().map(|entry| entry.text.as_str()).collect();
    assert_eq!(lines.join("\n"), "one line\nand another");
    assert_eq!(running.step.expect("a step").name, "probe_server");
    let host = "www.example.org".parse().expect("a name");
    let site = store.site(&host).await.expect("read").expect("there");
    assert_eq!(site.url.as_deref(), Some("http://www.example.org/"));
}

#[tokio::test]
async fn a_hub_goes_on_where_that_release_stopped() {
    let (store, _folder) = open().await;
    // What was not sent is sent, and nothing else.
    let items = store.write(Take { most: 100 }).await.expect("taken");
    let queued = task(&store, "queued").await;
    let runs: Vec<Run> = items.iter().map(|item| item.run).collect();
    assert_eq!(runs, [Run::new(queued.id, queued.attempt)]);
    // Its reports were taken up to the fifth: the first again is old news, the sixth is next.
    let running = task(&store, "running").await;
    tell(&store, &running, 1, pong()).await;
    assert_eq!(task(&store, "running").await.state, State::Running);
    tell(&store, &running, 6, pong()).await;
    let done = task(&store, "running").await;
    assert!(done.state == State::Succeeded && done.finished);
    // An interruption that waits for its next attempt is not over; a rejection is.
    assert!(!task(&store, "interrupted").await.finished);
    assert!(task(&store, "rejected").await.finished);
}
