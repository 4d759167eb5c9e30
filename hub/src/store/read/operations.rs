//! Operations, newest first, and their items, page by page.

use kolga_protocol::id::UnixMillis;
use kolga_protocol::message::Failure;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::{corrupt, from_json, parse};
use crate::store::{Store, StoreError};
use crate::wire::{Counts, Item, ItemState, MOVE, Operation, OperationId, OperationState};

const COLUMNS: &str = "SELECT id, kind, params, selector, requested_by, created_at, parallel, per_server, stop_after,
    state, reason, total, waiting, open, succeeded, failed, cancelled, skipped, finished_at FROM operation";
const ITEM: &str = "SELECT i.place, i.server, i.site, i.platform, i.stage, i.state, i.task, i.reason, t.failure
    FROM operation_item i LEFT JOIN task t ON t.id = i.task WHERE i.operation = $1 AND i.place > $2";

/// So many of the newest operations are looked through for an id that ends in a given way.
const RECENT: i64 = 1000;

impl Store {
    /// Operations older than one, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn operations(
        &self,
        before: Option<OperationId>,
        limit: u32,
    ) -> Result<Vec<Operation>, StoreError> {
        let sql = format!("{COLUMNS} WHERE id < $1 AND total > 0 ORDER BY id DESC LIMIT $2");
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(before.map_or_else(|| "g".to_owned(), |id| id.to_string()))
            .bind(i64::from(limit))
            .fetch_all(&self.reads)
            .await?;
        let mut operations = Vec::with_capacity(rows.len());
        for row in &rows {
            operations.push(self.with_stage(operation(row)?).await?);
        }
        Ok(operations)
    }

    /// A move says which of its stages is open.
    async fn with_stage(&self, mut operation: Operation) -> Result<Operation, StoreError> {
        if operation.kind == MOVE && operation.counts.open > 0 {
            let open = self.operation_items(operation.id, Some(ItemState::Made), 0, 1);
            operation.stage = open.await?.first().and_then(|item| item.stage);
        }
        Ok(operation)
    }

    /// One of them.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn operation(&self, id: OperationId) -> Result<Option<Operation>, StoreError> {
        let sql = AssertSqlSafe(format!("{COLUMNS} WHERE id = $1 AND total > 0"));
        let row = sqlx::query(sql)
            .bind(id.to_string())
            .fetch_optional(&self.reads)
            .await?;
        match row.as_ref().map(operation).transpose()? {
            Some(operation) => self.with_stage(operation).await.map(Some),
            None => Ok(None),
        }
    }

    /// Those whose ids begin like this, or end like this among the newest; two at most.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn find_operations(&self, part: &str) -> Result<Vec<OperationId>, StoreError> {
        let part = part.to_ascii_lowercase();
        let fits = (1..=36).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        if !fits {
            return Ok(Vec::new());
        }
        let begins: Vec<String> = sqlx::query_scalar(
            "SELECT id FROM operation WHERE id >= $1 AND id < $2 ORDER BY id LIMIT 2",
        )
        .bind(part.clone())
        .bind(format!("{part}g"))
        .fetch_all(&self.reads)
        .await?;
        let found = if begins.is_empty() {
            sqlx::query_scalar(
                "SELECT id FROM (SELECT id FROM operation ORDER BY id DESC LIMIT $1) AS newest
                  WHERE id LIKE $2 LIMIT 2",
            )
            .bind(RECENT)
            .bind(format!("%{part}"))
            .fetch_all(&self.reads)
            .await?
        } else {
            begins
        };
        found.iter().map(|id| parse("an operation", id)).collect()
    }

    /// Items of an operation after one, in order, all or those in one state.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn operation_items(
        &self,
        id: OperationId,
        state: Option<ItemState>,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Item>, StoreError> {
        let narrow = state.map_or("", |_| "AND i.state = $4");
        let sql = format!("{ITEM} {narrow} ORDER BY i.place LIMIT $3");
        let mut query = sqlx::query(AssertSqlSafe(sql))
            .bind(id.to_string())
            .bind(i64::try_from(after).unwrap_or(i64::MAX))
            .bind(i64::from(limit));
        if let Some(state) = state {
            query = query.bind(state.as_str());
        }
        let rows = query.fetch_all(&self.reads).await?;
        rows.iter().map(item).collect()
    }
}

fn operation(row: &AnyRow) -> Result<Operation, StoreError> {
    let text = |column| row.try_get::<String, _>(column);
    let number = |column: &'static str| {
        u64::try_from(row.try_get::<i64, _>(column)?).map_err(|error| corrupt(column, error))
    };
    let small = |column: &'static str| {
        u32::try_from(row.try_get::<i64, _>(column)?).map_err(|error| corrupt(column, error))
    };
    let per_server: Option<i64> = row.try_get("per_server")?;
    Ok(Operation {
        id: parse("an operation", &text("id")?)?,
        kind: text("kind")?,
        params: from_json("parameters", &text("params")?)?,
        select: from_json("a selector", &text("selector")?)?,
        requested_by: text("requested_by")?,
        created_at: UnixMillis(row.try_get("created_at")?),
        parallel: small("parallel")?,
        per_server: per_server.and_then(|bound| u32::try_from(bound).ok()),
        stop_after: small("stop_after")?,
        state: parse::<OperationState>("a state", &text("state")?)?,
        reason: row.try_get("reason")?,
        stage: None,
        counts: Counts {
            total: number("total")?,
            waiting: number("waiting")?,
            open: number("open")?,
            succeeded: number("succeeded")?,
            failed: number("failed")?,
            cancelled: number("cancelled")?,
            skipped: number("skipped")?,
        },
        finished_at: row
            .try_get::<Option<i64>, _>("finished_at")?
            .map(UnixMillis),
    })
}

fn item(row: &AnyRow) -> Result<Item, StoreError> {
    let server: String = row.try_get("server")?;
    let site: Option<String> = row.try_get("site")?;
    let platform: Option<String> = row.try_get("platform")?;
    let task: Option<String> = row.try_get("task")?;
    let stage: Option<String> = row.try_get("stage")?;
    let state: String = row.try_get("state")?;
    let reason: Option<String> = row.try_get("reason")?;
    let failure: Option<String> = row.try_get("failure")?;
    let failure: Option<Failure> = failure
        .map(|text| from_json("a failure", &text))
        .transpose()?;
    Ok(Item {
        place: u64::try_from(row.try_get::<i64, _>("place")?).map_err(|e| corrupt("place", e))?,
        server: parse("a server", &server)?,
        site: site.map(|host| parse("a host name", &host)).transpose()?,
        platform: platform
            .map(|name| parse("a platform", &name))
            .transpose()?,
        stage: stage.map(|stage| parse("a stage", &stage)).transpose()?,
        state: parse("a state", &state)?,
        task: task.map(|id| parse("a task id", &id)).transpose()?,
        reason: reason.or(failure.map(|failure| failure.message)),
    })
}
