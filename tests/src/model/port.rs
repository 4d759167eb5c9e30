//! The only file of the model that knows how the real hub and the real worker are called: store, relay's
//! messages, inbox, judge, journal. The rest of the model speaks of runs, messages and entries.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use kolga_hub::inbox;
use kolga_hub::relay;
use kolga_hub::store::cancel::Cancel;
use kolga_hub::store::create::Create;
use kolga_hub::store::doubt::{CheckDue, Unknown};
use kolga_hub::store::outbox::{Item, Take};
use kolga_hub::store::published::{Published, Unblock};
use kolga_hub::store::retry::{Retry, RetryDue};
use kolga_hub::store::servers::AddServer;
use kolga_hub::store::{Operation, Policy, Store, StoreError};
use kolga_hub::wire;
use kolga_protocol::envelope;
use kolga_protocol::id::{Attempt, Run, TaskId};
use kolga_protocol::link::Address;
use kolga_protocol::message::{
    Answer, Asked, Control, Level, LogLines, ReportBody, Reports, TaskMessage,
};
use kolga_protocol::names::ServerName;
use kolga_protocol::state::State;
use kolga_protocol::task::Params;
use kolga_worker::intake::judge::{Judged, judge_all};
use kolga_worker::journal::{
    Change, Entry, Incoming, Journal, JournalError, LiveTask, Reader, SpoolRow,
};
use tokio::task::JoinHandle;

pub use kolga_hub::store::published::Fate;
pub use kolga_worker::journal::Taken;

use super::queue::Message;

/// Who asks for everything.
const WHO: &str = "the model";
/// The user as which the hub publishes.
const HUB_USER: &str = "kolga-hub";

/// Attempts come at once and silence is due at once: the model's order is that of its actions.
const POLICY: Policy = Policy {
    attempts: 3,
    retry_millis: 0,
    check_millis: 0,
};

/// The hub's real store.
pub struct HubPort {
    store: Store,
    writer: JoinHandle<()>,
}

/// A message of the relay, and the outbox rows that it carries.
pub struct Packed {
    /// The queue that it is for.
    pub queue: String,
    /// The message.
    pub message: Message,
    items: Vec<Item>,
}

/// What an entry of a task tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A new state.
    State(State),
    /// A line of its log.
    Line(String),
    /// Progress.
    Step,
}

/// An entry of a task.
#[derive(Clone, Debug)]
pub struct HubEntry {
    /// Its number.
    pub seq: i64,
    /// About which attempt.
    pub attempt: Attempt,
    /// What.
    pub told: Told,
}

/// A task as the hub shows it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its newest attempt.
    pub run: Run,
    /// Where that stands.
    pub state: State,
    /// Whether nothing more happens by itself.
    pub finished: bool,
}

impl HubPort {
    /// Opens the store as a starting hub does.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn open(folder: &Path) -> Result<Self> {
        let url = format!("sqlite:{}", folder.join("hub.sqlite").display());
        let (store, writer) = Store::open(&url, POLICY).await?;
        Ok(Self { store, writer })
    }

    /// Ends without a word to anybody; what is committed is committed.
    pub async fn die(self) {
        self.writer.abort();
        // Whether it was aborted or ended does not matter; it is gone.
        drop(self.writer.await);
    }

    /// What the API would answer: `None` where it refuses.
    async fn write<O: Operation>(&self, operation: O) -> Result<Option<O::Answer>> {
        match self.store.write(operation).await {
            Ok(answer) => Ok(Some(answer)),
            Err(StoreError::Refused(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Adds a server.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn add_server(&self, name: &ServerName) -> Result<()> {
        let add = AddServer {
            name: name.clone(),
            requested_by: WHO.to_owned(),
        };
        self.write(add).await?;
        Ok(())
    }

    /// A new task, unless it is refused.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn create(&self, server: &ServerName, params: Params) -> Result<Option<TaskId>> {
        let create = Create {
            server: server.clone(),
            params,
            count: 1,
            requested_by: WHO.to_owned(),
        };
        Ok(self
            .write(create)
            .await?
            .and_then(|tasks| tasks.first().copied()))
    }

    /// Whether a cancel was taken.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn cancel(&self, task: TaskId) -> Result<bool> {
        let requested_by = WHO.to_owned();
        Ok(self.write(Cancel { task, requested_by }).await?.is_some())
    }

    /// Whether a retry was taken.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn retry(&self, task: TaskId) -> Result<bool> {
        let requested_by = WHO.to_owned();
        Ok(self.write(Retry { task, requested_by }).await?.is_some())
    }

    /// The next attempts at what was interrupted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn retry_due(&self) -> Result<()> {
        self.write(RetryDue).await?;
        Ok(())
    }

    /// What is due to be sent, as the relay's messages.
    ///
    /// # Errors
    /// When the store fails, or what it holds cannot be sent.
    pub async fn take(&self, most: i64) -> Result<Vec<Packed>> {
        let items = self.write(Take { most }).await?.unwrap_or_default();
        items
            .into_iter()
            .map(|item| {
                let outgoing = relay::outgoing(&item).map_err(anyhow::Error::msg)?;
                let Address::Queue(queue) = outgoing.to else {
                    bail!("the relay sends to an exchange");
                };
                Ok(Packed {
                    queue,
                    message: Message {
                        user: HUB_USER.to_owned(),
                        body: outgoing.body,
                    },
                    items: vec![item],
                })
            })
            .collect()
    }

    /// Notes what became of messages.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn note(&self, fates: Vec<(Packed, Fate)>) -> Result<()> {
        let results = fates
            .into_iter()
            .flat_map(|(packed, fate)| {
                packed
                    .items
                    .into_iter()
                    .map(move |item| (item, fate.clone()))
            })
            .collect();
        let results = Arc::new(results);
        self.write(Published { results }).await?;
        Ok(())
    }

    /// Says that a server's queues are there.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn unblock(&self, server: &ServerName) -> Result<()> {
        let server = server.clone();
        self.write(Unblock { server }).await?;
        Ok(())
    }

    /// Takes what workers sent, as the inbox does; the reports in it, and the answers.
    ///
    /// # Errors
    /// When the store fails, or a message is refused: the model sends none that should be.
    pub async fn take_reports(&self, messages: &[Message]) -> Result<(Vec<Reports>, Vec<Answer>)> {
        let opened = messages
            .iter()
            .map(|message| (Some(message.user.as_str()), message.body.as_slice()));
        let (take, answers) = inbox::sort(opened);
        if let Some((who, reason)) = take.refused.first() {
            bail!("the inbox refuses a message of {who}: {reason}");
        }
        let batches = take.batches.clone();
        self.write(take).await?;
        Ok((batches, answers))
    }

    /// What follows from an answer: the attempts that their worker does not know.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn answered(&self, answer: Answer, queue_is_empty: bool) -> Result<usize> {
        let count = answer.unknown.len();
        if count > 0 {
            let unknown = Unknown {
                server: answer.server,
                runs: answer.unknown,
                queue_is_empty,
            };
            self.write(unknown).await?;
        }
        Ok(count)
    }

    /// The questions about everything that is silent, by server.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn questions(&self) -> Result<Vec<(ServerName, Message)>> {
        let doubtful = self
            .write(CheckDue { most: 500 })
            .await?
            .unwrap_or_default();
        let mut servers: Vec<ServerName> = Vec::new();
        for attempt in &doubtful {
            let server: ServerName = attempt.server.parse()?;
            if !servers.contains(&server) {
                servers.push(server);
            }
        }
        Ok(servers
            .into_iter()
            .map(|server| {
                let of = || doubtful.iter().filter(|of| of.server == server.as_str());
                let query = Control::Query {
                    runs: of()
                        .map(|asked| Asked {
                            run: asked.run,
                            state: asked.state,
                        })
                        .collect(),
                };
                let message = Message {
                    user: HUB_USER.to_owned(),
                    body: envelope::seal(&query),
                };
                (server, message)
            })
            .collect())
    }

    /// A task as the API shows it.
    ///
    /// # Errors
    /// When the hub does not know it.
    pub async fn shown(&self, task: TaskId) -> Result<Shown> {
        let shown = self.store.task(task).await?;
        let shown = shown.with_context(|| format!("the hub has lost task {task}"))?;
        Ok(Shown {
            run: Run::new(task, shown.attempt),
            state: shown.state,
            finished: shown.finished,
        })
    }

    /// A task's entries after a number.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn entries(&self, task: TaskId, after: i64) -> Result<Vec<HubEntry>> {
        let stored = self.store.entries(task, after, 10_000).await?;
        stored
            .into_iter()
            .map(|entry| {
                let (attempt, told) = match serde_json::from_str(&entry.event)? {
                    wire::Event::Log(line) => (line.attempt, Told::Line(line.text)),
                    wire::Event::Step(step) => (step.attempt, Told::Step),
                    wire::Event::State(state) => (state.attempt, Told::State(state.state)),
                };
                Ok(HubEntry {
                    seq: entry.seq,
                    attempt,
                    told,
                })
            })
            .collect()
    }
}

/// A worker's real journal.
pub struct WorkerPort {
    server: ServerName,
    journal: Journal,
    writer: JoinHandle<()>,
    reader: Reader,
}

impl WorkerPort {
    /// Opens the journal as a starting worker does.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn open(folder: &Path, server: &ServerName) -> Result<Self> {
        let path = folder.join("journal.sqlite");
        let (journal, writer) = Journal::open(&path, server).await?;
        Ok(Self {
            server: server.clone(),
            journal,
            writer,
            reader: Reader::open(&path).await?,
        })
    }

    /// Ends without a word to anybody; what is committed is committed.
    pub async fn die(self) {
        self.writer.abort();
        drop(self.writer.await);
    }

    /// Judges tasks' messages and takes them in; what became of each.
    ///
    /// # Errors
    /// When the journal fails, or a message is none for this server: the model sends none such.
    pub async fn accept(&self, messages: &[Message]) -> Result<Vec<(TaskMessage, Params, Taken)>> {
        let mut incoming = Vec::new();
        let mut read = Vec::new();
        let judged = messages
            .iter()
            .flat_map(|message| judge_all(&self.server, &message.body));
        for judged in judged {
            match judged {
                Judged::Task { message, verdict } => {
                    let params = verdict.map_err(anyhow::Error::msg)?;
                    read.push((TaskMessage::clone(&message), params));
                    incoming.push(Incoming {
                        message: *message,
                        refusal: None,
                    });
                }
                Judged::Dead(reason) => bail!("a worker puts a task aside: {reason}"),
            }
        }
        let taken = self.journal.accept(incoming).await?;
        Ok(read
            .into_iter()
            .zip(taken)
            .map(|((message, params), taken)| (message, params, taken))
            .collect())
    }

    /// Notes that an attempt which never came is not wanted.
    ///
    /// # Errors
    /// When the journal fails.
    pub async fn cancel_unseen(&self, run: Run) -> Result<()> {
        Ok(self.journal.cancel_unseen(run).await?)
    }

    /// Enters changes, durably.
    ///
    /// # Errors
    /// When the journal refuses them.
    pub async fn enter(&self, run: Run, changes: Vec<Change>) -> Result<(), JournalError> {
        self.journal.enter(Entry { run, changes }).durable().await
    }

    /// The spool after a number, with the reports that are in each message.
    ///
    /// # Errors
    /// When the journal fails.
    pub async fn spool(&mut self, after: i64, most: i64) -> Result<Vec<SpoolRow>> {
        Ok(self.reader.spool(after, most).await?)
    }

    /// Forgets what was confirmed.
    ///
    /// # Errors
    /// When the journal fails.
    pub async fn sent(&self, ids: Vec<i64>) -> Result<()> {
        self.journal.sent(ids);
        // Nobody waits for that in the real worker; here the next action must find it done.
        self.journal.accept(Vec::new()).await?;
        Ok(())
    }

    /// The answer to a question of the hub.
    ///
    /// # Errors
    /// When the journal fails.
    pub async fn answer(&mut self, asked: Vec<Asked>) -> Result<(Vec<u8>, usize)> {
        let runs: Vec<Run> = asked.iter().map(|asked| asked.run).collect();
        self.journal.tell_again(runs.clone());
        let forgotten = self.reader.unknown(runs).await?;
        let asked = asked.into_iter();
        let unknown: Vec<Asked> = asked
            .filter(|asked| forgotten.contains(&asked.run))
            .collect();
        let count = unknown.len();
        // Nobody waits for what is told again in the real worker; here the next action must find it done.
        self.journal.accept(Vec::new()).await?;
        let answer = Answer {
            server: self.server.clone(),
            journal: self.journal.id,
            unknown,
        };
        Ok((envelope::seal(&answer), count))
    }

    /// Every attempt that has not ended, with its parameters.
    ///
    /// # Errors
    /// When the journal fails.
    pub async fn live(&mut self) -> Result<Vec<(LiveTask, Params)>> {
        let live = self.reader.live().await?;
        live.into_iter()
            .map(|task| {
                let params = Params::from_payload(&task.message.payload)?;
                Ok((task, params))
            })
            .collect()
    }

    /// Every attempt that the journal knows, with its state.
    ///
    /// # Errors
    /// When the journal fails.
    pub async fn states(&mut self) -> Result<Vec<(Run, State)>> {
        let views = self.reader.list(-1).await?;
        views
            .into_iter()
            .map(|view| Ok((view.run.parse()?, view.state.parse()?)))
            .collect()
    }
}

/// The report of a line.
#[must_use]
pub fn line(text: String) -> ReportBody {
    ReportBody::Log(LogLines {
        level: Level::Output,
        step: None,
        text,
    })
}
