//! Makes tasks: the task, its first attempt and its message in the outbox, and what it claims of the
//! hub's own bookkeeping (a site's names), in one transaction.

use kolga_protocol::id::TaskId;
use kolga_protocol::names::ServerName;
use kolga_protocol::object::Access;
use kolga_protocol::state::State;
use kolga_protocol::task::Params;

use super::bulk::Bulk;
use super::rows::json;
use super::tx::{Operation, Outcome, Refusal, Tx, plain};
use super::{objects, servers};
use crate::wire::OperationId;

/// Tasks in one request at most: bounds the time that everybody else waits for the writer.
pub const MOST: u32 = 10_000;

/// So many tasks of one sort for one server.
#[derive(Clone, Debug)]
pub struct Create {
    /// Where they run.
    pub server: ServerName,
    /// What they do.
    pub params: Params,
    /// How many.
    pub count: u32,
    /// Who asks.
    pub requested_by: String,
}

static INSERT_TASKS: Bulk = Bulk::new(
    "INSERT INTO task (id, server, kind, params, object, operation, requested_by, created_at, attempt, tries, state)
     VALUES",
    11,
    "",
);
pub(super) static INSERT_ATTEMPTS: Bulk = Bulk::new(
    "INSERT INTO attempt (task, attempt, state, created_at) VALUES",
    4,
    "",
);
pub(super) static INSERT_OUTBOX: Bulk = Bulk::new(
    "INSERT INTO outbox (seq, server, task, attempt, sort, requested_by) VALUES",
    6,
    "",
);

impl Operation for Create {
    type Answer = Vec<TaskId>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<Vec<TaskId>>, sqlx::Error> {
        if let Err(refusal) = servers::known(tx, &self.server).await? {
            return Ok(Err(refusal));
        }
        if !(1..=MOST).contains(&self.count) {
            return Ok(Err(Refusal::invalid(
                "bad_count",
                format!("count must be between 1 and {MOST}"),
                None,
            )));
        }
        let tasks: Vec<TaskId> = (0..self.count).map(|_| TaskId::generate()).collect();
        if self.count != 1 && objects::has_row(&self.params) {
            return Ok(Err(Refusal::invalid(
                "bad_count",
                format!("a {} task can be made once only", self.params.kind()),
                "leave count out".to_owned(),
            )));
        }
        if let Err(refusal) = objects::claim(tx, &self.server, &self.params, tasks[0]).await? {
            return Ok(Err(refusal));
        }
        let wanted: Vec<Wanted<'_>> = tasks
            .iter()
            .map(|&id| Wanted {
                id,
                server: &self.server,
                params: &self.params,
                operation: None,
            })
            .collect();
        insert(tx, &wanted, &self.requested_by).await?;
        Ok(Ok(tasks))
    }
}

/// A task that is to be made; what it claims is claimed.
pub(super) struct Wanted<'a> {
    pub(super) id: TaskId,
    pub(super) server: &'a ServerName,
    pub(super) params: &'a Params,
    /// What it is a part of.
    pub(super) operation: Option<OperationId>,
}

/// Makes tasks, each with its first attempt and its message.
pub(super) async fn insert(
    tx: &mut Tx<'_>,
    wanted: &[Wanted<'_>],
    requested_by: &str,
) -> Result<(), sqlx::Error> {
    let requested_by = plain(requested_by);
    let mut rows = Vec::with_capacity(wanted.len());
    for task in wanted {
        let params = task
            .params
            .to_json()
            .map_err(|error| sqlx::Error::Encode(error.into()))?;
        tx.memory.last_seq += 1;
        let params = json(&params).unwrap_or_default();
        rows.push((tx.memory.last_seq, task, params, object(task.params)));
    }
    let now = tx.now.0;
    let queued = State::Queued.as_str();
    let mut written = INSERT_TASKS
        .execute(tx.connection, &rows, |query, (_, task, params, object)| {
            query
                .bind(task.id.to_string())
                .bind(task.server.to_string())
                .bind(task.params.kind().as_str())
                .bind(params.clone())
                .bind(object.clone())
                .bind(task.operation.map(|operation| operation.to_string()))
                .bind(requested_by.clone())
                .bind(now)
                .bind(1_i64)
                .bind(1_i64)
                .bind(queued)
        })
        .await?;
    written += INSERT_ATTEMPTS
        .execute(tx.connection, &rows, |query, (_, task, _, _)| {
            query
                .bind(task.id.to_string())
                .bind(1_i64)
                .bind(queued)
                .bind(now)
        })
        .await?;
    written += INSERT_OUTBOX
        .execute(tx.connection, &rows, |query, (seq, task, _, _)| {
            query
                .bind(*seq)
                .bind(task.server.to_string())
                .bind(task.id.to_string())
                .bind(1_i64)
                .bind("task")
                .bind(requested_by.clone())
        })
        .await?;
    tx.effects.outbox |= !rows.is_empty();
    tx.effects.grown.tasks += i64::try_from(rows.len()).unwrap_or(i64::MAX);
    tx.effects.created += rows.len() as u64;
    tx.effects.rows += written;
    Ok(())
}

/// What the task changes, by name; else what it relies on; nothing for one that needs nothing.
fn object(params: &Params) -> Option<String> {
    let claims = params.claims();
    claims
        .iter()
        .find(|claim| claim.access == Access::Exclusive)
        .or(claims.first())
        .map(|claim| claim.object.to_string())
}
