//! A task's entries: its log by page, its steps, and all of them in order for the live stream.

use kolga_protocol::id::TaskId;
use sqlx::Row;

use super::from_json;
use crate::store::{Store, StoreError};
use crate::wire::{Event, LogEntry, StepEntry};

/// An entry as it lies in the store, ready to be sent.
#[derive(Clone, Debug)]
pub struct StoredEntry {
    /// Its number.
    pub seq: i64,
    /// `log`, `step` or `state`.
    pub sort: String,
    /// [`Event`] as JSON.
    pub event: String,
}

impl Store {
    /// Lines of the log after a number, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn log(
        &self,
        task: TaskId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<LogEntry>, StoreError> {
        let events: Vec<String> = sqlx::query_scalar(
            "SELECT event FROM entry WHERE task = $1 AND seq > $2 AND sort = 'log' ORDER BY seq LIMIT $3",
        )
        .bind(task.to_string())
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(&self.reads)
        .await?;
        let mut lines = Vec::with_capacity(events.len());
        for event in events {
            if let Event::Log(line) = from_json("an entry", &event)? {
                lines.push(line);
            }
        }
        Ok(lines)
    }

    /// Every report about steps, oldest first.
    pub(super) async fn steps(&self, task: TaskId) -> Result<Vec<StepEntry>, StoreError> {
        let events: Vec<String> = sqlx::query_scalar(
            "SELECT event FROM entry WHERE task = $1 AND sort = 'step' ORDER BY seq",
        )
        .bind(task.to_string())
        .fetch_all(&self.reads)
        .await?;
        let mut steps = Vec::with_capacity(events.len());
        for event in events {
            if let Event::Step(step) = from_json("an entry", &event)? {
                steps.push(step);
            }
        }
        Ok(steps)
    }

    /// Entries of all sorts after a number, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn entries(
        &self,
        task: TaskId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, sort, event FROM entry WHERE task = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        )
        .bind(task.to_string())
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(&self.reads)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(StoredEntry {
                    seq: row.try_get("seq")?,
                    sort: row.try_get("sort")?,
                    event: row.try_get("event")?,
                })
            })
            .collect()
    }
}
