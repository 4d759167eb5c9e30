//! Looks at the hub and at what it depends on: what is wrong, and what to do.

use std::collections::BTreeMap;
use std::time::Duration;

use kolga_protocol::id::UnixMillis;
use kolga_protocol::link::{self, LinkState};
use kolga_protocol::names::ServerName;
use kolga_protocol::topology;
use tokio::sync::watch;

use super::App;
use crate::janitor::Swept;
use crate::store::StoreError;
use crate::store::read::PrunedSoFar;
use crate::wire::{CheckStatus, Doctor, DoctorCheck, Presence, Server};

/// How long a link that is down gets to come back.
const MOMENT: Duration = Duration::from_secs(3);

impl App {
    /// Probes everything.
    ///
    /// # Errors
    /// [`StoreError`] when the database failed; there is nothing to look at then.
    pub async fn doctor(&self) -> Result<Doctor, StoreError> {
        let totals = self.store.totals().await?;
        let mut checks = vec![check(
            "database",
            CheckStatus::Ok,
            self.store.description().to_owned(),
            None,
        )];
        let (publisher, inbox) = tokio::join!(settled(&self.publisher), settled(&self.inbox));
        checks.push(link_check("broker link", &publisher));
        checks.push(link_check("inbox", &inbox));
        checks.push(match totals.blocked {
            0 => check(
                "outbox",
                CheckStatus::Ok,
                format!("{} messages wait to be sent", totals.outbox),
                None,
            ),
            blocked => check(
                "outbox",
                CheckStatus::Warn,
                format!(
                    "{blocked} of {} messages have no queue to go to",
                    totals.outbox
                ),
                Some("see the servers below".to_owned()),
            ),
        });
        let swept = self.swept.borrow().clone();
        checks.push(history_check(&swept, &self.store.pruned().await?));
        let blocked: BTreeMap<_, _> = self.store.blocked_servers().await?.into_iter().collect();
        // Each is a line of the answer.
        let servers = self.servers(None, u32::MAX).await?;
        let depths = self.depths(&servers, &publisher).await;
        for (index, server) in servers.iter().enumerate() {
            let reason = blocked.get(&server.name).cloned();
            let depth = depths.as_ref().map(|depths| depths[index]);
            checks.push(self.server_check(&server.name, server.presence, reason, depth));
        }
        Ok(Doctor {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            database: self.store.description().to_owned(),
            broker: self.broker.clone(),
            checks,
        })
    }

    /// What waits in the queue of each; nothing where the broker cannot be asked.
    async fn depths(&self, servers: &[Server], publisher: &LinkState) -> Option<Vec<Option<u32>>> {
        if !publisher.is_up() {
            return None;
        }
        let queues: Vec<String> = servers
            .iter()
            .map(|server| topology::tasks_queue(&server.name))
            .collect();
        link::queue_depths(&self.link, &queues).await.ok()
    }

    fn server_check(
        &self,
        server: &ServerName,
        presence: Presence,
        blocked: Option<String>,
        depth: Option<Option<u32>>,
    ) -> DoctorCheck {
        let name = format!("server {server}");
        let hint = || {
            Some(format!(
                "on {server}: `kolga-worker status` and `kolga-worker check`"
            ))
        };
        let waiting = match depth {
            Some(Some(depth)) => format!("{depth} tasks in its queue"),
            Some(None) => {
                let detail = format!("it has no queue {}", topology::tasks_queue(server));
                self.topology.want(server.clone());
                let hint = "the hub declares it again now; look again in a moment".to_owned();
                return check(&name, CheckStatus::Fail, detail, Some(hint));
            }
            None => "its queue cannot be asked now".to_owned(),
        };
        if let Some(reason) = blocked {
            return check(&name, CheckStatus::Fail, reason, hint());
        }
        match presence {
            Presence::Online => check(&name, CheckStatus::Ok, format!("online, {waiting}"), None),
            Presence::Silent => check(
                &name,
                CheckStatus::Fail,
                format!("its worker has fallen silent, {waiting}"),
                hint(),
            ),
            Presence::NeverSeen => check(
                &name,
                CheckStatus::Warn,
                format!("its worker has never been heard, {waiting}"),
                hint(),
            ),
        }
    }
}

/// How it stands with a link, which the hub that has just begun, or its broker, gets a moment for: who starts a hub asks
/// at once whether all is well.
async fn settled(link: &watch::Receiver<LinkState>) -> LinkState {
    let mut link = link.clone();
    let is_there = |state: &LinkState| !matches!(state, LinkState::Down { .. });
    drop(tokio::time::timeout(MOMENT, link.wait_for(is_there)).await);
    link.borrow().clone()
}

fn check(name: &str, status: CheckStatus, detail: String, hint: Option<String>) -> DoctorCheck {
    DoctorCheck {
        name: name.to_owned(),
        status,
        detail,
        hint,
    }
}

/// What there is of history, and what became of older.
fn history_check(swept: &Swept, pruned: &PrunedSoFar) -> DoctorCheck {
    let Some(at) = swept.at else {
        let detail = "old history is being looked for".to_owned();
        return check("history", CheckStatus::Ok, detail, None);
    };
    if let Some(error) = &swept.error {
        let detail = format!("old tasks and logs were not pruned: {error}");
        let hint = "the hub tries again within the hour; its log says more".to_owned();
        return check("history", CheckStatus::Warn, detail, Some(hint));
    }
    let (held, gone) = (&swept.held, &swept.gone);
    let minutes = UnixMillis::now().0.saturating_sub(at.0) / 60_000;
    let detail = format!(
        "{} tasks with {} entries in their logs; looked for old ones {minutes} min ago and pruned {} tasks, {} \
         entries ({} and {} since the store was made)",
        held.tasks, held.entries, gone.tasks, gone.entries, pruned.tasks, pruned.entries
    );
    check("history", CheckStatus::Ok, detail, None)
}

fn link_check(name: &str, state: &LinkState) -> DoctorCheck {
    let status = if state.is_up() {
        CheckStatus::Ok
    } else {
        CheckStatus::Fail
    };
    let hint = "see whether RabbitMQ runs, whether broker.url is right, and whether it is short of \
                memory or disk";
    let hint = (!state.is_up()).then(|| hint.to_owned());
    check(name, status, state.to_string(), hint)
}
