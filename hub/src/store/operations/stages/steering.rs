//! What a person may want of a move: that it stops before anything is touched and goes on later, that it goes back, that its
//! target is given up; and a site that a target has made which had been given up.

use kolga_protocol::id::TaskId;
use kolga_protocol::state::State;
use kolga_protocol::task::{Kind, Params, site_release};

use super::super::super::cancel::Cancel;
use super::super::super::create::{Wanted, insert};
use super::super::super::rows::TaskRow;
use super::super::super::tx::{Operation as _, Outcome, Refusal, Tx};
use super::super::steer::over;
use super::super::{Running, Shift};
use super::items::place;
use super::tasks::Move;
use super::{free, turns};
use crate::wire::{ItemState, OperationState, Stage};

impl Running {
    /// Whether it may stop where it stands: only while both servers look. From `hold` on visitors wait.
    pub(in crate::store::operations) async fn may_be_paused(
        &self,
        tx: &mut Tx<'_>,
    ) -> Result<Outcome<()>, sqlx::Error> {
        if self.finished_at.is_some() || self.state_of(tx, Stage::Hold).await? == ItemState::Waiting
        {
            return Ok(Ok(()));
        }
        let so_far = self.reason.clone().unwrap_or_default();
        Ok(Err(Refusal::conflict(
            "operation_goes_on",
            format!(
                "operation {} has the site behind its maintenance page, and stops nowhere: {so_far}",
                self.id
            ),
            format!(
                "let it come to its end, or have the site back with `kolga op cancel {}` and ask for the move again",
                self.id
            ),
        )))
    }

    /// Goes on after it was paused. What the servers said before may not be so any more: both look again.
    pub(in crate::store::operations) async fn go_on(
        &mut self,
        tx: &mut Tx<'_>,
    ) -> Result<Outcome<()>, sqlx::Error> {
        let this = self.as_move()?;
        match self.state {
            OperationState::Paused => {
                if let Err(refusal) = this.in_the_way(tx).await? {
                    return Ok(Err(refusal));
                }
                self.state = OperationState::Running;
                self.look_again(tx, &this).await?;
            }
            OperationState::Stopping => {
                let at = match self.state_of(tx, Stage::Source).await? {
                    ItemState::Made => Stage::Source,
                    _ => Stage::Target,
                };
                self.state = OperationState::Running;
                self.reason = Some(this.now(at));
                self.save(tx).await?;
            }
            OperationState::Running => {
                return Ok(Err(Refusal::conflict(
                    "operation_nothing_waits",
                    format!("operation {} is not paused", self.id),
                    None,
                )));
            }
            state => return Ok(Err(over(self.id, state))),
        }
        Ok(Ok(()))
    }

    async fn look_again(&mut self, tx: &mut Tx<'_>, this: &Move) -> Result<(), sqlx::Error> {
        let was = self.state_of(tx, Stage::Target).await?;
        if was != ItemState::Waiting {
            self.mark(tx, Stage::Target, ItemState::Waiting, None, None)
                .await?;
            self.moved(was, ItemState::Waiting, 1);
            let server = this.server(Stage::Target).to_string();
            let waits = Shift {
                server,
                waiting: 1,
                open: 0,
            };
            self.shift(tx, &[waits]).await?;
        }
        self.begin(tx, this, Stage::Source).await
    }

    /// A move that is cancelled while nothing of it is open: between two stages, nothing is touched yet.
    pub(in crate::store::operations) async fn let_go(
        &mut self,
        tx: &mut Tx<'_>,
    ) -> Result<(), sqlx::Error> {
        let this = self.as_move()?;
        free(tx, &this).await?;
        self.over(tx, format!("the site is on {} as it was", this.from))
            .await
    }

    /// Whoever waits for a turn of this one's may have it, since it goes back.
    pub(in crate::store::operations) async fn gives_its_turn_back(
        &self,
        tx: &mut Tx<'_>,
    ) -> Result<(), sqlx::Error> {
        turns::next(tx, &self.as_move()?.to).await
    }

    /// Whether somebody may stop it as it stands.
    pub(in crate::store::operations) async fn may_be_cancelled(
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
    pub(in crate::store::operations) async fn give_up_target(
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
    pub(super) async fn came_late(
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
