//! What a step is given besides its own data: the spoke, its task's log, and the word to stop.

use std::sync::{Arc, OnceLock};

use futures_util::future::BoxFuture;
use kolga_protocol::id::Run;
use kolga_protocol::message::Level;
use tokio_util::sync::CancellationToken;

use crate::spoke::Spoke;

/// The context of one step of one task. Made by the executor for each step.
pub struct Cx {
    /// This machine's services, folders and profiles.
    pub spoke: Arc<Spoke>,
    /// Which attempt this is.
    pub run: Run,
    /// Where lines for the operator go.
    pub log: StepLog,
    /// Fires when the task should end early. Undoing and finishing get one that never fires.
    pub stop: Stop,
}

impl Cx {
    /// The same context that listens to another word to stop.
    #[must_use]
    pub fn same(&self, stop: Stop) -> Self {
        Self {
            spoke: Arc::clone(&self.spoke),
            run: self.run,
            log: self.log.clone(),
            stop,
        }
    }
}

/// Why a task is told to end early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// An operator cancelled it.
    Cancelled,
    /// The worker stops.
    Shutdown,
    /// It took longer than a task may.
    TimedOut,
}

/// The word to stop, and why. The first cause counts.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    token: CancellationToken,
    cause: Arc<OnceLock<StopCause>>,
}

impl Stop {
    /// One that nobody will ever fire.
    #[must_use]
    pub fn never() -> Self {
        Self::default()
    }

    /// Tells the task to end, for this reason unless there was one before.
    pub fn fire(&self, cause: StopCause) {
        if self.cause.set(cause).is_ok() {
            self.token.cancel();
        }
    }

    /// The reason, once there is one.
    #[must_use]
    pub fn cause(&self) -> Option<StopCause> {
        self.cause.get().copied()
    }

    /// Waits until there is a reason to stop.
    pub async fn wanted(&self) {
        self.token.cancelled().await;
    }

    /// An error when there is a reason to stop: for loops over many small operations.
    ///
    /// # Errors
    /// [`Stopped`] when the task should end.
    pub fn check(&self) -> Result<(), Stopped> {
        match self.cause() {
            Some(cause) => Err(Stopped(cause)),
            None => Ok(()),
        }
    }
}

/// The step ended early because it was told to.
#[derive(Debug, thiserror::Error)]
#[error("{}", match .0 {
    StopCause::Cancelled => "cancelled by an operator",
    StopCause::Shutdown => "the worker was stopped",
    StopCause::TimedOut => "the task took longer than it may",
})]
pub struct Stopped(pub StopCause);

/// Where a step's lines go: to the task's log, numbered, spooled, and on to the hub.
///
/// Never blocks the step: lines are handed over in memory; the head and the tail of a log that is too
/// long are kept, with a mark where the gap is. Whoever has lines without end, such as a child's output,
/// waits for [`StepLog::room`] in between.
#[derive(Clone)]
pub struct StepLog {
    step: Option<Arc<str>>,
    sink: Arc<dyn LogSink>,
}

/// Takes the lines of one attempt.
pub trait LogSink: Send + Sync {
    /// A line, of `step` where there is one. Must not block.
    fn line(&self, step: Option<&str>, level: Level, text: &str);

    /// Waits while there are more lines than can be put away.
    fn room(&self) -> BoxFuture<'_, ()>;
}

impl StepLog {
    /// A log of no step in particular, into `sink`.
    pub fn new(sink: Arc<dyn LogSink>) -> Self {
        Self { step: None, sink }
    }

    /// The same log, its lines marked with this step.
    #[must_use]
    pub fn for_step(&self, name: &str) -> Self {
        Self {
            step: Some(name.into()),
            sink: Arc::clone(&self.sink),
        }
    }

    /// What the worker itself has to say.
    pub fn info(&self, text: impl AsRef<str>) {
        self.line(Level::Info, text.as_ref());
    }

    /// What the worker warns of.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.line(Level::Warn, text.as_ref());
    }

    /// A line of any level, such as a child's output.
    pub fn line(&self, level: Level, text: &str) {
        self.sink.line(self.step.as_deref(), level, text);
    }

    /// Waits while there are more lines than can be put away, so that what a child writes faster than that
    /// waits in its pipe and not in memory.
    pub async fn room(&self) {
        self.sink.room().await;
    }
}
