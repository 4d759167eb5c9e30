//! Cancel: a task that nobody has yet is over at once; its worker is asked about any other.

use kolga_protocol::id::{Run, TaskId};
use kolga_protocol::message::{Failure, Level};
use kolga_protocol::state::{Event, IllegalEvent, State};
use kolga_protocol::task::Kind;
use sqlx::Row;

use super::outbox::send;
use super::reports::note;
use super::rows;
use super::settle::settle;
use super::tx::{Operation, Outcome, Refusal, Tx, plain};

/// There is no such task.
pub(crate) fn unknown_task(task: &str) -> Refusal {
    Refusal::not_found(
        "task_unknown",
        format!("there is no task {}", task.escape_default()),
        "see `kolga task list`".to_owned(),
    )
}

/// An operator does not want it any more.
#[derive(Clone, Debug)]
pub struct Cancel {
    /// Which task.
    pub task: TaskId,
    /// Who.
    pub requested_by: String,
}

impl Operation for Cancel {
    type Answer = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<()>, sqlx::Error> {
        let mut rows = rows::load(tx.connection, &[self.task]).await?;
        let Some(row) = rows.get_mut(&self.task) else {
            return Ok(Err(unknown_task(&self.task.to_string())));
        };
        if row.finished {
            return Ok(Err(Refusal::conflict(
                "task_finished",
                format!("task {} has {} already", self.task, row.state),
                None,
            )));
        }
        if row.kind == Kind::SiteRelease.as_str() && row.operation.is_some() {
            return Ok(Err(Refusal::conflict(
                "task_goes_on",
                format!(
                    "task {} brings a site that was to move to its end on {}: a site is not left in between",
                    self.task, row.server
                ),
                None,
            )));
        }
        let who = plain(&self.requested_by);
        let (run, now) = (row.run, tx.now);
        row.set_cancel_requested(true);
        if row.retry_at.is_some() {
            row.give_up(
                &Failure::plain(format!("{who} wants no further attempt")),
                now,
            );
        } else if row.state == State::Queued && take_back(tx, run).await? {
            let failure = Failure::plain(format!("cancelled by {who} before it was sent"));
            judged(row.on(Event::Cancelled, now, Some(&failure), tx.policy, now))?;
        } else {
            note(
                row,
                tx,
                Level::Info,
                None,
                format!("{who} asked to cancel this"),
            );
            let server = row.server.clone();
            send(tx, &[(server, run)], "cancel", &who).await?;
        }
        let finished = row.finished;
        rows::save(tx, rows.values()).await?;
        if finished {
            settle(tx, &rows, vec![(self.task, None)]).await?;
        }
        tx.audit(&who, "task.cancel", &run.to_string(), "").await?;
        tx.effects.changed.push(self.task);
        Ok(Ok(()))
    }
}

/// Takes the message of an attempt out of the outbox, if it is certain that nobody has it.
async fn take_back(tx: &mut Tx<'_>, run: Run) -> Result<bool, sqlx::Error> {
    let row = sqlx::query(
        "SELECT seq FROM outbox WHERE task = $1 AND attempt = $2 AND sort = 'task' AND maybe_sent = 0",
    )
    .bind(run.task.to_string())
    .bind(i64::from(run.attempt.0))
    .fetch_optional(&mut *tx.connection)
    .await?;
    let Some(row) = row else { return Ok(false) };
    let seq: i64 = row.try_get("seq")?;
    if tx.is_in_flight(seq) {
        return Ok(false);
    }
    sqlx::query("DELETE FROM outbox WHERE seq = $1")
        .bind(seq)
        .execute(&mut *tx.connection)
        .await?;
    Ok(true)
}

/// What was asked for cannot be put into a message by this release.
pub(super) async fn reject(tx: &mut Tx<'_>, run: Run, reason: &str) -> Result<(), sqlx::Error> {
    let mut rows = rows::load(tx.connection, &[run.task]).await?;
    if let Some(row) = rows.get_mut(&run.task).filter(|row| row.run == run) {
        let failure = Failure::plain(reason);
        // An end that came before this one stays.
        if row
            .on(Event::Rejected, tx.now, Some(&failure), tx.policy, tx.now)
            .is_ok_and(|moved| moved)
        {
            rows::save(tx, rows.values()).await?;
            settle(tx, &rows, vec![(run.task, None)]).await?;
        }
    }
    tx.audit("hub", "task.unreadable", &run.to_string(), reason)
        .await
}

/// What [`State::on`] refuses here is a mistake of ours.
fn judged<T>(result: Result<T, IllegalEvent>) -> Result<T, sqlx::Error> {
    result.map_err(|illegal| sqlx::Error::Protocol(illegal.to_string()))
}
