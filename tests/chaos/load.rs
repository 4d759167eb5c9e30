//! The load: sites that are installed and deleted over and over, some of them cancelled on the way, a WordPress on
//! a platform among them, mixed with many small tasks.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::api::{Answer, Api};
use crate::ledger::Ledger;
use crate::moves::{self, MOVERS, Tally};
use crate::operations;
use crate::patience::patient;
use crate::random::Random;
use crate::system::{SPOKES, System};

/// How often a site's task is cancelled, in a hundred.
const CANCELLED: u64 = 12;
/// Lines that a `server.print` has.
pub const PRINTED: u64 = 200;
/// The spoke that has a platform, and what it is called. Not the one with the small disks.
const WITH_PLATFORM: &str = "web3";
const PLATFORM: &str = "wp";
/// Where Debian puts WordPress.
const WORDPRESS: &str = "/usr/share/wordpress";
/// How long it may take to copy it.
const BUILD: Duration = Duration::from_secs(300);

/// A site that comes and goes.
#[derive(Clone, Debug)]
pub struct Plan {
    pub server: &'static str,
    pub host: String,
    pub profile: &'static str,
}

/// Every site that there may be.
pub fn plans() -> Vec<Plan> {
    let kinds = ["static", "counted", "counted", "php"];
    let mut plans = Vec::new();
    for server in SPOKES {
        for (number, profile) in kinds.into_iter().enumerate() {
            plans.push(Plan {
                server,
                host: format!("{profile}{number}.{server}.chaos.test"),
                profile,
            });
        }
    }
    plans.push(Plan {
        server: WITH_PLATFORM,
        host: format!("wordpress.{WITH_PLATFORM}.chaos.test"),
        profile: "wordpress",
    });
    plans
}

/// Builds the platform, before anything fails.
pub async fn prepare(system: &System) -> anyhow::Result<()> {
    let platform = json!({
        "name": PLATFORM, "server": WITH_PLATFORM, "profile": "wordpress", "source": WORDPRESS,
    });
    let made = system.api.post("/v1/platforms", &platform).await;
    let task = match &made {
        Answer::Done(made) => made["task"]["id"].as_str(),
        Answer::Refused | Answer::Unknown => None,
    };
    let built = match task {
        Some(task) => system.api.finished(task, patient(BUILD)).await,
        None => None,
    };
    let state = built.as_ref().map(|task| &task["state"]);
    ensure!(
        state.is_some_and(|state| state == "succeeded"),
        "the platform is not built: {made:?}, {built:?}"
    );
    Ok(())
}

/// The load while it lasts.
pub struct Load {
    clients: JoinSet<()>,
    stop: CancellationToken,
}

impl Load {
    pub fn start(
        system: &Arc<System>,
        ledger: &Arc<Ledger>,
        random: &mut Random,
        moves: &Tally,
    ) -> Self {
        let stop = CancellationToken::new();
        let mut clients = JoinSet::new();
        for plan in plans() {
            let client = Client {
                api: system.api.clone(),
                ledger: Arc::clone(ledger),
                random: random.fork(),
                stop: stop.clone(),
            };
            let effects = system.effects().display().to_string();
            clients.spawn(client.come_and_go(plan, effects));
        }
        for server in SPOKES {
            let client = Client {
                api: system.api.clone(),
                ledger: Arc::clone(ledger),
                random: random.fork(),
                stop: stop.clone(),
            };
            clients.spawn(client.small_tasks(server));
        }
        // Draws nothing from what the others choose by, so that a seed means to them what it meant.
        let random = random.clone().fork().fork();
        let mut of_movers = random.clone();
        for (host, _) in MOVERS {
            let (api, random) = (system.api.clone(), of_movers.fork());
            clients.spawn(moves::wander(
                api,
                host,
                random,
                stop.clone(),
                moves.clone(),
            ));
        }
        let looking = moves::look(Arc::clone(system), stop.clone(), moves.clone());
        clients.spawn(looking);
        clients.spawn(operations::come_and_go(
            system.api.clone(),
            random,
            stop.clone(),
        ));
        Self { clients, stop }
    }

    /// Asks for nothing more.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let ended = async { while self.clients.join_next().await.is_some() {} };
        // One that waits for an answer of the hub may be left to it.
        drop(timeout(patient(Duration::from_secs(20)), ended).await);
        self.clients.abort_all();
    }
}

struct Client {
    api: Api,
    ledger: Arc<Ledger>,
    random: Random,
    stop: CancellationToken,
}

impl Client {
    async fn pause(&mut self, from: u64, to: u64) {
        let pause = self.random.millis(from, to);
        tokio::select! {
            () = sleep(pause) => {}
            () = self.stop.cancelled() => {}
        }
    }

    async fn come_and_go(mut self, plan: Plan, effects: String) {
        while !self.stop.is_cancelled() {
            self.pause(0, 1500).await;
            let Some(task) = self.change(&plan, &effects).await else {
                continue;
            };
            self.ledger.accepted(&task);
            if self.random.percent(CANCELLED) {
                self.pause(0, 2000).await;
                let path = format!("/v1/tasks/{task}/cancel");
                drop(self.api.post(&path, &json!({})).await);
            }
            while !self.stop.is_cancelled() {
                let Some(shown) = self.api.find(&format!("/v1/tasks/{task}")).await else {
                    break;
                };
                self.ledger.saw(&shown);
                if shown["finished"] == true {
                    break;
                }
                self.pause(100, 300).await;
            }
        }
    }

    /// Asks for what is next: a site that is not there is installed, one that is there is deleted. The task,
    /// if one was made.
    async fn change(&self, plan: &Plan, effects: &str) -> Option<String> {
        let path = format!("/v1/sites/{}", plan.host);
        let answer = match self.api.find(&path).await {
            Some(site) if site["condition"] == "ready" => {
                let path = format!("{path}?no_backup=true");
                self.api.ask(reqwest::Method::DELETE, &path, None).await
            }
            Some(site) if site["condition"] != "failed" => return None,
            _ => {
                let mut options = json!({});
                if plan.profile == "counted" {
                    options["effects"] = Value::String(effects.to_owned());
                }
                let site = json!({
                    "host": plan.host, "server": plan.server, "profile": plan.profile,
                    "platform": (plan.profile == "wordpress").then_some(PLATFORM),
                    "aliases": [], "options": options,
                });
                self.api.post("/v1/sites", &site).await
            }
        };
        match answer {
            Answer::Done(made) => made["task"]["id"].as_str().map(str::to_owned),
            Answer::Refused | Answer::Unknown => None,
        }
    }

    async fn small_tasks(mut self, server: &'static str) {
        while !self.stop.is_cancelled() {
            self.pause(300, 900).await;
            let (path, body) = match self.random.below(10) {
                0 => (format!("/v1/servers/{server}/verify"), json!({})),
                1 => (
                    "/v1/tasks".to_owned(),
                    json!({"server": server, "kind": "server.print", "params": {"lines": PRINTED}}),
                ),
                _ => (
                    format!("/v1/servers/{server}/ping"),
                    json!({"count": 1 + self.random.below(12)}),
                ),
            };
            let Answer::Done(made) = self.api.post(&path, &body).await else {
                continue;
            };
            let tasks = made["tasks"].as_array().into_iter().flatten();
            for task in tasks.chain([&made["task"]["id"]]) {
                if let Some(task) = task.as_str() {
                    self.ledger.accepted(task);
                }
            }
        }
    }
}
