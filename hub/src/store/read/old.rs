//! What is old enough to be pruned, how much there is of everything, and what pruning has come to. Asked by
//! `janitor` and the doctor.

use kolga_protocol::id::{TaskId, UnixMillis};
use sqlx::Row;

use super::parse;
use crate::store::prune::may_go;
use crate::store::{Store, StoreError};

/// How many rows there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Tasks.
    pub tasks: i64,
    /// Entries of logs.
    pub entries: i64,
    /// Records of who did what.
    pub audit: i64,
}

/// What pruning has removed since the store was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrunedSoFar {
    /// When last.
    pub at: Option<UnixMillis>,
    /// Tasks.
    pub tasks: i64,
    /// Entries of logs.
    pub entries: i64,
    /// Records of who did what.
    pub audit: i64,
}

/// A look at tasks that have entries, in order.
#[derive(Clone, Debug, Default)]
pub struct OldLogs {
    /// Those among them whose logs may go.
    pub tasks: Vec<TaskId>,
    /// The last that was looked at; none where there was none.
    pub last: Option<TaskId>,
}

impl Store {
    /// Tasks after one that ended by a time and may go, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn old_tasks(
        &self,
        after: TaskId,
        ended_by: UnixMillis,
        limit: i64,
    ) -> Result<Vec<TaskId>, StoreError> {
        // No task has ended before it was asked for, and ids sort by that: the key bounds the search.
        let ids: Vec<String> = sqlx::query_scalar(concat!(
            "SELECT t.id FROM task t WHERE t.id > $1 AND t.id < $2 AND ",
            may_go!("$3"),
            " ORDER BY t.id LIMIT $4"
        ))
        .bind(after.to_string())
        .bind(TaskId::earliest(ended_by.plus_millis(1)).to_string())
        .bind(ended_by.0)
        .bind(limit)
        .fetch_all(&self.reads)
        .await?;
        ids.iter().map(|id| parse("a task id", id)).collect()
    }

    /// Looks at the next tasks after one that have entries, and were asked for and ended by a time. It
    /// leaps from task to task in the key of the entries, so a task without any costs nothing.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn old_logs(
        &self,
        after: TaskId,
        ended_by: UnixMillis,
        limit: i64,
    ) -> Result<OldLogs, StoreError> {
        let rows = sqlx::query(concat!(
            "WITH RECURSIVE held (task, place) AS (
                SELECT (SELECT min(e.task) FROM entry e WHERE e.task > $1 AND e.task < $2), CAST(1 AS BIGINT)
                UNION ALL
                SELECT (SELECT min(e.task) FROM entry e WHERE e.task > held.task AND e.task < $2), held.place + 1
                  FROM held WHERE held.task IS NOT NULL AND held.place < $4)
             SELECT held.task,
                    (SELECT count(*) FROM task t WHERE t.id = held.task AND ",
            may_go!("$3"),
            ") AS may_go
               FROM held WHERE held.task IS NOT NULL ORDER BY held.place"
        ))
        .bind(after.to_string())
        .bind(TaskId::earliest(ended_by.plus_millis(1)).to_string())
        .bind(ended_by.0)
        .bind(limit)
        .fetch_all(&self.reads)
        .await?;
        let mut old = OldLogs::default();
        for row in &rows {
            let task = parse("a task id", &row.try_get::<String, _>("task")?)?;
            if row.try_get::<i64, _>("may_go")? > 0 {
                old.tasks.push(task);
            }
            old.last = Some(task);
        }
        Ok(old)
    }

    /// Counts everything, which reads everything: for once, at the start.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn held(&self) -> Result<Held, StoreError> {
        let count = |sql: &'static str| async move {
            let count: i64 = sqlx::query_scalar(sql).fetch_one(&self.reads).await?;
            Ok::<_, StoreError>(count)
        };
        Ok(Held {
            tasks: count("SELECT count(*) FROM task").await?,
            entries: count("SELECT count(*) FROM entry").await?,
            audit: count("SELECT count(*) FROM audit").await?,
        })
    }

    /// What pruning has come to.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn pruned(&self) -> Result<PrunedSoFar, StoreError> {
        let row = sqlx::query("SELECT at, tasks, entries, audit FROM pruned WHERE id = 1")
            .fetch_one(&self.reads)
            .await?;
        Ok(PrunedSoFar {
            at: row.try_get::<Option<i64>, _>("at")?.map(UnixMillis),
            tasks: row.try_get("tasks")?,
            entries: row.try_get("entries")?,
            audit: row.try_get("audit")?,
        })
    }
}
