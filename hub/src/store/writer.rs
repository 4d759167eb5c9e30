//! The one writer: whatever operations have gathered while it was busy become one transaction. Under load
//! batches form by themselves; when idle an operation waits for nobody, but for what nobody waits for.
//!
//! When a batch fails, each of its operations is tried alone, so that one that the database refuses takes
//! no other with it. A lost connection is made anew.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use kolga_protocol::fault;
use kolga_protocol::id::UnixMillis;
use sqlx::{AnyConnection, Connection};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::connect::{self, Database};
use super::counters::Counters;
use super::signals::Signals;
use super::tx::{AnyOperation, Effects, Memory, Tx};
use super::{Policy, outbox, prune};

/// Operations in one transaction at most: bounds the time that the first of them waits.
const BATCH: usize = 256;
/// How long what can wait does so for others that it could go with.
const LEISURE: Duration = Duration::from_millis(5);
/// Between two tries to reach a database that is away.
const RECONNECT: Duration = Duration::from_millis(500);
/// How often it is tried before the operations at hand are answered with an error.
const TRIES: u32 = 10;

/// What a writer is made of.
pub(super) struct Writer {
    pub(super) database: Database,
    pub(super) policy: Policy,
    pub(super) signals: Arc<Signals>,
    pub(super) counters: Arc<Counters>,
}

type Queue = mpsc::Receiver<Box<dyn AnyOperation>>;

impl Writer {
    /// Brings the tables up to date and writes from then on, on a thread of its own: most of the hub's work is done
    /// here, and a hub with nothing to write leaves that thread asleep. Gives what the database is, and when
    /// everything was written.
    pub(super) async fn start(self, queue: Queue) -> anyhow::Result<(String, JoinHandle<()>)> {
        let (ready, opened) = oneshot::channel();
        let (done, ended) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    match self.open().await {
                        Ok((writing, description)) => {
                            drop(ready.send(Ok(description)));
                            writing.run(queue).await;
                        }
                        Err(error) => drop(ready.send(Err(error))),
                    }
                });
                drop(done);
            })?;
        let description = opened.await.context("the writer ended at once")??;
        let ended = tokio::spawn(async move { drop(ended.await) });
        Ok((description, ended))
    }

    async fn open(self) -> anyhow::Result<(Writing, String)> {
        let mut connection = self.database.writer().await?;
        connect::migrate(&self.database, &mut connection).await?;
        let description = connect::describe(&self.database, &mut connection).await?;
        let memory = Memory {
            last_seq: outbox::at_start(&mut connection).await?,
            pruned_up_to: prune::up_to(&mut connection).await?,
            ..Memory::default()
        };
        let writing = Writing {
            parts: self,
            connection,
            memory,
        };
        Ok((writing, description))
    }
}

/// A writer at work.
struct Writing {
    parts: Writer,
    connection: AnyConnection,
    memory: Memory,
}

impl Writing {
    async fn run(mut self, mut queue: Queue) {
        let mut batch = Vec::with_capacity(BATCH);
        while queue.recv_many(&mut batch, BATCH).await > 0 {
            if batch.iter().all(|operation| operation.can_wait()) {
                let more = queue.recv_many(&mut batch, BATCH);
                tokio::time::timeout(LEISURE, more).await.ok();
            }
            self.commit(std::mem::take(&mut batch)).await;
        }
        if let Err(error) = self.connection.close().await {
            tracing::warn!(%error, "the database was not closed in order");
        }
    }

    async fn commit(&mut self, mut batch: Vec<Box<dyn AnyOperation>>) {
        match self.transact(&mut batch).await {
            Ok(()) => {
                for operation in batch {
                    operation.committed();
                }
            }
            Err(error) => {
                self.parts.counters.failed();
                tracing::warn!(%error, operations = batch.len(), "a transaction failed; each is tried alone");
                self.reconnect(&error).await;
                for operation in batch {
                    self.commit_alone(operation).await;
                }
            }
        }
    }

    async fn commit_alone(&mut self, operation: Box<dyn AnyOperation>) {
        let mut alone = vec![operation];
        let result = self.transact(&mut alone).await;
        let Some(operation) = alone.pop() else { return };
        match result {
            Ok(()) => operation.committed(),
            Err(error) => {
                tracing::error!(%error, "an operation failed");
                operation.failed(&error.to_string());
                self.reconnect(&error).await;
            }
        }
    }

    async fn transact(&mut self, batch: &mut [Box<dyn AnyOperation>]) -> Result<(), sqlx::Error> {
        let mut effects = Effects::default();
        if batch.iter().all(|operation| operation.only_reads()) {
            let (parts, memory) = (&self.parts, &mut self.memory);
            apply(&mut self.connection, parts, memory, &mut effects, batch).await?;
            self.took_effect(effects);
            return Ok(());
        }
        let began = Instant::now();
        let begin = if self.parts.database.is_sqlite {
            "BEGIN IMMEDIATE"
        } else {
            "BEGIN"
        };
        let mut transaction = self.connection.begin_with(begin).await?;
        let (parts, memory) = (&self.parts, &mut self.memory);
        apply(&mut transaction, parts, memory, &mut effects, batch).await?;
        fault::point("store:commit");
        transaction.commit().await?;
        fault::point("store:committed");
        self.parts
            .counters
            .committed(&effects, batch.len(), began.elapsed());
        self.took_effect(effects);
        Ok(())
    }

    fn took_effect(&mut self, effects: Effects) {
        if let Some(cursor) = effects.cursor {
            self.memory.cursor = cursor;
        }
        if let Some(seq) = effects.rewind_to {
            self.memory.cursor = self.memory.cursor.min(seq);
        }
        if !effects.given_back.is_empty() {
            self.parts.signals.open.notify_one();
        }
        // What is given back may have been taken again since; never the other way round.
        for seq in effects.given_back {
            self.memory.in_flight.remove(&seq);
        }
        self.memory.in_flight.extend(effects.taken);
        self.memory.pruned_up_to = self.memory.pruned_up_to.max(effects.pruned_up_to);
        self.parts.signals.grew(&effects.grown);
        if effects.outbox {
            self.parts.signals.outbox.notify_one();
        }
        if effects.due {
            self.parts.signals.due.notify_one();
        }
        if effects.room {
            self.parts.signals.room.notify_one();
        }
        self.parts.signals.changed(effects.changed);
    }

    /// A new connection in place of one that is lost. SQLite takes a transaction back by itself when the disk
    /// is full, of which sqlx learns nothing: it would refuse to begin another one for ever after.
    async fn reconnect(&mut self, error: &sqlx::Error) {
        let lost = self.parts.database.is_sqlite
            || matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_))
            || self.connection.ping().await.is_err();
        if !lost {
            return;
        }
        for _ in 0..TRIES {
            match self.parts.database.writer().await {
                Ok(connection) => {
                    self.connection = connection;
                    return;
                }
                Err(error) => {
                    tracing::error!("{error:#}; trying again");
                    tokio::time::sleep(RECONNECT).await;
                }
            }
        }
    }
}

/// Does all of a batch, in its order.
async fn apply(
    connection: &mut AnyConnection,
    parts: &Writer,
    memory: &mut Memory,
    effects: &mut Effects,
    batch: &mut [Box<dyn AnyOperation>],
) -> Result<(), sqlx::Error> {
    let mut tx = Tx {
        connection,
        now: UnixMillis::now(),
        policy: &parts.policy,
        memory,
        effects,
    };
    for operation in batch {
        operation.apply(&mut tx).await?;
    }
    Ok(())
}
