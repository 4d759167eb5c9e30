//! After the last fault: everything settles by itself, but for what is stuck, which a person would have tried
//! again.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::databases;
use crate::moves;
use crate::operations;
use crate::patience::patient;
use crate::system::System;

/// Task states in which something has yet to happen.
const OPEN: [&str; 5] = ["queued", "sent", "accepted", "running", "rolling_back"];
/// How it settled.
#[derive(Debug, Default)]
pub struct Settled {
    /// Until nothing was open any more; `None` when the limit was reached.
    pub took: Option<Duration>,
    /// How long it might take on a machine as busy as this one was meanwhile.
    pub limit: Duration,
    /// What was stuck because MariaDB was away, and was tried again.
    pub stuck_by_mariadb: BTreeMap<String, String>,
    /// What was stuck for any other reason.
    pub stuck_otherwise: BTreeMap<String, String>,
    /// What was still open at the limit.
    pub open: Vec<String>,
}

/// Waits until nothing is open.
pub async fn settle(system: &System, limit: Duration) -> anyhow::Result<Settled> {
    databases::mariadb_answers(system).await?;
    let began = Instant::now();
    let mut settled = Settled::default();
    loop {
        settled.limit = settled.limit.max(patient(limit));
        let stuck = system.api.all("/v1/tasks?state=stuck").await;
        for task in &stuck {
            settled.note(task);
            let (id, server) = (text(task, "id"), text(task, "server"));
            let told = system
                .worker_cli(&server, &["journal", "retry-undo", &id])
                .await?;
            if !told.status.success() {
                eprintln!("retry-undo {id}: {}", String::from_utf8_lossy(&told.stderr));
            }
        }
        let mut open: Vec<Value> = stuck;
        for state in OPEN {
            open.extend(system.api.all(&format!("/v1/tasks?state={state}")).await);
        }
        let interrupted = system.api.all("/v1/tasks?state=interrupted").await;
        open.extend(
            interrupted
                .into_iter()
                .filter(|task| task["finished"] != true),
        );
        open.extend(operations::unfinished(&system.api).await);
        let goes_on = moves::finish(&system.api).await;
        if goes_on && began.elapsed() <= settled.limit {
            sleep(Duration::from_millis(250)).await;
            continue;
        }
        if open.is_empty() {
            settled.took = Some(began.elapsed());
            return Ok(settled);
        }
        if began.elapsed() > settled.limit {
            settled.open = open
                .iter()
                .map(|task| {
                    let waiting = task["waiting"].as_str().unwrap_or_default();
                    let (id, kind) = (text(task, "id"), text(task, "kind"));
                    format!(
                        "{id} {kind} on {}: {} {waiting}",
                        text(task, "server"),
                        task["state"]
                    )
                })
                .collect();
            return Ok(settled);
        }
        sleep(Duration::from_millis(250)).await;
    }
}

impl Settled {
    fn note(&mut self, task: &Value) {
        let failure = &task["failure"];
        let step = failure["step"].as_str().unwrap_or_default();
        let why = format!("{step}: {}", text(failure, "message"));
        // It was away for longer than the worker's patience, and then the worker says so.
        let list = match why.contains("cannot connect to MariaDB") {
            true => &mut self.stuck_by_mariadb,
            false => &mut self.stuck_otherwise,
        };
        list.insert(text(task, "id"), why);
    }
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}
