//! A task's entries: its log by page, its steps, and all of them in order for the live stream.

use futures_util::TryStreamExt as _;
use kolga_protocol::id::TaskId;
use sqlx::Row;

use super::from_json;
use crate::store::{Store, StoreError};
use crate::wire::{Event, LogEntry, StepEntry};

/// Bytes of entries that are read at once: an entry may hold many lines.
const PAGE_BYTES: usize = 1024 * 1024;

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
    /// Entries of the log after a number, oldest first: at most `limit`, and at most about [`PAGE_BYTES`].
    /// Whether there are more.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn log(
        &self,
        task: TaskId,
        after: i64,
        limit: u32,
    ) -> Result<(Vec<LogEntry>, bool), StoreError> {
        let mut events = sqlx::query_scalar::<_, String>(
            "SELECT event FROM entry WHERE task = $1 AND seq > $2 AND sort = 'log' ORDER BY seq LIMIT $3",
        )
        .bind(task.to_string())
        .bind(after)
        .bind(i64::from(limit) + 1)
        .fetch(&self.reads);
        let mut page = Page::new(limit);
        let mut entries = Vec::new();
        while let Some(event) = events.try_next().await? {
            if !page.takes(&event) {
                return Ok((entries, true));
            }
            if let Event::Log(entry) = from_json("an entry", &event)? {
                entries.push(entry);
            }
        }
        Ok((entries, false))
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

    /// Entries of all sorts after a number, oldest first: at most `limit`, and at most about [`PAGE_BYTES`].
    /// None only where there are none.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn entries(
        &self,
        task: TaskId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        let mut rows = sqlx::query(
            "SELECT seq, sort, event FROM entry WHERE task = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        )
        .bind(task.to_string())
        .bind(after)
        .bind(i64::from(limit))
        .fetch(&self.reads);
        let mut page = Page::new(limit);
        let mut entries = Vec::new();
        while let Some(row) = rows.try_next().await? {
            let entry = StoredEntry {
                seq: row.try_get("seq")?,
                sort: row.try_get("sort")?,
                event: row.try_get("event")?,
            };
            if !page.takes(&entry.event) {
                break;
            }
            entries.push(entry);
        }
        Ok(entries)
    }
}

/// What one answer may still take up. The first entry always fits.
struct Page {
    entries: u32,
    bytes: usize,
}

impl Page {
    fn new(entries: u32) -> Self {
        Self {
            entries,
            bytes: PAGE_BYTES,
        }
    }

    fn takes(&mut self, event: &str) -> bool {
        if self.entries == 0 || self.bytes == 0 {
            return false;
        }
        self.entries -= 1;
        self.bytes = self.bytes.saturating_sub(event.len());
        true
    }
}
