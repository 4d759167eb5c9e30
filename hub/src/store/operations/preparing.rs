//! Writes an operation down, in pieces that let everybody else come to the writer in between. Until the last of them it has
//! no numbers (`total` is 0), by which everybody passes it over; what a hub that died has left of one is removed when the
//! next begins.

use std::sync::Arc;

use kolga_protocol::fault;
use sqlx::Row;

use super::super::bulk::Bulk;
use super::super::rows::json;
use super::super::tx::{Operation, Outcome, Tx, plain};
use super::judge::refuse_for_all;
use super::prune::remove_piece;
use super::select::Chosen;
use super::signed;
use super::start::Start;
use crate::wire::{ItemState, OperationId, OperationState, Target};

/// Items that one transaction writes.
const PIECE: usize = 250;

/// What is to be written down.
pub(super) struct Plan {
    /// Nothing, where it is only asked what it would be.
    pub(super) id: Option<OperationId>,
    pub(super) start: Start,
    pub(super) chosen: Chosen,
}

/// Judges it, and writes its first piece. Says how many items are written.
pub(super) struct Begin(pub(super) Arc<Plan>);

/// Writes the next piece.
pub(super) struct GoOn {
    pub(super) plan: Arc<Plan>,
    /// Items that are written.
    pub(super) written: usize,
}

static INSERT_ITEMS: Bulk = Bulk::new(
    "INSERT INTO operation_item (operation, place, server, site, platform, state) VALUES",
    6,
    "",
);
pub(super) static INSERT_SERVERS: Bulk = Bulk::new(
    "INSERT INTO operation_server (operation, server, waiting, open) VALUES",
    4,
    "",
);

impl Operation for Begin {
    type Answer = usize;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<usize>, sqlx::Error> {
        let plan = &self.0;
        // What can succeed for none of them is told now, not once for each.
        if let Err(refusal) = refuse_for_all(tx, &plan.start.work, &plan.chosen).await? {
            return Ok(Err(refusal));
        }
        let Some(id) = plan.id else { return Ok(Ok(0)) };
        plan.insert(tx, id).await?;
        Ok(Ok(plan.insert_items(tx, id, 0).await?))
    }
}

impl Operation for GoOn {
    type Answer = usize;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<usize>, sqlx::Error> {
        match self.plan.id {
            Some(id) => Ok(Ok(self.plan.insert_items(tx, id, self.written).await?)),
            None => Ok(Ok(self.written)),
        }
    }
}

impl Plan {
    async fn insert(&self, tx: &mut Tx<'_>, id: OperationId) -> Result<(), sqlx::Error> {
        let start = &self.start;
        sqlx::query(
            "INSERT INTO operation (id, kind, params, selector, requested_by, created_at, parallel, per_server,
                                    stop_after, state, total, waiting, open, succeeded, failed, cancelled, skipped)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0, 0, 0, 0, 0, 0)",
        )
        .bind(id.to_string())
        .bind(start.work.kind.as_str())
        .bind(json(&start.work.params).unwrap_or_default())
        .bind(json(&start.select).unwrap_or_default())
        .bind(plain(&start.requested_by))
        .bind(tx.now.0)
        .bind(i64::from(start.parallel))
        .bind(start.per_server.map(i64::from))
        .bind(i64::from(start.stop_after))
        .bind(OperationState::Running.as_str())
        .execute(&mut *tx.connection)
        .await?;
        tx.effects.rows += 1;
        Ok(())
    }

    /// The items after the first `written`, as many as one piece is of; after the last of them the operation is whole.
    async fn insert_items(
        &self,
        tx: &mut Tx<'_>,
        id: OperationId,
        written: usize,
    ) -> Result<usize, sqlx::Error> {
        let operation = id.to_string();
        let items = (1..).zip(&self.chosen.targets);
        let piece: Vec<(i64, &Target)> = items.skip(written).take(PIECE).collect();
        tx.effects.rows += INSERT_ITEMS
            .execute(tx.connection, &piece, |query, (place, target)| {
                query
                    .bind(operation.clone())
                    .bind(*place)
                    .bind(target.server.to_string())
                    .bind(target.site.as_ref().map(ToString::to_string))
                    .bind(target.platform.as_ref().map(ToString::to_string))
                    .bind(ItemState::Waiting.as_str())
            })
            .await?;
        let written = written + piece.len();
        if written == self.chosen.targets.len() {
            self.complete(tx, id).await?;
        }
        fault::point("operation:piece");
        Ok(written)
    }

    async fn complete(&self, tx: &mut Tx<'_>, id: OperationId) -> Result<(), sqlx::Error> {
        let (operation, total) = (id.to_string(), self.chosen.targets.len());
        // Targets are in the order of their servers.
        let targets = &self.chosen.targets;
        let servers: Vec<&[Target]> = targets
            .chunk_by(|one, next| one.server == next.server)
            .collect();
        tx.effects.rows += INSERT_SERVERS
            .execute(tx.connection, &servers, |query, items| {
                query
                    .bind(operation.clone())
                    .bind(items[0].server.to_string())
                    .bind(signed(items.len() as u64))
                    .bind(0_i64)
            })
            .await?;
        sqlx::query("UPDATE operation SET total = $2, waiting = $2 WHERE id = $1")
            .bind(operation.clone())
            .bind(signed(total as u64))
            .execute(&mut *tx.connection)
            .await?;
        let Start { work, select, .. } = &self.start;
        let detail = format!("{} on {total}: {select}", work.kind);
        let who = &self.start.requested_by;
        tx.audit(who, "operation.start", &operation, &detail)
            .await?;
        tx.effects.room = true;
        Ok(())
    }
}

/// Removes a piece of an operation that was never whole. Says whether there was one. Only for the start of a hub, which
/// prepares none yet.
#[derive(Clone, Copy, Debug)]
pub struct RemoveHalf;

impl Operation for RemoveHalf {
    type Answer = bool;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<bool>, sqlx::Error> {
        let half = sqlx::query("SELECT id FROM operation WHERE total = 0 LIMIT 1")
            .fetch_optional(&mut *tx.connection)
            .await?;
        let Some(half) = half else {
            return Ok(Ok(false));
        };
        remove_piece(tx, half.try_get("id")?).await?;
        Ok(Ok(true))
    }
}
