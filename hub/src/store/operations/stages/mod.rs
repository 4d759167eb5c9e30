//! The stages of a move, each a task on one of the two servers, and what follows from the end of each. It is decided in the
//! transaction that ends the task, which makes the next one: a hub that dies finds one stage open, or none, and then the move is
//! over, paused, or waits for its turn.
//!
//! ```text
//! source ─► target ─► (turn) ─► hold ─► receive ─┬─ succeeded ─► the site is the other server's; release: the trash
//!    │         │         │       │               └─ any other end ─► release: it comes back
//!    └─────────┴─────────┴───────┴── any other end ─► over, the site is as it was
//! ```
//!
//! A stage that did not succeed has left nothing on its server. So until `receive` has succeeded the site that `hold` holds is
//! the only one; from then on it is the one that goes. Where nobody can say which, since a person has abandoned what was
//! stuck, a person decides.
//!
//! Here is what follows what; [`tasks`] knows what each stage is told, [`items`] how each stands, [`turns`] how many sites
//! are held at once, and [`steering`] what a person may want of it.

mod items;
mod steering;
mod tasks;
mod turns;

use kolga_protocol::id::TaskId;
use kolga_protocol::task::site_receive;

use self::items::stage_of;
pub(super) use self::tasks::Move;
use super::super::holding::ready;
use super::super::rows::TaskRow;
use super::super::tx::Tx;
use super::Running;
use crate::wire::{ItemState, OperationState, Stage};

impl Running {
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
        self.follow(tx, &this, row, stage, state).await?;
        if matches!(stage, Stage::Hold | Stage::Receive) {
            turns::next(tx, &this.to).await?;
        }
        Ok(())
    }

    async fn follow(
        &mut self,
        tx: &mut Tx<'_>,
        this: &Move,
        row: &TaskRow,
        stage: Stage,
        state: ItemState,
    ) -> Result<(), sqlx::Error> {
        let well = state == ItemState::Succeeded;
        let wanted = !matches!(
            self.state,
            OperationState::Cancelling | OperationState::Cancelled
        );
        let paused = matches!(
            self.state,
            OperationState::Stopping | OperationState::Paused
        );
        match stage {
            // Nothing is touched, and both look again when it goes on.
            Stage::Source | Stage::Target if well && paused => Ok(()),
            Stage::Source if well && wanted => self.begin(tx, this, Stage::Target).await,
            Stage::Target if well && wanted => self.take_turn(tx, this).await,
            Stage::Hold if well && wanted => self.begin(tx, this, Stage::Receive).await,
            Stage::Hold if well => self.back(tx, this).await,
            Stage::Source | Stage::Target | Stage::Hold => {
                ready(tx.connection, &this.site, row.run.task).await?;
                let why = format!("the site is on {} as it was", this.from);
                self.over(tx, why).await
            }
            Stage::Receive if well => self.arrived(tx, this, row.run.task).await,
            Stage::Receive if row.leaves_something() => {
                let why = format!(
                    "what {} has left of it was abandoned: look there, and when nothing of the site answers there, bring it back on {}: \
                     kolga site release {}",
                    this.to, this.from, this.site
                );
                self.over(tx, why).await
            }
            Stage::Receive => self.back(tx, this).await,
            Stage::Release => self.released(tx, this, row.run.task, well).await,
        }
    }

    /// Makes the task of the next stage.
    pub(super) async fn begin(
        &mut self,
        tx: &mut Tx<'_>,
        this: &Move,
        stage: Stage,
    ) -> Result<(), sqlx::Error> {
        match self.params_of(tx, this, stage).await? {
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
                free(tx, this).await?;
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

/// The site is nobody's but its server's: nothing has been done to it.
async fn free(tx: &mut Tx<'_>, this: &Move) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE site SET condition = 'ready' WHERE host = $1 AND server = $2 AND condition = 'pending'",
    )
    .bind(this.site.as_str())
    .bind(this.from.as_str())
    .execute(&mut *tx.connection)
    .await?;
    Ok(())
}

fn decode(what: String) -> sqlx::Error {
    sqlx::Error::Decode(what.into())
}
