//! A store of one test, over either database, and what the scenarios say to it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use kolga_hub::store::create::Create;
use kolga_hub::store::outbox::{Item, Take};
use kolga_hub::store::published::{Fate, Published};
use kolga_hub::store::reports::TakeReports;
use kolga_hub::store::servers::AddServer;
use kolga_hub::store::{Policy, Store};
use kolga_hub::wire::Task;
use kolga_protocol::id::{Run, TaskId, UnixMillis};
use kolga_protocol::message::{Asked, Failure, Report, ReportBody, Reports, StateReport};
use kolga_protocol::names::ServerName;
use kolga_protocol::state::{Event, State};
use kolga_protocol::task::{Output, Params, ping};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};
use tokio::task::JoinHandle;
use uuid::Uuid;

pub struct Database {
    pub store: Store,
    writer: JoinHandle<()>,
    url: String,
    left: Left,
}

enum Left {
    Folder(PathBuf),
    Schema { url: String, name: String },
}

/// Attempts come at once and silence is due at once, so that no scenario waits for a clock.
const POLICY: Policy = Policy {
    attempts: 3,
    retry_millis: 0,
    check_millis: 0,
};

fn unique() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("kolga_store_{}_{number}", std::process::id())
}

impl Database {
    pub async fn sqlite() -> Self {
        let folder = std::env::temp_dir().join(unique());
        std::fs::create_dir(&folder).expect("a folder for a test");
        let url = format!("sqlite:{}", folder.join("kolga.sqlite").display());
        Self::open(&url, Left::Folder(folder)).await
    }

    pub async fn postgres() -> Self {
        Self::postgres_with("").await
    }

    /// With settings for every connection, `&options[name]=value` each.
    pub async fn postgres_with(settings: &str) -> Self {
        let path = std::env::var("KOLGA_TEST_STACK").expect("KOLGA_TEST_STACK: run deploy/test");
        let text = std::fs::read_to_string(path).expect("the stack's description can be read");
        let stack: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        let url = stack["postgres_url"]
            .as_str()
            .expect("the stack has PostgreSQL")
            .to_owned();
        let name = unique();
        run(&url, &format!("CREATE SCHEMA {name}")).await;
        let sign = if url.contains('?') { '&' } else { '?' };
        let own = format!("{url}{sign}options[search_path]={name}{settings}");
        Self::open(&own, Left::Schema { url, name }).await
    }

    async fn open(url: &str, left: Left) -> Self {
        let (store, writer) = Store::open(url, POLICY).await.expect("the store opens");
        for name in ["web1", "web2"] {
            let add = AddServer {
                name: server(name),
                requested_by: "test".to_owned(),
            };
            store.write(add).await.expect("a server is added");
        }
        Self {
            store,
            writer,
            url: url.to_owned(),
            left,
        }
    }

    /// As after the end of one hub and the start of the next.
    pub async fn reopen(self) -> Self {
        drop(self.store);
        self.writer.await.expect("the writer ends in order");
        let (store, writer) = Store::open(&self.url, POLICY)
            .await
            .expect("the store opens again");
        Self {
            store,
            writer,
            ..self
        }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How large the database's file is, once everything has come into it.
    pub fn sqlite_bytes(&self) -> u64 {
        let Left::Folder(folder) = &self.left else {
            panic!("this is not SQLite");
        };
        let length = |name: &str| std::fs::metadata(folder.join(name)).map_or(0, |file| file.len());
        length("kolga.sqlite") + length("kolga.sqlite-wal")
    }

    pub async fn end(self) {
        drop(self.store);
        self.writer.await.expect("the writer ends in order");
        match self.left {
            Left::Folder(folder) => std::fs::remove_dir_all(folder).expect("the folder goes"),
            Left::Schema { url, name } => {
                run(&url, &format!("DROP SCHEMA {name} CASCADE")).await;
            }
        }
    }
}

async fn run(url: &str, sql: &str) {
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(url)
        .await
        .expect("PostgreSQL answers");
    connection
        .execute(AssertSqlSafe(sql.to_owned()))
        .await
        .expect("a schema for a test");
}

pub fn server(name: &str) -> ServerName {
    name.parse().expect("a server's name")
}

pub fn a_ping() -> Params {
    Params::Ping(ping::Params::default())
}

pub async fn make(store: &Store, params: Params) -> TaskId {
    make_many(store, params, 1).await[0]
}

/// A task on a server of this name.
pub async fn make_on(store: &Store, on: &str, params: Params) -> TaskId {
    let create = Create {
        server: server(on),
        params,
        count: 1,
        requested_by: "test".to_owned(),
    };
    store.write(create).await.expect("a task is made")[0]
}

pub async fn make_many(store: &Store, params: Params, count: u32) -> Vec<TaskId> {
    let create = Create {
        server: server("web1"),
        params,
        count,
        requested_by: "test".to_owned(),
    };
    store.write(create).await.expect("tasks are made")
}

pub async fn task(store: &Store, id: TaskId) -> Task {
    store
        .task(id)
        .await
        .expect("the store can be read")
        .expect("the task is there")
}

pub async fn run_of(store: &Store, id: TaskId) -> Run {
    Run::new(id, task(store, id).await.attempt)
}

pub async fn take(store: &Store) -> Vec<Item> {
    store
        .write(Take { most: 1000 })
        .await
        .expect("the outbox can be read")
}

pub async fn publish(store: &Store, items: Vec<Item>, fate: &Fate) {
    let results = items.into_iter().map(|item| (item, fate.clone())).collect();
    let published = Published {
        results: std::sync::Arc::new(results),
    };
    store
        .write(published)
        .await
        .expect("what became of them is noted");
}

pub fn report(run: Run, seq: u64, body: ReportBody) -> Report {
    Report {
        run,
        seq,
        at: UnixMillis::now(),
        body,
    }
}

/// What a worker is asked about an attempt that stands there.
pub fn asked(run: Run, state: State) -> Asked {
    Asked { run, state }
}

pub fn event(event: Event) -> ReportBody {
    ReportBody::State(StateReport::bare(event))
}

pub fn because(event: Event, reason: &str) -> ReportBody {
    ReportBody::State(StateReport::because(event, Failure::plain(reason)))
}

pub fn success(output: &Output) -> ReportBody {
    ReportBody::State(StateReport {
        event: Event::Succeeded,
        failure: None,
        output: Some(output.to_payload()),
    })
}

pub async fn tell(store: &Store, items: Vec<Report>) {
    tell_from(store, "web1", items).await;
}

pub async fn tell_from(store: &Store, name: &str, items: Vec<Report>) {
    let batch = Reports {
        server: server(name),
        journal: Uuid::nil(),
        items,
    };
    let take = TakeReports {
        batches: vec![batch],
        refused: Vec::new(),
    };
    store.write(take).await.expect("reports are taken");
}

/// The bodies as reports of one attempt, numbered from 1.
pub fn numbered(run: Run, bodies: Vec<ReportBody>) -> Vec<Report> {
    (1..)
        .zip(bodies)
        .map(|(seq, body)| report(run, seq, body))
        .collect()
}
