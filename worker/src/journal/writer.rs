//! The one writer of the journal: takes whatever operations have gathered while it was busy, writes them
//! in one transaction, and answers all of them. Under load batches form by themselves; when idle an
//! operation waits for nobody.
//!
//! All reports of a transaction become one message in the spool (or a few, if they are big).

use std::collections::HashMap;
use std::sync::Arc;

use kolga_protocol::fault;
use kolga_protocol::id::{Run, UnixMillis};
use kolga_protocol::names::ServerName;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::{Notify, mpsc, oneshot};
use uuid::Uuid;

use super::admit::{accept, cancel_unseen, resend};
use super::entry::{Arrival, Entry, Taken};
use super::rows::{forget, spool, write};
use super::stage::{Gathered, Live, Staged};
use super::{JournalError, read};

/// Operations in one transaction at most: bounds the time that the first of them waits.
const BATCH: usize = 512;
/// Ended attempts that are kept to recognise doubled messages, and how often the rest is dropped.
const KEEP_ENDED: i64 = 100_000;
const PRUNE_EVERY: usize = 5_000;

type Answer<T> = oneshot::Sender<Result<T, JournalError>>;

/// One operation.
pub(super) enum Op {
    Accept {
        arrivals: Arc<Vec<Arrival>>,
        reply: Answer<Vec<Taken>>,
    },
    CancelUnseen {
        run: Run,
        reply: Answer<()>,
    },
    Enter {
        entry: Entry,
        reply: Answer<()>,
    },
    TellAgain {
        runs: Vec<Run>,
    },
    Sent {
        spool_ids: Vec<i64>,
    },
}

/// An answer that is given once the transaction is durable.
enum Owed {
    Taken(Answer<Vec<Taken>>, Vec<Taken>),
    Done(Answer<()>),
}

pub(super) struct Writer {
    options: SqliteConnectOptions,
    connection: SqliteConnection,
    server: ServerName,
    journal: Uuid,
    spooled: Arc<Notify>,
    /// Every attempt that has not ended.
    live: HashMap<Run, Live>,
    accepted_since_prune: usize,
}

impl Writer {
    pub(super) async fn new(
        options: SqliteConnectOptions,
        mut connection: SqliteConnection,
        server: ServerName,
        journal: Uuid,
        spooled: Arc<Notify>,
    ) -> Result<Self, JournalError> {
        let live = read::live(&mut connection)
            .await?
            .into_iter()
            .map(|task| (task.run, task.into_live()))
            .collect();
        Ok(Self {
            options,
            connection,
            server,
            journal,
            spooled,
            live,
            accepted_since_prune: 0,
        })
    }

    pub(super) async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Op>) {
        let mut batch = Vec::with_capacity(BATCH);
        while queue.recv_many(&mut batch, BATCH).await > 0 {
            self.commit(&mut batch).await;
        }
    }

    async fn commit(&mut self, batch: &mut Vec<Op>) {
        let mut gathered = Gathered::default();
        let mut owed = Vec::new();
        match self.transact(batch, &mut gathered, &mut owed).await {
            Ok(()) => {
                for (run, live) in gathered.live {
                    if live.state.is_terminal() {
                        self.live.remove(&run);
                    } else {
                        self.live.insert(run, live);
                    }
                }
                if gathered.spooled {
                    self.spooled.notify_one();
                }
                for owed in owed {
                    // Whoever does not wait for the answer any more has no use for it.
                    match owed {
                        Owed::Taken(reply, taken) => drop(reply.send(Ok(taken))),
                        Owed::Done(reply) => drop(reply.send(Ok(()))),
                    }
                }
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "journal not written"
                );
                for owed in owed {
                    match owed {
                        Owed::Taken(reply, _) => drop(reply.send(Err(error.clone()))),
                        Owed::Done(reply) => drop(reply.send(Err(error.clone()))),
                    }
                }
                for op in batch.drain(..) {
                    match op {
                        Op::Accept { reply, .. } => drop(reply.send(Err(error.clone()))),
                        Op::Enter { reply, .. } | Op::CancelUnseen { reply, .. } => {
                            drop(reply.send(Err(error.clone())));
                        }
                        // Sent again later, and ignored by the hub; or asked for again.
                        Op::Sent { .. } | Op::TellAgain { .. } => {}
                    }
                }
                self.reopen().await;
            }
        }
    }

    /// A new connection after a transaction that failed: SQLite takes one back by itself when the disk is
    /// full, of which sqlx learns nothing, and it would refuse to begin another one for ever after.
    async fn reopen(&mut self) {
        match self.options.connect().await {
            Ok(connection) => self.connection = connection,
            // The next operation fails too, and then it is tried again.
            Err(error) => tracing::error!(%error, "the journal cannot be opened anew"),
        }
    }

    async fn transact(
        &mut self,
        batch: &mut Vec<Op>,
        gathered: &mut Gathered,
        owed: &mut Vec<Owed>,
    ) -> Result<(), JournalError> {
        let mut connection = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        let now = UnixMillis::now();
        // What has not been looked at when something fails stays in the batch, to be answered.
        batch.reverse();
        while let Some(op) = batch.pop() {
            match op {
                Op::Accept { arrivals, reply } => {
                    owed.push(Owed::Taken(reply, Vec::new()));
                    self.accepted_since_prune += arrivals.len();
                    let taken = accept(&mut connection, &arrivals, now, gathered).await?;
                    if let Some(Owed::Taken(_, answer)) = owed.last_mut() {
                        *answer = taken;
                    }
                }
                Op::CancelUnseen { run, reply } => {
                    owed.push(Owed::Done(reply));
                    cancel_unseen(&mut connection, run, now, gathered).await?;
                }
                Op::Enter { entry, reply } => {
                    let run = entry.run;
                    let Some(live) = gathered
                        .live
                        .get(&run)
                        .or_else(|| self.live.get(&run))
                        .filter(|live| !live.state.is_terminal())
                        .cloned()
                    else {
                        let reason = "it is not among those that have not ended".to_owned();
                        drop(reply.send(Err(JournalError::Illegal { run, reason })));
                        continue;
                    };
                    match staged(live, entry) {
                        Ok(staged) => {
                            owed.push(Owed::Done(reply));
                            write(&mut connection, staged, now, gathered).await?;
                        }
                        Err(error) => drop(reply.send(Err(error))),
                    }
                }
                Op::TellAgain { runs } => {
                    for run in runs {
                        resend(&mut connection, run, gathered).await?;
                    }
                }
                Op::Sent { spool_ids } => {
                    forget(&mut connection, &spool_ids).await?;
                }
            }
        }
        if self.accepted_since_prune >= PRUNE_EVERY {
            self.accepted_since_prune = 0;
            prune(&mut connection).await?;
        }
        let reports = std::mem::take(&mut gathered.reports);
        gathered.spooled = !reports.is_empty();
        spool(&mut connection, &self.server, self.journal, reports).await?;
        fault::point("journal:commit");
        connection.commit().await?;
        fault::point("journal:committed");
        Ok(())
    }
}

fn staged(live: Live, entry: Entry) -> Result<Staged, JournalError> {
    let mut staged = Staged::of(live);
    for change in entry.changes {
        staged.take(change)?;
    }
    Ok(staged)
}

async fn prune(connection: &mut SqliteConnection) -> Result<(), JournalError> {
    sqlx::query(
        "DELETE FROM task WHERE id IN (
             SELECT id FROM task WHERE ended_at IS NOT NULL ORDER BY ended_at DESC LIMIT -1 OFFSET $1)",
    )
    .bind(KEEP_ENDED)
    .execute(connection)
    .await?;
    Ok(())
}
