//! Pause, resume, cancel: what somebody wants of an operation that there is.

use kolga_protocol::id::TaskId;
use sqlx::Row;

use super::super::cancel;
use super::super::tx::{Operation, Outcome, Refusal, Tx, plain};
use super::{Running, Shift, count, unknown};
use crate::wire::{ItemState, OperationId, OperationState};

/// Makes no more tasks until it is resumed; those that are open end.
#[derive(Clone, Debug)]
pub struct Pause {
    /// Which operation.
    pub operation: OperationId,
    /// Who.
    pub requested_by: String,
}

impl Operation for Pause {
    type Answer = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<()>, sqlx::Error> {
        let Some(mut operation) = Running::load(tx, self.operation).await? else {
            return Ok(Err(unknown(&self.operation.to_string())));
        };
        let who = plain(&self.requested_by);
        if operation.is_move()
            && let Err(refusal) = operation.may_be_paused(tx).await?
        {
            return Ok(Err(refusal));
        }
        match operation.state {
            OperationState::Running if operation.counts.waiting > 0 => {
                operation.state = OperationState::Stopping;
                operation.reason = Some(match operation.is_move() {
                    true => format!("paused by {who}; both servers look anew when it is resumed"),
                    false => format!("paused by {who}"),
                });
            }
            OperationState::Stopping | OperationState::Paused => return Ok(Ok(())),
            OperationState::Running => {
                return Ok(Err(Refusal::conflict(
                    "operation_all_made",
                    format!("all tasks of operation {} are made already", self.operation),
                    "let them end, or cancel them".to_owned(),
                )));
            }
            state => return Ok(Err(over(self.operation, state))),
        }
        operation.save(tx).await?;
        tx.audit(&who, "operation.pause", &self.operation.to_string(), "")
            .await?;
        Ok(Ok(()))
    }
}

/// Goes on with what waits.
#[derive(Clone, Debug)]
pub struct ResumeOperation {
    /// Which operation.
    pub operation: OperationId,
    /// Also with what failed, was skipped, or was cancelled by itself.
    pub retry_failed: bool,
    /// Who.
    pub requested_by: String,
}

impl Operation for ResumeOperation {
    type Answer = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<()>, sqlx::Error> {
        let Some(mut operation) = Running::load(tx, self.operation).await? else {
            return Ok(Err(unknown(&self.operation.to_string())));
        };
        if matches!(
            operation.state,
            OperationState::Cancelling | OperationState::Cancelled
        ) {
            return Ok(Err(over(self.operation, operation.state)));
        }
        let who = plain(&self.requested_by);
        let id = self.operation.to_string();
        if operation.is_move() {
            if self.retry_failed {
                return Ok(Err(not_again(self.operation)));
            }
            if let Err(refusal) = operation.go_on(tx).await? {
                return Ok(Err(refusal));
            }
            tx.audit(&who, "operation.resume", &id, "").await?;
            return Ok(Ok(()));
        }
        if self.retry_failed {
            operation.put_back(tx).await?;
        }
        if operation.counts.waiting == 0 {
            return Ok(Err(Refusal::conflict(
                "operation_nothing_waits",
                format!(
                    "nothing of operation {} waits to be resumed",
                    self.operation
                ),
                (operation.counts.failed + operation.counts.skipped > 0).then(|| {
                    "what failed or was skipped goes again with --retry-failed".to_owned()
                }),
            )));
        }
        operation.state = OperationState::Running;
        // What has failed so far is known, and stops it no more.
        operation.forgiven = operation.counts.failed;
        operation.save(tx).await?;
        let detail = if self.retry_failed {
            "also what failed"
        } else {
            ""
        };
        tx.audit(&who, "operation.resume", &id, detail).await?;
        Ok(Ok(()))
    }
}

impl Running {
    /// What did not succeed waits again; each item gets a new task.
    async fn put_back(&mut self, tx: &mut Tx<'_>) -> Result<(), sqlx::Error> {
        for state in [ItemState::Failed, ItemState::Skipped, ItemState::Cancelled] {
            let rows = sqlx::query(
                "SELECT server, count(*) AS items FROM operation_item WHERE operation = $1 AND state = $2
                  GROUP BY server",
            )
            .bind(self.id.to_string())
            .bind(state.as_str())
            .fetch_all(&mut *tx.connection)
            .await?;
            let mut shifts = Vec::with_capacity(rows.len());
            for row in &rows {
                let waiting: i64 = row.try_get("items")?;
                self.moved(state, ItemState::Waiting, count(waiting));
                let server = row.try_get("server")?;
                shifts.push(Shift {
                    server,
                    waiting,
                    open: 0,
                });
            }
            self.shift(tx, &shifts).await?;
            sqlx::query(
                "UPDATE operation_item SET state = 'waiting', task = NULL, reason = NULL
                  WHERE operation = $1 AND state = $2",
            )
            .bind(self.id.to_string())
            .bind(state.as_str())
            .execute(&mut *tx.connection)
            .await?;
        }
        Ok(())
    }
}

/// Makes no more tasks, for good.
#[derive(Clone, Debug)]
pub struct CancelOperation {
    /// Which operation.
    pub operation: OperationId,
    /// Whether those that are open may end by themselves; else they are cancelled.
    pub let_finish: bool,
    /// Of a move: whether the server that was to have the site is not waited for.
    pub target_is_gone: bool,
    /// Who.
    pub requested_by: String,
}

impl Operation for CancelOperation {
    type Answer = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<()>, sqlx::Error> {
        let Some(mut operation) = Running::load(tx, self.operation).await? else {
            return Ok(Err(unknown(&self.operation.to_string())));
        };
        if operation.finished_at.is_some() {
            return Ok(Err(over(self.operation, operation.state)));
        }
        let who = plain(&self.requested_by);
        let id = self.operation.to_string();
        if operation.is_move() {
            if let Err(refusal) = operation.may_be_cancelled(tx, self.target_is_gone).await? {
                return Ok(Err(refusal));
            }
        } else if self.target_is_gone {
            return Ok(Err(Refusal::invalid(
                "bad_cancel",
                format!(
                    "operation {} moves no site, and has no target",
                    self.operation
                ),
                None,
            )));
        }
        sqlx::query(
            "UPDATE operation_item SET state = 'cancelled' WHERE operation = $1 AND state = 'waiting'",
        )
        .bind(id.clone())
        .execute(&mut *tx.connection)
        .await?;
        sqlx::query("UPDATE operation_server SET waiting = 0 WHERE operation = $1")
            .bind(id.clone())
            .execute(&mut *tx.connection)
            .await?;
        operation.moved(
            ItemState::Waiting,
            ItemState::Cancelled,
            operation.counts.waiting,
        );
        operation.state = OperationState::Cancelling;
        operation.reason = Some(format!("cancelled by {who}"));
        operation.save(tx).await?;
        tx.audit(&who, "operation.cancel", &id, "").await?;
        if self.target_is_gone {
            operation.give_up_target(tx, &who).await?;
            operation.gives_its_turn_back(tx).await?;
            return Ok(Ok(()));
        }
        if operation.is_move() && operation.counts.open == 0 {
            operation.let_go(tx).await?;
            return Ok(Ok(()));
        }
        if operation.is_move() {
            operation.gives_its_turn_back(tx).await?;
        }
        if self.let_finish {
            return Ok(Ok(()));
        }
        let open: Vec<String> = sqlx::query_scalar(
            "SELECT task FROM operation_item WHERE operation = $1 AND state = 'made' ORDER BY place",
        )
        .bind(id)
        .fetch_all(&mut *tx.connection)
        .await?;
        for task in open {
            let task: TaskId = task
                .parse()
                .map_err(|_| sqlx::Error::Decode(format!("task id {task:?}").into()))?;
            let cancel = cancel::Cancel {
                task,
                requested_by: who.clone(),
            };
            // One that cannot be cancelled any more is as good as ended; what becomes of it is noted as ever.
            drop(cancel.apply(tx).await?);
        }
        Ok(Ok(()))
    }
}

pub(super) fn over(operation: OperationId, state: OperationState) -> Refusal {
    Refusal::conflict(
        "operation_over",
        format!("operation {operation} is {} already", state.as_str()),
        "start another one for what is left to do".to_owned(),
    )
}

fn not_again(operation: OperationId) -> Refusal {
    Refusal::conflict(
        "operation_goes_on",
        format!(
            "operation {operation} moves a site: no stage of it is done again by itself, since those before it would not be true any more"
        ),
        "ask for the move again with `kolga site move`".to_owned(),
    )
}
