//! The hub's memory: one database, SQLite or PostgreSQL, and the only place with SQL.
//!
//! Writing goes through one task (`writer`) that gathers whatever operations have come while it was
//! busy into one transaction; whoever asked is answered after the commit. Each operation is a type with
//! an [`Operation`] of its own: [`create`], [`outbox`], [`published`], [`reports`], [`cancel`], [`retry`],
//! [`doubt`], [`objects`], [`adopting`], [`platforms`], [`servers`], [`locks`], [`prune`]. Reading
//! ([`read`]) goes beside it through a pool. Handed work by `app`, `relay`, `inbox`, `sweeper` and
//! `janitor`; tells them through [`Signals`] what a commit has changed.

pub mod adopting;
mod bulk;
pub mod cancel;
mod cloning;
mod connect;
mod counters;
pub mod create;
pub mod doubt;
mod holding;
pub mod labels;
pub mod locks;
mod moving;
mod names;
pub mod objects;
pub mod operations;
pub mod outbox;
pub mod platforms;
pub mod prune;
pub mod published;
pub mod read;
pub mod reports;
pub mod retry;
mod rows;
pub mod servers;
mod settle;
mod signals;
mod tx;
mod verified;
mod writer;

use std::sync::Arc;

use sqlx::AnyPool;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use writer::Writer;

pub use counters::{Counted, Counters};
pub use rows::Policy;
pub use signals::Signals;
pub use tx::{Alive, Operation, Outcome, Refusal, RefusalKind, Tx};

/// Operations that may wait for the writer; whoever comes then waits to hand over.
const QUEUE: usize = 4096;

/// The way to the database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    queue: mpsc::Sender<Box<dyn tx::AnyOperation>>,
    reads: AnyPool,
    signals: Arc<Signals>,
    counters: Arc<Counters>,
    description: Arc<str>,
}

/// Why an operation or a query gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operation is not allowed as things are; nothing was changed.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The database failed; nothing was changed.
    #[error("the database failed: {0}")]
    Database(String),
    /// The database holds what this release cannot read.
    #[error("the database holds {what} that this release cannot read: {reason}")]
    Corrupt {
        /// Which column.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The hub is stopping.
    #[error("the hub is stopping")]
    Stopped,
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.to_string())
    }
}

impl Store {
    /// Opens the database, brings its tables up to date and starts the writer. The writer ends, with
    /// everything that was handed to it committed, when every clone of the store is gone.
    ///
    /// # Errors
    /// When the database cannot be opened, or is of a later release.
    pub async fn open(url: &str, policy: Policy) -> anyhow::Result<(Self, JoinHandle<()>)> {
        let database = connect::Database::new(url)?;
        let signals = Arc::new(Signals::default());
        let counters = Arc::new(Counters::default());
        let (queue, operations) = mpsc::channel(QUEUE);
        let writer = Writer {
            database: database.clone(),
            policy,
            signals: Arc::clone(&signals),
            counters: Arc::clone(&counters),
        };
        let (description, ended) = writer.start(operations).await?;
        let store = Self {
            queue,
            reads: database.readers().await?,
            signals,
            counters,
            description: description.into(),
        };
        Ok((store, ended))
    }

    /// Does one operation, durably.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was changed.
    pub async fn write<O: Operation>(&self, operation: O) -> Result<O::Answer, StoreError> {
        self.hand_over(operation, false).await
    }

    /// Does one operation, durably, that nobody waits for: it lets others come along for a moment, and so
    /// often costs no transaction of its own.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was changed.
    pub async fn write_at_leisure<O: Operation>(
        &self,
        operation: O,
    ) -> Result<O::Answer, StoreError> {
        self.hand_over(operation, true).await
    }

    async fn hand_over<O: Operation>(
        &self,
        operation: O,
        can_wait: bool,
    ) -> Result<O::Answer, StoreError> {
        let (pending, answer) = tx::Pending::new(operation, can_wait);
        self.queue
            .send(Box::new(pending))
            .await
            .map_err(|_| StoreError::Stopped)?;
        answer.await.map_err(|_| StoreError::Stopped)?
    }

    /// What commits have changed.
    #[must_use]
    pub fn signals(&self) -> &Signals {
        &self.signals
    }

    /// What it has done since the hub began.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The database and how it is set, for a person.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }
}
