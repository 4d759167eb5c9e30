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

pub(super) static INSERT_TASKS: Bulk = Bulk::new(
    "INSERT INTO task (id, server, kind, params, object, requested_by, created_at, attempt, tries, state) VALUES",
    10,
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
        let params = self
            .params
            .to_json()
            .map_err(|error| sqlx::Error::Encode(error.into()))?;
        let params = json(&params).unwrap_or_default();
        let object = object(&self.params);
        let requested_by = plain(&self.requested_by);
        let first_seq = tx.memory.last_seq + 1;
        tx.memory.last_seq += i64::from(self.count);
        let rows: Vec<(i64, TaskId)> = (first_seq..).zip(tasks.iter().copied()).collect();

        let now = tx.now.0;
        let server = self.server.as_str();
        let kind = self.params.kind().as_str();
        let queued = State::Queued.as_str();
        let mut written = INSERT_TASKS
            .execute(tx.connection, &rows, |query, (_, task)| {
                query
                    .bind(task.to_string())
                    .bind(server.to_owned())
                    .bind(kind)
                    .bind(params.clone())
                    .bind(object.clone())
                    .bind(requested_by.clone())
                    .bind(now)
                    .bind(1_i64)
                    .bind(1_i64)
                    .bind(queued)
            })
            .await?;
        written += INSERT_ATTEMPTS
            .execute(tx.connection, &rows, |query, (_, task)| {
                query
                    .bind(task.to_string())
                    .bind(1_i64)
                    .bind(queued)
                    .bind(now)
            })
            .await?;
        written += INSERT_OUTBOX
            .execute(tx.connection, &rows, |query, (seq, task)| {
                query
                    .bind(*seq)
                    .bind(server.to_owned())
                    .bind(task.to_string())
                    .bind(1_i64)
                    .bind("task")
                    .bind(requested_by.clone())
            })
            .await?;
        tx.effects.outbox = true;
        tx.effects.grown.tasks += i64::from(self.count);
        tx.effects.created += u64::from(self.count);
        tx.effects.rows += written;
        Ok(Ok(tasks))
    }
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
