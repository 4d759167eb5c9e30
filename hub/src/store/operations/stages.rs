//! The stages of a move, each a task on one of the two servers, and what follows from the end of each. It is decided in the
//! transaction that ends the task, which makes the next one: a hub that dies finds one stage open, or none and the move over.
//!
//! ```text
//! source ─► target ─► hold ─► receive ─┬─ succeeded ─► the site is the other server's; release: the trash
//!    │         │        │              └─ any other end ─► release: it comes back
//!    └─────────┴────────┴── any other end ─► over, the site is as it was
//! ```
//!
//! A stage that did not succeed has left nothing on its server. So until `receive` has succeeded the site that `hold` holds is
//! the only one; from then on it is the one that goes. Where nobody can say which, since a person has abandoned what was
//! stuck, a person decides.

use kolga_protocol::fault;
use kolga_protocol::id::TaskId;
use kolga_protocol::names::{HostName, PlatformName, ServerName};
use kolga_protocol::state::State;
use kolga_protocol::task::{Kind, Params, site_hold, site_receive, site_release};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::cancel::Cancel;
use super::super::create::{Wanted, insert};
use super::super::holding::ready;
use super::super::rows::TaskRow;
use super::super::tx::{Operation as _, Outcome, Refusal, Tx};
use super::{Running, Shift};
use crate::wire::{ItemState, OperationState, Stage};

/// Which site moves, and where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Move {
    pub(super) site: HostName,
    pub(super) from: ServerName,
    pub(super) to: ServerName,
    pub(super) platform: Option<PlatformName>,
}

impl Move {
    /// Where a stage is carried out.
    pub(super) fn server(&self, stage: Stage) -> &ServerName {
        match stage {
            Stage::Source | Stage::Hold | Stage::Release => &self.from,
            Stage::Target | Stage::Receive => &self.to,
        }
    }

    fn now(&self, stage: Stage) -> String {
        let (from, to) = (&self.from, &self.to);
        match stage {
            Stage::Source => format!("{from} says what the site is"),
            Stage::Target => format!("{to} looks whether it can take the site"),
            Stage::Hold => format!("{from} shows the maintenance page, and makes a backup"),
            Stage::Receive => format!("{to} makes the site of the backup"),
            Stage::Release => format!("the site comes back on {from}"),
        }
    }

    fn hold(&self, check: bool) -> site_hold::Params {
        site_hold::Params {
            site: self.site.clone(),
            to: Some(self.to.clone()),
            check,
            seal: None,
        }
    }

    fn receive(&self, offer: Box<site_hold::Offer>) -> site_receive::Params {
        site_receive::Params {
            site: self.site.clone(),
            from: self.from.clone(),
            offer,
            platform: self.platform.clone(),
            backup: None,
            sealed: None,
        }
    }

    fn release(&self, to: Option<&ServerName>) -> Params {
        Params::SiteRelease(site_release::Params {
            site: self.site.clone(),
            to: to.cloned(),
            unheld: false,
        })
    }
}

impl Running {
    fn as_move(&self) -> Result<Move, sqlx::Error> {
        serde_json::from_value(Value::Object(self.params.clone())).map_err(|error| {
            sqlx::Error::Decode(format!("parameters of operation {}: {error}", self.id).into())
        })
    }

    /// The task of a stage has ended.
    pub(super) async fn stage_ended(
        &mut self,
        tx: &mut Tx<'_>,
        row: &TaskRow,
        state: ItemState,
    ) -> Result<(), sqlx::Error> {
        let this = self.as_move()?;
        let Some(stage) = stage_of(tx, row.run.task).await? else {
            return self.came_late(tx, &this, row).await;
        };
        let well = state == ItemState::Succeeded;
        let wanted = !matches!(
            self.state,
            OperationState::Cancelling | OperationState::Cancelled
        );
        match stage {
            Stage::Source if well && wanted => self.begin(tx, &this, Stage::Target).await,
            Stage::Target if well && wanted => self.begin(tx, &this, Stage::Hold).await,
            Stage::Hold if well && wanted => self.begin(tx, &this, Stage::Receive).await,
            Stage::Hold if well => self.back(tx, &this).await,
            Stage::Source | Stage::Target | Stage::Hold => {
                ready(tx.connection, &this.site, row.run.task).await?;
                let why = format!("the site is on {} as it was", this.from);
                self.over(tx, why).await
            }
            Stage::Receive if well => self.arrived(tx, &this, row.run.task).await,
            Stage::Receive if row.leaves_something() => {
                let why = format!(
                    "what {} has left of it was abandoned: look there, and when nothing of the site answers there, bring it back on {}: \
                     kolga site release {}",
                    this.to, this.from, this.site
                );
                self.over(tx, why).await
            }
            Stage::Receive => self.back(tx, &this).await,
            Stage::Release => self.released(tx, &this, row.run.task, well).await,
        }
    }

    /// Makes the task of the next stage.
    pub(super) async fn begin(
        &mut self,
        tx: &mut Tx<'_>,
        this: &Move,
        stage: Stage,
    ) -> Result<(), sqlx::Error> {
        let params = match stage {
            Stage::Source => Ok(Params::SiteHold(this.hold(true))),
            Stage::Target => {
                let source = self.output::<site_hold::Output>(tx, Stage::Source).await?;
                source.map(|source| Params::SiteReceive(this.receive(source.offer)))
            }
            Stage::Hold => {
                let target = self
                    .output::<site_receive::Output>(tx, Stage::Target)
                    .await?;
                target.map(|target| {
                    Params::SiteHold(site_hold::Params {
                        seal: target.seal,
                        ..this.hold(false)
                    })
                })
            }
            Stage::Receive => {
                let held = self.output::<site_hold::Output>(tx, Stage::Hold).await?;
                held.and_then(|held| {
                    let backup = held.backup.unwrap_or_default().parse();
                    Ok(Params::SiteReceive(site_receive::Params {
                        backup: Some(backup.map_err(|error| format!("its backup: {error}"))?),
                        sealed: held.sealed,
                        ..this.receive(held.offer)
                    }))
                })
            }
            Stage::Release => Ok(this.release(None)),
        };
        match params {
            Ok(params) => {
                let task = self.make(tx, this, stage, &params, this.now(stage)).await?;
                wait_for(tx, this, task).await
            }
            // What an earlier one has said cannot be read, perhaps by a hub of another release than it was said to.
            Err(reason) if stage == Stage::Receive => {
                self.skip(tx, stage, &reason).await?;
                self.back(tx, this).await
            }
            Err(reason) => {
                let ready = sqlx::query(
                    "UPDATE site SET condition = 'ready' WHERE host = $1 AND server = $2 AND condition = 'pending'",
                );
                ready
                    .bind(this.site.as_str())
                    .bind(this.from.as_str())
                    .execute(&mut *tx.connection)
                    .await?;
                self.over(tx, reason).await
            }
        }
    }

    /// The site comes back where it was.
    async fn back(&mut self, tx: &mut Tx<'_>, this: &Move) -> Result<(), sqlx::Error> {
        let now = this.now(Stage::Release);
        let task = self
            .make(tx, this, Stage::Release, &this.release(None), now)
            .await?;
        wait_for(tx, this, task).await
    }

    /// The site is the other server's from here on, also when somebody has cancelled the move too late.
    async fn arrived(
        &mut self,
        tx: &mut Tx<'_>,
        this: &Move,
        task: TaskId,
    ) -> Result<(), sqlx::Error> {
        let made = self
            .output::<site_receive::Output>(tx, Stage::Receive)
            .await?;
        sqlx::query(
            "UPDATE site SET server = $3, platform = $4, url = COALESCE($5, url), condition = 'ready', task = $6,
                    verified = NULL
              WHERE host = $1 AND server = $2",
        )
        .bind(this.site.as_str())
        .bind(this.from.as_str())
        .bind(this.to.as_str())
        .bind(this.platform.as_ref().map(ToString::to_string))
        .bind(made.ok().map(|made| made.url))
        .bind(task.to_string())
        .execute(&mut *tx.connection)
        .await?;
        self.state = OperationState::Running;
        let now = format!(
            "the site is on {}; what {} has of it goes to the trash there",
            this.to, this.from
        );
        let release = this.release(Some(&this.to));
        self.make(tx, this, Stage::Release, &release, now)
            .await
            .map(drop)
    }

    /// What the one server held is given up, or is not.
    async fn released(
        &mut self,
        tx: &mut Tx<'_>,
        this: &Move,
        task: TaskId,
        well: bool,
    ) -> Result<(), sqlx::Error> {
        let moved = self.state_of(tx, Stage::Receive).await? == ItemState::Succeeded;
        let why = match (moved, well) {
            (true, true) => format!("the site is on {}", this.to),
            (true, false) => format!(
                "the site is on {}; {} still holds what it had of it: kolga task retry {task}",
                this.to, this.from
            ),
            (false, true) => {
                ready(tx.connection, &this.site, task).await?;
                format!("the site is on {} as it was", this.from)
            }
            (false, false) => format!(
                "{} still holds the site: mend what is in the way, then kolga task retry {task}",
                this.from
            ),
        };
        self.over(tx, why).await
    }

    /// Nothing more follows.
    async fn over(&mut self, tx: &mut Tx<'_>, why: String) -> Result<(), sqlx::Error> {
        let skipped = sqlx::query(
            "UPDATE operation_item SET state = 'skipped', reason = 'it did not come to that'
              WHERE operation = $1 AND state = 'waiting'",
        )
        .bind(self.id.to_string())
        .execute(&mut *tx.connection)
        .await?
        .rows_affected();
        sqlx::query("UPDATE operation_server SET waiting = 0 WHERE operation = $1")
            .bind(self.id.to_string())
            .execute(&mut *tx.connection)
            .await?;
        self.moved(ItemState::Waiting, ItemState::Skipped, skipped);
        self.reason = Some(why);
        self.save(tx).await
    }

    /// Makes the task of a stage, and marks its item, whatever that was so far.
    async fn make(
        &mut self,
        tx: &mut Tx<'_>,
        this: &Move,
        stage: Stage,
        params: &Params,
        now: String,
    ) -> Result<TaskId, sqlx::Error> {
        let task = TaskId::generate();
        let server = this.server(stage);
        let wanted = Wanted {
            id: task,
            server,
            params,
            operation: Some(self.id),
        };
        insert(tx, &[wanted], &self.requested_by).await?;
        fault::point("move:made");
        let was = self.state_of(tx, stage).await?;
        self.mark(tx, stage, ItemState::Made, Some(task), None)
            .await?;
        self.moved(was, ItemState::Made, 1);
        self.shift(
            tx,
            &[Shift {
                server: server.to_string(),
                waiting: -i64::from(was == ItemState::Waiting),
                open: 1,
            }],
        )
        .await?;
        self.reason = Some(now);
        self.save(tx).await?;
        fault::point("move:marked");
        Ok(task)
    }

    async fn skip(
        &mut self,
        tx: &mut Tx<'_>,
        stage: Stage,
        reason: &str,
    ) -> Result<(), sqlx::Error> {
        let was = self.state_of(tx, stage).await?;
        self.mark(tx, stage, ItemState::Skipped, None, Some(reason))
            .await?;
        self.moved(was, ItemState::Skipped, 1);
        let this = self.as_move()?;
        self.shift(
            tx,
            &[Shift {
                server: this.server(stage).to_string(),
                waiting: -i64::from(was == ItemState::Waiting),
                open: -i64::from(was == ItemState::Made),
            }],
        )
        .await
    }

    async fn state_of(&self, tx: &mut Tx<'_>, stage: Stage) -> Result<ItemState, sqlx::Error> {
        let state: String = sqlx::query_scalar(
            "SELECT state FROM operation_item WHERE operation = $1 AND place = $2",
        )
        .bind(self.id.to_string())
        .bind(place(stage))
        .fetch_one(&mut *tx.connection)
        .await?;
        state
            .parse()
            .map_err(|error: String| sqlx::Error::Decode(error.into()))
    }

    async fn mark(
        &self,
        tx: &mut Tx<'_>,
        stage: Stage,
        state: ItemState,
        task: Option<TaskId>,
        reason: Option<&str>,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "UPDATE operation_item SET state = $3, task = $4, reason = $5 WHERE operation = $1 AND place = $2",
        )
        .bind(self.id.to_string())
        .bind(place(stage))
        .bind(state.as_str())
        .bind(task.map(|task| task.to_string()))
        .bind(reason.map(str::to_owned))
        .execute(&mut *tx.connection)
        .await?;
        Ok(())
    }

    /// What the task of a stage has given.
    async fn output<T: DeserializeOwned>(
        &self,
        tx: &mut Tx<'_>,
        stage: Stage,
    ) -> Result<Result<T, String>, sqlx::Error> {
        let text: Option<String> = sqlx::query_scalar(
            "SELECT task.output FROM operation_item JOIN task ON task.id = operation_item.task
              WHERE operation_item.operation = $1 AND operation_item.place = $2",
        )
        .bind(self.id.to_string())
        .bind(place(stage))
        .fetch_optional(&mut *tx.connection)
        .await?
        .flatten();
        let name = stage.as_str();
        Ok(match text {
            Some(text) => serde_json::from_str(&text)
                .map_err(|error| format!("what stage {name} has given cannot be read: {error}")),
            None => Err(format!(
                "stage {name} has given nothing that this hub can read"
            )),
        })
    }

    /// Whether somebody may stop it as it stands.
    pub(super) async fn may_be_cancelled(
        &self,
        tx: &mut Tx<'_>,
        target_is_gone: bool,
    ) -> Result<Outcome<()>, sqlx::Error> {
        let receive = self.state_of(tx, Stage::Receive).await? == ItemState::Made;
        let past = self.state_of(tx, Stage::Release).await? == ItemState::Made;
        let so_far = self.reason.clone().unwrap_or_default();
        if past {
            return Ok(Err(Refusal::conflict(
                "operation_past",
                format!("operation {} comes to its end: {so_far}", self.id),
                "a site is not left in between".to_owned(),
            )));
        }
        if target_is_gone && !receive {
            return Ok(Err(Refusal::conflict(
                "operation_not_there",
                format!(
                    "operation {} does not wait for a site to be made: {so_far}",
                    self.id
                ),
                "cancel it without saying that the server is gone".to_owned(),
            )));
        }
        Ok(Ok(()))
    }

    /// The site comes back although nobody knows what the other server has made of it: it is not waited for.
    pub(super) async fn give_up_target(
        &mut self,
        tx: &mut Tx<'_>,
        who: &str,
    ) -> Result<(), sqlx::Error> {
        let this = self.as_move()?;
        let task: Option<String> = sqlx::query_scalar(
            "SELECT task FROM operation_item WHERE operation = $1 AND place = $2",
        )
        .bind(self.id.to_string())
        .bind(place(Stage::Receive))
        .fetch_one(&mut *tx.connection)
        .await?;
        let reason = format!(
            "{who} has given {} up; see task {}",
            this.to,
            task.as_deref().unwrap_or("?")
        );
        self.skip(tx, Stage::Receive, &reason).await?;
        self.back(tx, &this).await?;
        if let Some(task) = task.and_then(|task| task.parse().ok()) {
            let cancel = Cancel {
                task,
                requested_by: who.to_owned(),
            };
            // Where it cannot be cancelled any more, what it has made goes when that is told.
            drop(cancel.apply(tx).await?);
        }
        Ok(())
    }

    /// A server that had been given up has made the site after all: there it goes, to the trash, since it is elsewhere.
    async fn came_late(
        &self,
        tx: &mut Tx<'_>,
        this: &Move,
        row: &TaskRow,
    ) -> Result<(), sqlx::Error> {
        if row.kind != Kind::SiteReceive.as_str() || row.state != State::Succeeded {
            return Ok(());
        }
        let params = Params::SiteRelease(site_release::Params {
            site: this.site.clone(),
            to: Some(this.from.clone()),
            unheld: true,
        });
        let wanted = Wanted {
            id: TaskId::generate(),
            server: &this.to,
            params: &params,
            operation: Some(self.id),
        };
        insert(tx, &[wanted], "hub").await?;
        let detail = format!("{} on {}", this.site, this.to);
        tx.audit("hub", "operation.late", &self.id.to_string(), &detail)
            .await
    }
}

async fn stage_of(tx: &mut Tx<'_>, task: TaskId) -> Result<Option<Stage>, sqlx::Error> {
    let stage: Option<Option<String>> =
        sqlx::query_scalar("SELECT stage FROM operation_item WHERE task = $1")
            .bind(task.to_string())
            .fetch_optional(&mut *tx.connection)
            .await?;
    stage
        .flatten()
        .map(|stage| stage.parse())
        .transpose()
        .map_err(|error: String| sqlx::Error::Decode(error.into()))
}

/// The site waits for this task, where it is.
async fn wait_for(tx: &mut Tx<'_>, this: &Move, task: TaskId) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE site SET condition = 'pending', task = $3 WHERE host = $1 AND server = $2")
        .bind(this.site.as_str())
        .bind(this.from.as_str())
        .bind(task.to_string())
        .execute(&mut *tx.connection)
        .await?;
    Ok(())
}

fn place(stage: Stage) -> i64 {
    i64::try_from(stage.place()).unwrap_or(i64::MAX)
}
