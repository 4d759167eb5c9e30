//! What must hold when everything has settled: nothing lost, nothing twice, no two at once, nothing old over
//! something newer, no silent gap in a log, and on every server the sites that the hub lists and no others.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::Value;

use crate::databases;
use crate::effects::Effects;
use crate::ledger::Ledger;
use crate::load::{PRINTED, plans};
use crate::moves;
use crate::operations;
use crate::settle::Settled;
use crate::system::{SPOKES, System};
use crate::world;

/// One promise, and what speaks against it.
#[derive(Debug)]
pub struct Check {
    pub name: &'static str,
    /// Nothing when it holds.
    pub against: Vec<String>,
}

/// What was looked at, so that a check of nothing shows.
#[derive(Debug, Default)]
pub struct Looked {
    pub tasks: usize,
    pub by_state: BTreeMap<String, usize>,
    pub attempts: u64,
    pub operations: usize,
    pub items: usize,
    pub begun: usize,
    pub effects: usize,
    pub lines: usize,
    pub gaps_told: usize,
    pub sites: usize,
    /// How moves ended, how many of their tasks were begun anew, and how often it was looked who shows a site that moves, and
    /// somebody did.
    pub moves: BTreeMap<&'static str, usize>,
    pub moves_again: usize,
    pub looks: usize,
    pub pages: usize,
}

/// Everything that the hub and the workers hold at the end.
struct Held {
    /// By id.
    tasks: BTreeMap<String, Value>,
    effects: Effects,
    /// By id, with every attempt that the worker's journal knows.
    journals: BTreeMap<String, BTreeMap<u64, String>>,
}

/// Looks at all of it.
pub async fn check(
    system: &System,
    ledger: &Arc<Ledger>,
    settled: &Settled,
    moved: &moves::Tally,
) -> anyhow::Result<(Vec<Check>, Looked)> {
    let tasks = system.api.all("/v1/tasks").await;
    for task in &tasks {
        ledger.saw(task);
    }
    let mut held = Held {
        tasks: tasks
            .into_iter()
            .map(|task| (text(&task, "id"), task))
            .collect(),
        effects: Effects::read(&system.effects().join("effects.log"))?,
        journals: BTreeMap::new(),
    };
    for server in SPOKES {
        for (task, attempt, state) in databases::journal(system, server).await? {
            held.journals
                .entry(task)
                .or_default()
                .insert(attempt, state);
        }
    }
    let mut looked = Looked {
        tasks: held.tasks.len(),
        begun: held.effects.begun(),
        ..Looked::default()
    };
    for task in held.tasks.values() {
        *looked.by_state.entry(text(task, "state")).or_default() += 1;
        let kind = task["kind"].as_str().unwrap_or_default();
        let of_a_move = ["site.hold", "site.receive", "site.release"].contains(&kind);
        if of_a_move && task["attempt"].as_u64() > Some(1) {
            looked.moves_again += 1;
        }
        looked.attempts += task["attempt"].as_u64().unwrap_or_default();
    }
    let mut checks = vec![
        held.lost(ledger),
        held.open(settled),
        held.twice(&mut looked),
        Check {
            name: "two runs of one task at once",
            against: held.effects.overlaps.clone(),
        },
        held.older_over_newer(ledger),
        Check {
            name: "stuck, but where MariaDB was away for too long",
            against: settled
                .stuck_otherwise
                .iter()
                .map(|(task, why)| format!("{task}: {why}"))
                .collect(),
        },
    ];
    checks.push(operations::check(&system.api, &held.tasks, &mut looked).await);
    checks.push(moves::check(system, moved, &mut looked).await?);
    checks.push(held.logs(system, &mut looked).await?);
    checks.push(world::check(system, &held.succeeded_runs(), &mut looked).await?);
    let services = [&system.hub].into_iter();
    let services = services.chain(system.spokes.iter().map(|spoke| &spoke.service));
    checks.push(Check {
        name: "programs that ended by themselves",
        against: services
            .filter(|service| service.unasked() > 0)
            .map(|service| format!("{}: {} times", service.name(), service.unasked()))
            .collect(),
    });
    Ok((checks, looked))
}

impl Held {
    fn lost(&self, ledger: &Ledger) -> Check {
        let ids = ledger.ids().into_iter();
        Check {
            name: "accepted tasks lost",
            against: ids.filter(|id| !self.tasks.contains_key(id)).collect(),
        }
    }

    fn open(&self, settled: &Settled) -> Check {
        let mut against = settled.open.clone();
        let open = self.tasks.values().filter(|task| task["finished"] != true);
        against.extend(open.map(|task| format!("{}: {}", text(task, "id"), task["state"])));
        Check {
            name: "tasks without an end at the hub",
            against,
        }
    }

    /// An attempt begins its installer once; after one that succeeded there is no other; and one that
    /// succeeded has had its effect whole.
    fn twice(&self, looked: &mut Looked) -> Check {
        let mut against: Vec<String> = self.effects.begun_twice();
        for (task, attempts) in self.effects.by_task() {
            let Some(shown) = self.tasks.get(task) else {
                against.push(format!(
                    "{task}: an effect of a task that the hub does not know"
                ));
                continue;
            };
            if shown["state"] != "succeeded" {
                continue;
            }
            looked.effects += 1;
            let succeeded = shown["attempt"].as_u64().unwrap_or_default();
            if attempts.iter().any(|&attempt| attempt > succeeded) {
                against.push(format!(
                    "{task}: begun again after attempt {succeeded} succeeded"
                ));
            }
            if !self.effects.whole(task, succeeded) {
                against.push(format!(
                    "{task}: attempt {succeeded} succeeded without its effect"
                ));
            }
        }
        Check {
            name: "effects twice, or without their task",
            against,
        }
    }

    /// The worker that carried the newest attempt out and the hub say the same of it.
    fn older_over_newer(&self, ledger: &Ledger) -> Check {
        let mut against = ledger.changed();
        for (id, shown) in &self.tasks {
            let newest = shown["attempt"].as_u64().unwrap_or_default();
            let Some(attempts) = self.journals.get(id) else {
                continue;
            };
            let at_hub = text(shown, "state");
            match attempts.get(&newest) {
                Some(state) if *state != at_hub => {
                    against.push(format!(
                        "{id}.{newest}: {at_hub} at the hub, {state} at the worker"
                    ));
                }
                _ => {}
            }
            if let Some(newer) = attempts.keys().find(|&&attempt| attempt > newest) {
                against.push(format!(
                    "{id}: attempt {newer} at the worker, {newest} at the hub"
                ));
            }
        }
        Check {
            name: "older attempts over newer ones",
            against,
        }
    }

    /// Of every attempt at what prints numbered lines these are there in order, each once, up to where it was
    /// stopped; all of them if it succeeded. Where reports were lost with their queue the hub says so.
    async fn logs(&self, system: &System, looked: &mut Looked) -> anyhow::Result<Check> {
        let mut against = Vec::new();
        let installers = self.effects.by_task();
        for (task, shown) in &self.tasks {
            let (all, number): (u64, fn(&str) -> Option<u64>) = match shown["kind"].as_str() {
                Some("server.print") => (PRINTED, printed),
                _ if installers.contains_key(task) => (40, counted),
                _ => continue,
            };
            let log = system
                .api
                .find(&format!("/v1/tasks/{task}/log?limit=10000"))
                .await;
            let log = log.with_context(|| format!("task {task} has no log"))?;
            let mut last: BTreeMap<u64, u64> = BTreeMap::new();
            let lines = log["items"].as_array().map_or(&[][..], Vec::as_slice);
            // How many lines of an attempt may be missing. A worker whose disk was full says so when it can write again,
            // which may be after the next lines.
            let mut told: BTreeMap<u64, u64> = BTreeMap::new();
            for line in lines {
                if let Some(lost) = lost(&text(line, "text")) {
                    looked.gaps_told += 1;
                    let of = told.entry(line["attempt"].as_u64().unwrap_or_default());
                    let sum = of.or_default();
                    *sum = sum.saturating_add(lost);
                }
            }
            let mut newest = 0;
            for line in lines {
                let attempt = line["attempt"].as_u64().unwrap_or_default();
                if attempt < newest {
                    against.push(format!(
                        "{task}: a line of attempt {attempt} after {newest}"
                    ));
                }
                newest = newest.max(attempt);
                let said = text(line, "text");
                // What was read together comes as one entry.
                for number in said.lines().filter_map(number) {
                    looked.lines += 1;
                    let before = last.insert(attempt, number).unwrap_or_default();
                    let missing = number.checked_sub(before + 1);
                    if !missing.is_some_and(|missing| is_told(&mut told, attempt, missing)) {
                        against.push(format!("{task}.{attempt}: line {number} after {before}"));
                    }
                }
            }
            let attempt = shown["attempt"].as_u64().unwrap_or_default();
            let lines = last.get(&attempt).copied().unwrap_or_default();
            let missing = all.checked_sub(lines);
            if shown["state"] == "succeeded"
                && !missing.is_some_and(|missing| is_told(&mut told, attempt, missing))
            {
                against.push(format!("{task}.{attempt}: ends with line {lines} of {all}"));
            }
        }
        Ok(Check {
            name: "logs with a silent gap",
            against,
        })
    }

    /// The newest successful installation of every host that counts.
    fn succeeded_runs(&self) -> BTreeMap<String, String> {
        let mut runs = BTreeMap::new();
        for plan in plans().iter().filter(|plan| plan.profile == "counted") {
            let object = format!("site:{}", plan.host);
            // Ids sort by the time of asking, which a clock that was set may have turned around; a site
            // that is there was installed by a task that no deletion followed, whichever that was.
            let of_host = self.tasks.values().filter(|task| {
                task["object"] == *object
                    && task["kind"] == "site.install"
                    && task["state"] == "succeeded"
            });
            for task in of_host {
                let run = format!("{}.{}", text(task, "id"), task["attempt"]);
                runs.insert(run, plan.host.clone());
            }
        }
        runs
    }
}

/// How many lines of a log are not there, if this says so: reports that were lost with their queue (the hub says it, and
/// cannot know how many lines they held), or lines that came while the journal's disk was full (the worker does).
fn lost(text: &str) -> Option<u64> {
    if text.contains("never arrived") {
        return Some(u64::MAX);
    }
    let (count, _) = text.split_once(" lines of this log were lost")?;
    count.parse().ok()
}

/// Takes so many missing lines off what an attempt's log has told of; whether it told of as many.
fn is_told(told: &mut BTreeMap<u64, u64>, attempt: u64, missing: u64) -> bool {
    let left = told.get(&attempt).copied().unwrap_or_default();
    if missing > left {
        return false;
    }
    if missing > 0 && left != u64::MAX {
        told.insert(attempt, left - missing);
    }
    true
}

/// The number in `counted line 7 of 40`.
fn counted(text: &str) -> Option<u64> {
    let rest = text.split_once("counted line ")?.1;
    rest.split(' ').next()?.parse().ok()
}

/// A line of `server.print`: a number with leading zeros and nothing else.
fn printed(text: &str) -> Option<u64> {
    let digits = text.len() >= 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}
