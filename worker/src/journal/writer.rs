//! The one writer of the journal: takes whatever operations have gathered while it was busy, writes them
//! in one transaction, and answers all of them. Under load batches form by themselves; when idle an
//! operation waits for nobody.
//!
//! All reports of a transaction become one message in the spool (or a few, if they are big).

use std::collections::HashMap;
use std::sync::Arc;

use kolga_protocol::envelope;
use kolga_protocol::id::{Attempt, Run, TaskId, UnixMillis};
use kolga_protocol::message::{Failure, Report, ReportBody, Reports, StateReport};
use kolga_protocol::names::ServerName;
use kolga_protocol::state::{Event, State};
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{Notify, mpsc, oneshot};
use uuid::Uuid;

use super::entry::{Entry, Incoming, Taken};
use super::stage::{Live, Staged, StepWrite};
use super::{JournalError, read};

/// Operations in one transaction at most: bounds the time that the first of them waits.
const BATCH: usize = 512;
/// Reports in one message at most, and about how many bytes of them.
const MESSAGE_ITEMS: usize = 1000;
const MESSAGE_BYTES: usize = 256 * 1024;
/// Ended attempts that are kept to recognise doubled messages, and how often the rest is dropped.
const KEEP_ENDED: i64 = 100_000;
const PRUNE_EVERY: u32 = 5_000;

type Answer<T> = oneshot::Sender<Result<T, JournalError>>;

/// One operation.
pub(super) enum Op {
    Accept {
        tasks: Vec<Incoming>,
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
    connection: SqliteConnection,
    server: ServerName,
    journal: Uuid,
    spooled: Arc<Notify>,
    /// Every attempt that has not ended.
    live: HashMap<Run, Live>,
    accepted_since_prune: u32,
}

/// What one transaction has gathered.
#[derive(Default)]
struct Gathered {
    live: HashMap<Run, Live>,
    reports: Vec<Report>,
    owed: Vec<Owed>,
}

impl Writer {
    pub(super) async fn new(
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
        match self.transact(batch, &mut gathered).await {
            Ok(()) => {
                for (run, live) in gathered.live {
                    if live.state.is_terminal() {
                        self.live.remove(&run);
                    } else {
                        self.live.insert(run, live);
                    }
                }
                if !gathered.reports.is_empty() {
                    self.spooled.notify_one();
                }
                for owed in gathered.owed {
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
                for owed in gathered.owed {
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
                        // Sent again later, and ignored by the hub.
                        Op::Sent { .. } => {}
                    }
                }
            }
        }
    }

    async fn transact(
        &mut self,
        batch: &mut Vec<Op>,
        gathered: &mut Gathered,
    ) -> Result<(), JournalError> {
        let mut connection = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        let now = UnixMillis::now();
        for op in batch.drain(..) {
            match op {
                Op::Accept { tasks, reply } => {
                    let mut taken = Vec::with_capacity(tasks.len());
                    gathered.owed.push(Owed::Taken(reply, Vec::new()));
                    for incoming in tasks {
                        self.accepted_since_prune += 1;
                        taken.push(accept(&mut connection, incoming, now, gathered).await?);
                    }
                    if let Some(Owed::Taken(_, answer)) = gathered.owed.last_mut() {
                        *answer = taken;
                    }
                }
                Op::CancelUnseen { run, reply } => {
                    gathered.owed.push(Owed::Done(reply));
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
                            gathered.owed.push(Owed::Done(reply));
                            write(&mut connection, staged, now, gathered).await?;
                        }
                        Err(error) => drop(reply.send(Err(error))),
                    }
                }
                Op::Sent { spool_ids } => {
                    for id in spool_ids {
                        sqlx::query("DELETE FROM spool WHERE id = $1")
                            .bind(id)
                            .execute(&mut *connection)
                            .await?;
                    }
                }
            }
        }
        if self.accepted_since_prune >= PRUNE_EVERY {
            self.accepted_since_prune = 0;
            prune(&mut connection).await?;
        }
        spool(
            &mut connection,
            &self.server,
            self.journal,
            &gathered.reports,
        )
        .await?;
        connection.commit().await?;
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

/// A new row, unless the attempt or a newer one is known.
async fn accept(
    connection: &mut SqliteConnection,
    incoming: Incoming,
    now: UnixMillis,
    gathered: &mut Gathered,
) -> Result<Taken, JournalError> {
    let Incoming { message, refusal } = incoming;
    let run = message.run;
    let known: Option<(i64, String)> = sqlx::query_as(
        "SELECT attempt, state FROM task WHERE task = $1 AND attempt >= $2 ORDER BY attempt LIMIT 1",
    )
    .bind(run.task.as_bytes().as_slice())
    .bind(i64::from(run.attempt.0))
    .fetch_optional(&mut *connection)
    .await?;
    let refusal = match known {
        Some((attempt, _)) if attempt == i64::from(run.attempt.0) => {
            return resend(connection, run, gathered).await;
        }
        Some((newer, _)) => Some(format!(
            "attempt {newer} of this task is known here, so attempt {} is not run any more",
            run.attempt
        )),
        None => refusal,
    };
    let mut staged = Staged::of(Live {
        run,
        state: State::Sent,
        last_seq: 0,
        output: None,
        has_steps: false,
    });
    let (event, failure) = match refusal {
        None => (Event::Accepted, None),
        Some(reason) => (Event::Rejected, Some(Failure::plain(reason))),
    };
    staged.take_first(event, failure)?;
    let sealed = (event == Event::Accepted).then(|| envelope::seal(&message));
    insert(connection, &staged, &message.payload.kind, sealed, now).await?;
    let taken = if event == Event::Accepted {
        Taken::Accepted
    } else {
        Taken::Rejected
    };
    gathered.reports.append(&mut staged.reports);
    gathered.live.insert(run, staged.live);
    Ok(taken)
}

/// A message for an attempt that is known: the result goes out again if there is one.
async fn resend(
    connection: &mut SqliteConnection,
    run: Run,
    gathered: &mut Gathered,
) -> Result<Taken, JournalError> {
    let result: Option<Vec<u8>> = sqlx::query_scalar(
        "SELECT result FROM task WHERE task = $1 AND attempt = $2 AND ended_at IS NOT NULL",
    )
    .bind(run.task.as_bytes().as_slice())
    .bind(i64::from(run.attempt.0))
    .fetch_optional(&mut *connection)
    .await?
    .flatten();
    let Some(sealed) = result else {
        return Ok(Taken::Known);
    };
    let reports: Reports = envelope::open(&sealed)
        .map_err(|error| JournalError::Corrupt(format!("the result of {run}: {error}")))?;
    gathered.reports.extend(reports.items);
    Ok(Taken::AlreadyEnded)
}

async fn cancel_unseen(
    connection: &mut SqliteConnection,
    run: Run,
    now: UnixMillis,
    gathered: &mut Gathered,
) -> Result<(), JournalError> {
    let known: Option<i64> =
        sqlx::query_scalar("SELECT 1 FROM task WHERE task = $1 AND attempt >= $2 LIMIT 1")
            .bind(run.task.as_bytes().as_slice())
            .bind(i64::from(run.attempt.0))
            .fetch_optional(&mut *connection)
            .await?;
    if known.is_some() {
        return Ok(());
    }
    let mut staged = Staged::of(Live {
        run,
        state: State::Sent,
        last_seq: 0,
        output: None,
        has_steps: false,
    });
    let failure = Failure::plain("cancelled before the worker had it");
    staged.take_first(Event::Cancelled, Some(failure))?;
    insert(connection, &staged, "", None, now).await?;
    gathered.reports.append(&mut staged.reports);
    Ok(())
}

impl Staged {
    /// The event with which an attempt enters the journal.
    fn take_first(&mut self, event: Event, failure: Option<Failure>) -> Result<(), JournalError> {
        match self.live.state.on(event) {
            Ok(kolga_protocol::state::Next::To(state)) => self.live.state = state,
            _ => {
                return Err(JournalError::Illegal {
                    run: self.live.run,
                    reason: format!("it cannot begin with {event}"),
                });
            }
        }
        self.report(ReportBody::State(StateReport {
            event,
            failure,
            output: None,
        }));
        if self.live.state.is_terminal() {
            self.result = self.reports.last().cloned();
        }
        Ok(())
    }
}

async fn insert(
    connection: &mut SqliteConnection,
    staged: &Staged,
    kind: &str,
    message: Option<Vec<u8>>,
    now: UnixMillis,
) -> Result<(), JournalError> {
    sqlx::query(
        "INSERT INTO task (task, attempt, kind, message, state, last_seq, result, accepted_at, ended_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(staged.live.run.task.as_bytes().as_slice())
    .bind(i64::from(staged.live.run.attempt.0))
    .bind(kind.chars().take(64).collect::<String>())
    .bind(message)
    .bind(staged.live.state.as_str())
    .bind(staged.live.last_seq.cast_signed())
    .bind(staged.result.as_ref().map(stored))
    .bind(now.0)
    .bind(staged.live.state.is_terminal().then_some(now.0))
    .execute(connection)
    .await?;
    Ok(())
}

/// The rows of one entry.
async fn write(
    connection: &mut SqliteConnection,
    mut staged: Staged,
    now: UnixMillis,
    gathered: &mut Gathered,
) -> Result<(), JournalError> {
    let run = staged.live.run;
    let task = run.task.as_bytes().to_vec();
    let attempt = i64::from(run.attempt.0);
    let ended = staged.live.state.is_terminal();
    for step in std::mem::take(&mut staged.steps) {
        match step {
            StepWrite::Insert(row, state) => {
                sqlx::query(
                    "INSERT INTO step (task, attempt, position, name, record, state)
                     VALUES ($1, $2, $3, $4, $5, $6)",
                )
                .bind(&task)
                .bind(attempt)
                .bind(i64::from(row.place.position))
                .bind(&row.place.name)
                .bind(row.record.to_string())
                .bind(state)
                .execute(&mut *connection)
                .await?;
            }
            StepWrite::Mark(position, state) if !ended => {
                sqlx::query(
                    "UPDATE step SET state = $4 WHERE task = $1 AND attempt = $2 AND position = $3",
                )
                .bind(&task)
                .bind(attempt)
                .bind(i64::from(position))
                .bind(state)
                .execute(&mut *connection)
                .await?;
            }
            // The rows go with the end, below.
            StepWrite::Mark(..) => {}
        }
    }
    if ended && staged.live.has_steps {
        sqlx::query("DELETE FROM step WHERE task = $1 AND attempt = $2")
            .bind(&task)
            .bind(attempt)
            .execute(&mut *connection)
            .await?;
    }
    let cause = staged
        .cause
        .as_ref()
        .map(serde_json::to_string)
        .transpose()
        .map_err(|error| JournalError::Corrupt(error.to_string()))?;
    sqlx::query(
        "UPDATE task SET state = $3, last_seq = $4, cause = coalesce($5, cause),
             committed = max(committed, $6), result = coalesce($7, result), ended_at = $8,
             message = CASE WHEN $8 IS NULL THEN message END
         WHERE task = $1 AND attempt = $2",
    )
    .bind(&task)
    .bind(attempt)
    .bind(staged.live.state.as_str())
    .bind(staged.live.last_seq.cast_signed())
    .bind(cause)
    .bind(staged.committed)
    .bind(staged.result.as_ref().map(stored))
    .bind(ended.then_some(now.0))
    .execute(&mut *connection)
    .await?;
    gathered.reports.append(&mut staged.reports);
    gathered.live.insert(run, staged.live);
    Ok(())
}

/// A report as a row keeps it. Whose it is, is told by the file it lies in.
fn stored(report: &Report) -> Vec<u8> {
    envelope::seal(&Reports {
        server: "self".parse().expect("a valid server name"),
        journal: Uuid::nil(),
        items: vec![report.clone()],
    })
}

/// The reports as messages, in the order in which they were made.
async fn spool(
    connection: &mut SqliteConnection,
    server: &ServerName,
    journal: Uuid,
    reports: &[Report],
) -> Result<(), JournalError> {
    let mut from = 0;
    while from < reports.len() {
        let mut bytes = 0;
        let count = reports[from..]
            .iter()
            .take(MESSAGE_ITEMS)
            .take_while(|report| {
                let fits = bytes < MESSAGE_BYTES;
                bytes += size(report);
                fits
            })
            .count();
        let body = envelope::seal(&Reports {
            server: server.clone(),
            journal,
            items: reports[from..from + count].to_vec(),
        });
        sqlx::query("INSERT INTO spool (body) VALUES ($1)")
            .bind(body)
            .execute(&mut *connection)
            .await?;
        from += count;
    }
    Ok(())
}

/// About how long a report is, in bytes.
fn size(report: &Report) -> usize {
    64 + match &report.body {
        ReportBody::Log(line) => line.text.len(),
        ReportBody::State(state) => {
            let failure = state.failure.as_ref().map_or(0, |failure| {
                failure.message.len() + failure.left_behind.iter().map(String::len).sum::<usize>()
            });
            failure + state.output.as_ref().map_or(0, |output| output.body.len())
        }
        ReportBody::Step(step) => step.name.len(),
        ReportBody::CancelRefused { reason } => reason.len(),
    }
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

/// The attempt that a row's two columns name.
pub(super) fn run_of(task: &[u8], attempt: i64) -> Result<Run, JournalError> {
    let task = TaskId::from_slice(task)
        .ok_or_else(|| JournalError::Corrupt("a task's identity".to_owned()))?;
    let attempt = u32::try_from(attempt)
        .map_err(|_| JournalError::Corrupt(format!("attempt {attempt} of {task}")))?;
    Ok(Run::new(task, Attempt(attempt)))
}
