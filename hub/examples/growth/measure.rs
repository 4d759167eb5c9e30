//! What is measured at each size: medians of many, through the store's own operations.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kolga_hub::store::create::Create;
use kolga_hub::store::outbox::Take;
use kolga_hub::store::prune::{Prune, What};
use kolga_hub::store::published::{Fate, Published};
use kolga_hub::store::read::Filter;
use kolga_hub::store::reports::TakeReports;
use kolga_hub::store::{Store, StoreError};
use kolga_protocol::id::{Attempt, Run, TaskId, UnixMillis};
use kolga_protocol::message::{
    Level, LogLines, Report, ReportBody, Reports, StateReport, StepPhase, StepReport,
};
use kolga_protocol::names::ServerName;
use kolga_protocol::state::{Event, State};
use kolga_protocol::task::{Params, ping, site_install};
use uuid::Uuid;

/// Tasks handed on together, as under load.
const BATCH: u32 = 100;
/// So many batches are measured.
const ROUNDS: u32 = 40;
/// How often each question is asked.
const ASKED: u32 = 200;

/// The median.
pub fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn server() -> ServerName {
    "web1".parse().expect("a server's name")
}

/// A task's way through the store.
pub struct Way {
    pub whole: Duration,
    pub create: Duration,
}

/// Made, taken by the relay, confirmed, reported about, ended: per task.
pub async fn way(store: &Store) -> Result<Way, StoreError> {
    let (mut wholes, mut creates) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let params = Params::Ping(ping::Params::default());
        let tasks = store.write(create(params, BATCH)).await?;
        creates.push(began.elapsed() / BATCH);
        end(store, &tasks).await?;
        wholes.push(began.elapsed() / BATCH);
    }
    Ok(Way {
        whole: middle(wholes),
        create: middle(creates),
    })
}

fn create(params: Params, count: u32) -> Create {
    Create {
        server: server(),
        params,
        count,
        requested_by: "growth".to_owned(),
    }
}

async fn end(store: &Store, tasks: &[TaskId]) -> Result<(), StoreError> {
    let items = store.write(Take { most: 256 }).await?;
    let results = items.into_iter().map(|item| (item, Fate::Confirmed));
    let results = Arc::new(results.collect());
    store.write(Published { results }).await?;
    let mut items = Vec::new();
    for &task in tasks {
        let bodies = [
            ReportBody::State(StateReport::bare(Event::Accepted)),
            ReportBody::State(StateReport::bare(Event::Started)),
            ReportBody::Step(StepReport {
                name: "answer".to_owned(),
                position: 1,
                total: 1,
                phase: StepPhase::Applied,
            }),
            ReportBody::Log(LogLines {
                level: Level::Output,
                step: Some("answer".to_owned()),
                text: "a line of a log as long as such lines are, with a number or two: 4711"
                    .to_owned(),
            }),
            ReportBody::State(StateReport::bare(Event::Succeeded)),
        ];
        items.extend((1..).zip(bodies).map(|(seq, body)| Report {
            run: Run::new(task, Attempt::FIRST),
            seq,
            at: UnixMillis::now(),
            body,
        }));
    }
    let batches = vec![Reports {
        server: server(),
        journal: Uuid::nil(),
        items,
    }];
    let refused = Vec::new();
    store.write(TakeReports { batches, refused }).await
}

/// A new site among all others: its names are looked up and taken.
pub async fn claim(store: &Store, round: u32) -> Result<Duration, StoreError> {
    let mut times = Vec::new();
    for number in 0..ROUNDS {
        let host = format!("new{number}.after{round}.example.org");
        let params = Params::SiteInstall(site_install::Params {
            site: host.parse().expect("a host name"),
            aliases: vec![format!("www.{host}").parse().expect("an alias")],
            profile: "static".parse().expect("a profile"),
            platform: None,
            options: std::collections::BTreeMap::new(),
        });
        let began = Instant::now();
        let tasks = store.write(create(params, 1)).await?;
        times.push(began.elapsed());
        end(store, &tasks).await?;
    }
    Ok(middle(times))
}

/// Each question, and how long its answer takes.
pub async fn questions(store: &Store) -> Result<Vec<(&'static str, Duration)>, StoreError> {
    let of = |server: Option<ServerName>, state: Option<State>| Filter {
        server,
        state,
        limit: 50,
        ..Filter::default()
    };
    let object = Filter {
        object: Some("site:blog9.example.org".to_owned()),
        limit: 50,
        ..Filter::default()
    };
    // The oldest that there is, from the first page of the history.
    let now = UnixMillis::now();
    let oldest = store
        .old_tasks(TaskId::earliest(UnixMillis(0)), now, 1)
        .await?;
    let oldest = oldest.first().copied().unwrap_or_else(TaskId::generate);
    let newest = store.tasks(&of(None, None)).await?;
    let end = newest
        .last()
        .map(|task| task.id.to_string())
        .unwrap_or_default();
    let end = end.get(24..).unwrap_or_default().to_owned();
    let after = "blog5".parse().ok();
    let mut answers = Vec::new();
    macro_rules! ask {
        ($name:literal, $question:expr) => {{
            let mut times = Vec::new();
            for _ in 0..ASKED {
                let began = Instant::now();
                $question.await?;
                times.push(began.elapsed());
            }
            answers.push(($name, middle(times)));
        }};
    }
    ask!("newest 50, ms", store.tasks(&of(None, None)));
    ask!(
        "failed on a server",
        store.tasks(&of(Some(server()), Some(State::Failed)))
    );
    ask!("running", store.tasks(&of(None, Some(State::Running))));
    ask!("stuck", store.tasks(&of(None, Some(State::Stuck))));
    ask!("of a site", store.tasks(&object));
    ask!("show the oldest", store.task_detail(oldest));
    ask!("its log", store.log(oldest, 0, 1000));
    ask!("find by the end of an id", store.find_task(&end));
    ask!("100 sites", store.sites(None, after.as_ref(), 100));
    ask!("servers", store.servers(None, 100));
    Ok(answers)
}

/// The oldest tasks go, per task.
pub async fn prune(store: &Store) -> Result<Duration, StoreError> {
    let (first, now) = (TaskId::earliest(UnixMillis(0)), UnixMillis::now());
    let mut tasks = store.old_tasks(first, now, 1000).await?;
    let count = u32::try_from(tasks.len()).unwrap_or(u32::MAX).max(1);
    let mut took = Duration::ZERO;
    while !tasks.is_empty() {
        let began = Instant::now();
        let piece = Prune {
            what: What::Tasks,
            tasks: tasks.clone(),
            ended_by: now,
        };
        let pruned = store.write(piece).await?;
        took += began.elapsed();
        tasks.drain(..pruned.done);
    }
    Ok(took / count)
}
