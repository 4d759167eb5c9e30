//! What an operation is: something that happens within the writer's transaction, and is answered once
//! that is durable.

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;

use kolga_protocol::id::{TaskId, UnixMillis};
use kolga_protocol::state::State;
use sqlx::{AnyConnection, Connection as _};
use tokio::sync::oneshot;

use super::read::Held;
use super::{Policy, StoreError};

/// What an operation gives: an answer, or the reason why things stay as they are.
pub type Outcome<T> = Result<T, Refusal>;

/// A change of the store. It looks before it writes: one that refuses has written nothing, since the
/// transaction holds others too.
pub trait Operation: Send + Sync + 'static {
    /// What whoever asked gets.
    type Answer: Send + 'static;
    /// Whether it writes nothing, so that it needs no transaction when it comes alone.
    const ONLY_READS: bool = false;

    /// Does it. Must be right when called again after a failed transaction.
    fn apply(
        &self,
        tx: &mut Tx<'_>,
    ) -> impl Future<Output = Result<Outcome<Self::Answer>, sqlx::Error>> + Send;
}

/// Why an operation is not allowed as things are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Which sort of wrong.
    pub kind: RefusalKind,
    /// A name that stays, such as `site_exists`.
    pub code: &'static str,
    /// What happened, to what.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Which sort of wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// It names what is not there.
    NotFound,
    /// It goes against what is there.
    Conflict,
    /// It can never be right.
    Invalid,
}

impl Refusal {
    /// What is named is not there.
    pub fn not_found(code: &'static str, message: String, hint: impl Into<Option<String>>) -> Self {
        Self::new(RefusalKind::NotFound, code, message, hint)
    }

    /// What is there is in the way.
    pub fn conflict(code: &'static str, message: String, hint: impl Into<Option<String>>) -> Self {
        Self::new(RefusalKind::Conflict, code, message, hint)
    }

    /// It can never be right.
    pub fn invalid(code: &'static str, message: String, hint: impl Into<Option<String>>) -> Self {
        Self::new(RefusalKind::Invalid, code, message, hint)
    }

    fn new(
        kind: RefusalKind,
        code: &'static str,
        message: String,
        hint: impl Into<Option<String>>,
    ) -> Self {
        Self {
            kind,
            code,
            message,
            hint: hint.into(),
        }
    }
}

/// The transaction, as operations see it.
pub struct Tx<'a> {
    pub(super) connection: &'a mut AnyConnection,
    pub(super) now: UnixMillis,
    pub(super) policy: &'a Policy,
    pub(super) memory: &'a mut Memory,
    pub(super) effects: &'a mut Effects,
}

/// Nothing but a question to the database, for whoever wants to know whether the writer and its connection still answer.
#[derive(Clone, Copy, Debug)]
pub struct Alive;

impl Operation for Alive {
    type Answer = ();
    const ONLY_READS: bool = true;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<()>, sqlx::Error> {
        tx.connection.ping().await.map(Ok)
    }
}

/// What the writer remembers between transactions.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The last number given in the outbox.
    pub(super) last_seq: i64,
    /// The relay has been given everything up to here, but for what is blocked.
    pub(super) cursor: i64,
    /// What the relay has in its hands.
    pub(super) in_flight: HashSet<i64>,
    /// The newest task that has been pruned.
    pub(super) pruned_up_to: Option<TaskId>,
}

/// What becomes true with the commit, and is forgotten without it.
#[derive(Debug, Default)]
pub(super) struct Effects {
    pub(super) taken: HashSet<i64>,
    pub(super) given_back: HashSet<i64>,
    pub(super) rewind_to: Option<i64>,
    pub(super) cursor: Option<i64>,
    pub(super) outbox: bool,
    pub(super) due: bool,
    /// An operation has room for more tasks.
    pub(super) room: bool,
    pub(super) changed: Vec<TaskId>,
    pub(super) pruned_up_to: Option<TaskId>,
    pub(super) grown: Held,
    /// Tasks made.
    pub(super) created: u64,
    /// Of each task that is finished by it, the state.
    pub(super) ended: Vec<State>,
    /// Rows written.
    pub(super) rows: u64,
}

impl Tx<'_> {
    /// Whether the relay has it in its hands, so that nobody may take it away.
    pub(super) fn is_in_flight(&self, seq: i64) -> bool {
        self.effects.taken.contains(&seq)
            || (self.memory.in_flight.contains(&seq) && !self.effects.given_back.contains(&seq))
    }

    /// A task is gone for good, and with it every earlier one that is not there.
    pub(super) fn pruned(&mut self, task: TaskId) {
        self.effects.pruned_up_to = self.pruned_up_to().max(Some(task));
    }

    /// The newest task that has been pruned. What is reported of a task that is not there and not later is
    /// late, and nobody's mistake.
    pub(super) fn pruned_up_to(&self) -> Option<TaskId> {
        self.effects.pruned_up_to.max(self.memory.pruned_up_to)
    }

    /// Notes who did what.
    pub(super) async fn audit(
        &mut self,
        actor: &str,
        action: &str,
        subject: &str,
        detail: &str,
    ) -> Result<(), sqlx::Error> {
        let id = TaskId::generate().to_string();
        self.effects.grown.audit += 1;
        sqlx::query(
            "INSERT INTO audit (id, at, actor, action, subject, detail)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(id)
        .bind(self.now.0)
        .bind(plain(actor))
        .bind(plain(action))
        .bind(plain(subject))
        .bind(plain(detail))
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }
}

/// Text as every database takes it: PostgreSQL has no NUL.
pub(super) fn plain(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// An operation on its way, whatever its type.
pub(super) trait AnyOperation: Send {
    fn apply<'a>(
        &'a mut self,
        tx: &'a mut Tx<'_>,
    ) -> Pin<Box<dyn Future<Output = Result<(), sqlx::Error>> + Send + 'a>>;
    /// Whether nobody is kept waiting when it is.
    fn can_wait(&self) -> bool;
    /// Whether it writes nothing.
    fn only_reads(&self) -> bool;
    fn committed(self: Box<Self>);
    fn failed(self: Box<Self>, reason: &str);
}

/// An operation, and where its answer goes.
pub(super) struct Pending<O: Operation> {
    operation: O,
    can_wait: bool,
    outcome: Option<Outcome<O::Answer>>,
    reply: oneshot::Sender<Result<O::Answer, StoreError>>,
}

impl<O: Operation> Pending<O> {
    #[allow(clippy::type_complexity)]
    pub(super) fn new(
        operation: O,
        can_wait: bool,
    ) -> (Self, oneshot::Receiver<Result<O::Answer, StoreError>>) {
        let (reply, answer) = oneshot::channel();
        let pending = Self {
            operation,
            can_wait,
            outcome: None,
            reply,
        };
        (pending, answer)
    }
}

impl<O: Operation> AnyOperation for Pending<O> {
    fn apply<'a>(
        &'a mut self,
        tx: &'a mut Tx<'_>,
    ) -> Pin<Box<dyn Future<Output = Result<(), sqlx::Error>> + Send + 'a>> {
        Box::pin(async move {
            self.outcome = Some(self.operation.apply(tx).await?);
            Ok(())
        })
    }

    fn can_wait(&self) -> bool {
        self.can_wait
    }

    fn only_reads(&self) -> bool {
        O::ONLY_READS
    }

    fn committed(self: Box<Self>) {
        if let Some(outcome) = self.outcome {
            // Whoever does not wait for the answer any more has no use for it.
            drop(self.reply.send(outcome.map_err(StoreError::from)));
        }
    }

    fn failed(self: Box<Self>, reason: &str) {
        drop(
            self.reply
                .send(Err(StoreError::Database(reason.to_owned()))),
        );
    }
}
