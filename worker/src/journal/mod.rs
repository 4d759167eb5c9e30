//! The journal: what this worker has accepted, what it has begun, and what it has yet to report. One
//! SQLite file, written by one task (`writer`) that commits a burst of entries with one fsync.
//!
//! Handed work by [`crate::intake`] (tasks), [`crate::run`] (what happens to them) and
//! [`crate::outgoing`] (what was confirmed); read by the last two, and by `kolga-worker journal`.

mod admit;
mod bulk;
mod entry;
mod read;
mod rows;
mod stage;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kolga_protocol::id::{Run, UnixMillis};
use kolga_protocol::names::ServerName;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::{Notify, mpsc, oneshot};
use uuid::Uuid;

pub use entry::{Arrival, Cause, Change, Entry, Incoming, Place, StepRow, Taken};
pub use read::{LiveTask, Overview, Reader, SpoolRow, StoredStep, TaskView};

/// The format that this build writes and reads.
const FORMAT: i64 = 1;

/// Why the journal cannot do what it should.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be read or written.
    #[error("the journal cannot be used: is the disk full, or the file not the worker's own?")]
    Database(#[source] Arc<sqlx::Error>),
    /// The file was written by a later release.
    #[error(
        "the journal has format {0}, which this release does not know: install the release that wrote it"
    )]
    Format(i64),
    /// The file belongs to another spoke.
    #[error("the journal belongs to server {0}: state_dir and server do not go together")]
    OtherServer(String),
    /// A row cannot be understood.
    #[error("the journal holds what this release cannot read: {0}")]
    Corrupt(String),
    /// A change that cannot follow the attempt's state: a defect of the worker.
    #[error("{run}: {reason}")]
    Illegal {
        /// The attempt.
        run: Run,
        /// What does not fit.
        reason: String,
    },
    /// The writer has stopped.
    #[error("the journal is closed")]
    Closed,
}

impl From<sqlx::Error> for JournalError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

/// The way to write. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    ops: mpsc::UnboundedSender<writer::Op>,
    /// Which journal this is.
    pub id: Uuid,
    /// Woken when the spool has something new.
    pub spooled: Arc<Notify>,
}

type Reply<T> = oneshot::Receiver<Result<T, JournalError>>;

impl Journal {
    /// Opens or makes the journal of `server` and starts its writer. The writer ends, after its last
    /// commit, when every clone of the journal is gone.
    ///
    /// # Errors
    /// [`JournalError`] when the file cannot be used or is not this server's.
    pub async fn open(
        path: &Path,
        server: &ServerName,
    ) -> Result<(Self, tokio::task::JoinHandle<()>), JournalError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10))
            .disable_statement_logging();
        let mut connection = options.connect().await?;
        let id = prepare(&mut connection, server).await?;
        let spooled = Arc::new(Notify::new());
        let (ops, queue) = mpsc::unbounded_channel();
        let writer = writer::Writer::new(
            options,
            connection,
            server.clone(),
            id,
            Arc::clone(&spooled),
        )
        .await?;
        let handle = tokio::spawn(writer.run(queue));
        Ok((Self { ops, id, spooled }, handle))
    }

    /// Takes messages in; what became of each, in order, once that is durable.
    ///
    /// # Errors
    /// [`JournalError`]; then nothing was taken.
    pub async fn accept(&self, tasks: Vec<Incoming>) -> Result<Vec<Taken>, JournalError> {
        let arrivals = tasks.into_iter().map(|incoming| Arrival {
            incoming,
            result: None,
        });
        self.take(Arc::new(arrivals.collect())).await
    }

    /// As [`Journal::accept`], for tasks of which some end with that.
    ///
    /// # Errors
    /// [`JournalError`]; then nothing was taken.
    pub async fn take(&self, arrivals: Arc<Vec<Arrival>>) -> Result<Vec<Taken>, JournalError> {
        let (reply, answer) = oneshot::channel();
        self.send(writer::Op::Accept { arrivals, reply }, answer)
            .await
    }

    /// Notes that an attempt which never came is not wanted any more, so that it is not run when it
    /// comes. Does nothing when the journal knows it.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn cancel_unseen(&self, run: Run) -> Result<(), JournalError> {
        let (reply, answer) = oneshot::channel();
        self.send(writer::Op::CancelUnseen { run, reply }, answer)
            .await
    }

    /// Has the results of those of these attempts that have ended sent again: the hub asks about what it has
    /// heard nothing of, and what the broker had confirmed may have been lost with its queue. Needs no waiting:
    /// the hub asks again.
    pub fn tell_again(&self, runs: Vec<Run>) {
        drop(self.ops.send(writer::Op::TellAgain { runs }));
    }

    /// Writes what happened to one attempt. The entry has its place among the others when this
    /// returns; it is durable when what it returns has been awaited.
    pub fn enter(&self, entry: Entry) -> Commit {
        let (reply, answer) = oneshot::channel();
        if self.ops.send(writer::Op::Enter { entry, reply }).is_err() {
            return Commit(None);
        }
        Commit(Some(answer))
    }

    /// Forgets what the broker has confirmed, by numbers as they were read. Needs no waiting: doubled reports harm nobody.
    pub fn sent(&self, spool_ids: Vec<i64>) {
        // The writer is gone only when the worker ends; what is sent again then is ignored by the hub.
        drop(self.ops.send(writer::Op::Sent { spool_ids }));
    }

    async fn send<T>(&self, op: writer::Op, answer: Reply<T>) -> Result<T, JournalError> {
        self.ops.send(op).map_err(|_| JournalError::Closed)?;
        answer.await.map_err(|_| JournalError::Closed)?
    }
}

/// An entry on its way to the disk.
#[must_use = "an entry is durable only once this has been awaited"]
pub struct Commit(Option<Reply<()>>);

impl Commit {
    /// Waits until the entry is durable.
    ///
    /// # Errors
    /// [`JournalError`]; then nothing of the entry was written.
    pub async fn durable(self) -> Result<(), JournalError> {
        match self.0 {
            Some(answer) => answer.await.map_err(|_| JournalError::Closed)?,
            None => Err(JournalError::Closed),
        }
    }
}

/// Makes the tables in a new file, checks those of an old one; which journal it is.
async fn prepare(
    connection: &mut SqliteConnection,
    server: &ServerName,
) -> Result<Uuid, JournalError> {
    let format: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *connection)
        .await?;
    if format > FORMAT {
        return Err(JournalError::Format(format));
    }
    if format == 0 {
        let mut made = connection.begin_with("BEGIN EXCLUSIVE").await?;
        sqlx::raw_sql(include_str!("schema.sql"))
            .execute(&mut *made)
            .await?;
        sqlx::query("INSERT INTO meta (one, journal, server, created_at) VALUES (1, $1, $2, $3)")
            .bind(Uuid::now_v7().as_bytes().as_slice())
            .bind(server.as_str())
            .bind(UnixMillis::now().0)
            .execute(&mut *made)
            .await?;
        sqlx::query("PRAGMA user_version = 1")
            .execute(&mut *made)
            .await?;
        made.commit().await?;
    }
    let (id, owner): (Vec<u8>, String) = sqlx::query_as("SELECT journal, server FROM meta")
        .fetch_one(&mut *connection)
        .await?;
    if owner != server.as_str() {
        return Err(JournalError::OtherServer(owner));
    }
    Uuid::from_slice(&id).map_err(|_| JournalError::Corrupt("its own identity".to_owned()))
}
