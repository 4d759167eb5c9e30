//! What became of what the relay took from the outbox: gone and marked as sent, blocked with a reason
//! until something changes, or sent again.

use std::collections::BTreeMap;
use std::sync::Arc;

use kolga_protocol::id::Run;
use kolga_protocol::names::ServerName;
use kolga_protocol::state::{Event, Next, State};

use super::bulk::Bulk;
use super::cancel;
use super::outbox::{Item, Sort};
use super::tx::{Operation, Outcome, Tx, plain};

/// What became of what the relay took.
#[derive(Clone, Debug)]
pub struct Published {
    /// Each, with its fate.
    pub results: Arc<Vec<(Item, Fate)>>,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The broker has it.
    Confirmed,
    /// The broker does not take it, for this reason; it waits until something changes.
    Blocked(String),
    /// The broker may have it; it is sent again.
    Unsure,
    /// It can never be sent, for this reason; whoever asked has to be told.
    Unreadable(String),
}

static DELETE: Bulk = Bulk::new("DELETE FROM outbox WHERE seq IN (VALUES", 1, ")");
static UNSURE: Bulk = Bulk::new(
    "UPDATE outbox SET maybe_sent = 1 WHERE seq IN (VALUES",
    1,
    ")",
);
static BLOCK: Bulk = Bulk::new(
    "UPDATE outbox SET blocked = v.column2 FROM (VALUES",
    2,
    ") AS v WHERE outbox.seq = v.column1",
);
static BLOCK_TASK: Bulk = Bulk::new(
    "UPDATE task SET waiting = v.column2 FROM (VALUES",
    2,
    ") AS v WHERE task.id = v.column1",
);
static SENT_ATTEMPT: Bulk = Bulk::new(
    "UPDATE attempt SET state = v.column3, check_at = v.column4 FROM (VALUES",
    5,
    ") AS v WHERE attempt.task = v.column1 AND attempt.attempt = v.column2 AND attempt.state = v.column5",
);
static SENT_TASK: Bulk = Bulk::new(
    "UPDATE task SET state = v.column3, waiting = NULL FROM (VALUES",
    4,
    ") AS v WHERE task.id = v.column1 AND task.attempt = v.column2 AND task.state = v.column4",
);

impl Operation for Published {
    type Answer = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<()>, sqlx::Error> {
        let of = |wanted: fn(&Fate) -> bool| {
            self.results
                .iter()
                .filter(move |(_, fate)| wanted(fate))
                .map(|(item, _)| item)
        };
        let gone: Vec<i64> = of(|fate| matches!(fate, Fate::Confirmed | Fate::Unreadable(_)))
            .map(|item| item.seq)
            .collect();
        DELETE
            .execute(tx.connection, &gone, |query, seq| query.bind(*seq))
            .await?;
        let confirmed: Vec<Run> = of(|fate| *fate == Fate::Confirmed)
            .filter(|item| matches!(item.sort, Sort::Task { .. }))
            .map(|item| item.run)
            .collect();
        sent(tx, &confirmed).await?;

        let unsure: Vec<i64> = of(|fate| *fate == Fate::Unsure)
            .map(|item| item.seq)
            .collect();
        UNSURE
            .execute(tx.connection, &unsure, |query, seq| query.bind(*seq))
            .await?;
        if let Some(first) = unsure.iter().min() {
            let before = first - 1;
            let to = tx.effects.rewind_to.map_or(before, |to| to.min(before));
            tx.effects.rewind_to = Some(to);
        }
        let mut blocked = Vec::new();
        for (item, fate) in self.results.iter() {
            match fate {
                Fate::Blocked(reason) => blocked.push((item, plain(reason))),
                Fate::Unreadable(reason) => cancel::reject(tx, item.run, reason).await?,
                Fate::Confirmed | Fate::Unsure => {}
            }
        }
        BLOCK
            .execute(tx.connection, &blocked, |query, (item, reason)| {
                query.bind(item.seq).bind(reason.clone())
            })
            .await?;
        let blocked: BTreeMap<_, _> = blocked
            .into_iter()
            .map(|(item, reason)| (item.run.task, reason))
            .collect();
        let blocked: Vec<_> = blocked.into_iter().collect();
        BLOCK_TASK
            .execute(tx.connection, &blocked, |query, (task, reason)| {
                query.bind(task.to_string()).bind(reason.clone())
            })
            .await?;
        tx.effects
            .changed
            .extend(self.results.iter().map(|(item, _)| item.run.task));
        tx.effects
            .given_back
            .extend(self.results.iter().map(|(item, _)| item.seq));
        Ok(Ok(()))
    }
}

/// The states from which a confirm moves an attempt; by [`State::on`] there is one.
fn moved_by_a_confirm() -> impl Iterator<Item = (State, State)> {
    State::ALL
        .into_iter()
        .filter_map(|from| match from.on(Event::Sent) {
            Ok(Next::To(to)) => Some((from, to)),
            _ => None,
        })
}

/// Marks attempts as sent, without reading them first: the worker may well have been faster.
async fn sent(tx: &mut Tx<'_>, runs: &[Run]) -> Result<(), sqlx::Error> {
    let check_at = tx.now.0 + tx.policy.check_millis;
    for (from, to) in moved_by_a_confirm() {
        SENT_ATTEMPT
            .execute(tx.connection, runs, |query, run| {
                query
                    .bind(run.task.to_string())
                    .bind(i64::from(run.attempt.0))
                    .bind(to.as_str())
                    .bind(check_at)
                    .bind(from.as_str())
            })
            .await?;
        SENT_TASK
            .execute(tx.connection, runs, |query, run| {
                query
                    .bind(run.task.to_string())
                    .bind(i64::from(run.attempt.0))
                    .bind(to.as_str())
                    .bind(from.as_str())
            })
            .await?;
    }
    Ok(())
}

/// Something has changed at a server's queue, or may have: what was blocked is tried again.
#[derive(Clone, Debug)]
pub struct Unblock {
    /// Whose queue.
    pub server: ServerName,
}

impl Operation for Unblock {
    type Answer = u64;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<u64>, sqlx::Error> {
        sqlx::query(
            "UPDATE task SET waiting = NULL WHERE waiting IS NOT NULL AND id IN
                (SELECT task FROM outbox WHERE server = $1 AND blocked IS NOT NULL)",
        )
        .bind(self.server.as_str())
        .execute(&mut *tx.connection)
        .await?;
        let freed = sqlx::query(
            "UPDATE outbox SET blocked = NULL WHERE server = $1 AND blocked IS NOT NULL",
        )
        .bind(self.server.as_str())
        .execute(&mut *tx.connection)
        .await?
        .rows_affected();
        if freed > 0 {
            tx.effects.rewind_to = Some(0);
            tx.effects.outbox = true;
        }
        Ok(Ok(freed))
    }
}
