//! The outbox: what the broker has yet to confirm. The relay takes from it and says in
//! [`super::published`] what became of what it took; only the writer looks into it, so what the relay holds can never be taken away under its hands.

use kolga_protocol::id::{Attempt, Run, UnixMillis};
use kolga_protocol::names::ServerName;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::create::INSERT_OUTBOX;
use super::tx::{Operation, Outcome, Tx};

/// What to send.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its number in the outbox.
    pub seq: i64,
    /// To whom.
    pub server: ServerName,
    /// About which attempt.
    pub run: Run,
    /// What about it.
    pub sort: Sort,
    /// Who asked.
    pub requested_by: String,
}

/// What a message says about an attempt.
#[derive(Clone, Debug)]
pub enum Sort {
    /// Run it.
    Task {
        /// Its type.
        kind: String,
        /// Its parameters, as JSON.
        params: String,
        /// When the attempt was made.
        issued_at: UnixMillis,
    },
    /// Drop it, or roll it back.
    Cancel,
}

/// At start: what an earlier hub may have sent without noting it is not safe to take back. Gives the
/// last number in use.
pub(super) async fn at_start(connection: &mut AnyConnection) -> Result<i64, sqlx::Error> {
    sqlx::query("UPDATE outbox SET maybe_sent = 1 WHERE maybe_sent = 0 AND blocked IS NULL")
        .execute(&mut *connection)
        .await?;
    let last: Option<i64> = sqlx::query_scalar("SELECT max(seq) FROM outbox")
        .fetch_one(connection)
        .await?;
    Ok(last.unwrap_or(0))
}

/// Gives the relay what comes next, in order.
#[derive(Clone, Copy, Debug)]
pub struct Take {
    /// At most so many.
    pub most: i64,
}

impl Operation for Take {
    type Answer = Vec<Item>;
    const ONLY_READS: bool = true;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<Vec<Item>>, sqlx::Error> {
        let cursor = tx.effects.cursor.unwrap_or(tx.memory.cursor);
        let cursor = tx.effects.rewind_to.map_or(cursor, |to| cursor.min(to));
        let rows = sqlx::query(
            "SELECT o.seq, o.server, o.task, o.attempt, o.sort, o.requested_by, t.kind, t.params, a.created_at
               FROM outbox o
               JOIN task t ON t.id = o.task
               JOIN attempt a ON a.task = o.task AND a.attempt = o.attempt
              WHERE o.seq > $1 AND o.blocked IS NULL
              ORDER BY o.seq LIMIT $2",
        )
        .bind(cursor)
        .bind(self.most)
        .fetch_all(&mut *tx.connection)
        .await?;
        let mut items = Vec::with_capacity(rows.len());
        for row in &rows {
            let item = read(row)?;
            tx.effects.cursor = Some(item.seq);
            tx.effects.rewind_to = None;
            if !tx.is_in_flight(item.seq) {
                tx.effects.taken.insert(item.seq);
                items.push(item);
            }
        }
        Ok(Ok(items))
    }
}

fn read(row: &AnyRow) -> Result<Item, sqlx::Error> {
    let decode = |text: &str| sqlx::Error::Decode(format!("outbox: {text:?}").into());
    let task: String = row.try_get("task")?;
    let server: String = row.try_get("server")?;
    let sort: String = row.try_get("sort")?;
    Ok(Item {
        seq: row.try_get("seq")?,
        server: server.parse().map_err(|_| decode(&server))?,
        run: Run {
            task: task.parse().map_err(|_| decode(&task))?,
            attempt: Attempt(u32::try_from(row.try_get::<i64, _>("attempt")?).unwrap_or(u32::MAX)),
        },
        sort: match sort.as_str() {
            "task" => Sort::Task {
                kind: row.try_get("kind")?,
                params: row.try_get("params")?,
                issued_at: UnixMillis(row.try_get("created_at")?),
            },
            _ => Sort::Cancel,
        },
        requested_by: row.try_get("requested_by")?,
    })
}

/// Puts messages about attempts into the outbox, unless the same are there already.
pub(super) async fn send(
    tx: &mut Tx<'_>,
    runs: &[(String, Run)],
    sort: &'static str,
    requested_by: &str,
) -> Result<(), sqlx::Error> {
    let mut rows = Vec::with_capacity(runs.len());
    for (server, run) in runs {
        let there: Option<i64> = sqlx::query_scalar(
            "SELECT seq FROM outbox WHERE task = $1 AND attempt = $2 AND sort = $3",
        )
        .bind(run.task.to_string())
        .bind(i64::from(run.attempt.0))
        .bind(sort)
        .fetch_optional(&mut *tx.connection)
        .await?;
        if there.is_none() {
            tx.memory.last_seq += 1;
            rows.push((tx.memory.last_seq, server.clone(), *run));
        }
    }
    INSERT_OUTBOX
        .execute(tx.connection, &rows, |query, (seq, server, run)| {
            query
                .bind(*seq)
                .bind(server.clone())
                .bind(run.task.to_string())
                .bind(i64::from(run.attempt.0))
                .bind(sort)
                .bind(requested_by.to_owned())
        })
        .await?;
    tx.effects.outbox = true;
    Ok(())
}
