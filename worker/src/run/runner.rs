//! The way to the runner: what intake, the control socket and the signals may ask of it.
//!
//! Each call is a message to [`super::actor`], the one task that owns every attempt.

use std::sync::Arc;

use kolga_protocol::id::Run;
use kolga_protocol::message::{Deferral, TaskMessage};
use kolga_protocol::object::Object;
use kolga_protocol::task::Params;
use tokio::sync::{mpsc, oneshot, watch};

use super::actor::{Actor, Shown};
use super::status::{Counts, RunnerStatus};
use super::turn::Turn;
use crate::journal::{Journal, LiveTask};
use crate::spoke::Spoke;

/// An attempt that the journal has taken in.
#[derive(Debug)]
pub struct Accepted {
    /// What was asked for.
    pub message: TaskMessage,
    /// Its parameters, checked.
    pub params: Params,
}

/// What became of a cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    /// It is being seen to, or it was refused and the hub is told.
    Handled,
    /// No attempt of that name has not ended here.
    Unknown,
}

pub(super) type Verdict = Result<(), String>;

pub(super) enum Command {
    Accepted(Vec<Accepted>),
    Recover(Vec<LiveTask>, oneshot::Sender<()>),
    Cancel(Run, String, oneshot::Sender<CancelOutcome>),
    RetryUndo(Run, oneshot::Sender<Verdict>),
    Abandon(Run, String, oneshot::Sender<Verdict>),
    Turn(Object, oneshot::Sender<Option<Turn>>),
    Status(oneshot::Sender<RunnerStatus>),
    Reload(Arc<Spoke>),
    Drain,
    Interrupt,
}

/// The way to the runner. Cheap to clone.
#[derive(Clone)]
pub struct Runner {
    commands: mpsc::UnboundedSender<Command>,
    shown: Shown,
}

impl Runner {
    /// Starts it. The handle ends after [`Runner::drain`], once nothing runs any more.
    #[must_use]
    pub fn start(spoke: Arc<Spoke>, journal: Journal) -> (Self, tokio::task::JoinHandle<()>) {
        let (commands, queue) = mpsc::unbounded_channel();
        let (actor, shown) = Actor::new(spoke, journal);
        let handle = tokio::spawn(actor.run(queue));
        (Self { commands, shown }, handle)
    }

    /// Takes over what the journal says has not ended. Returns when all that had to be rolled back is.
    pub async fn recover(&self, live: Vec<LiveTask>) {
        let (done, wait) = oneshot::channel();
        self.send(Command::Recover(live, done));
        // An answer that never comes means that the worker is on its way out.
        drop(wait.await);
    }

    /// Hands over what has been accepted.
    pub fn accepted(&self, tasks: Vec<Accepted>) {
        self.send(Command::Accepted(tasks));
    }

    /// Drops an attempt that waits, rolls back one that runs, refuses for one past its point of no return.
    pub async fn cancel(&self, run: Run, requested_by: String) -> CancelOutcome {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Cancel(run, requested_by, reply));
        answer.await.unwrap_or(CancelOutcome::Handled)
    }

    /// Tries the undo (or, past the point of no return, the finishing) of a stuck attempt again.
    ///
    /// # Errors
    /// A sentence, when there is no such attempt or it is not stuck.
    pub async fn retry_undo(&self, run: Run) -> Verdict {
        let (reply, answer) = oneshot::channel();
        self.send(Command::RetryUndo(run, reply));
        answer
            .await
            .unwrap_or_else(|_| Err("the worker is stopping".to_owned()))
    }

    /// Ends a stuck attempt as failed and gives its objects free; what it left is the operator's.
    ///
    /// # Errors
    /// A sentence, when there is no such attempt or it is not stuck.
    pub async fn abandon(&self, run: Run, comment: String) -> Verdict {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Abandon(run, comment, reply));
        answer
            .await
            .unwrap_or_else(|_| Err("the worker is stopping".to_owned()))
    }

    /// Gives an object away to what is no task, for as long as the turn is kept; `None` when a task has it or waits
    /// for it, or the worker is stopping.
    pub async fn turn(&self, object: Object) -> Option<Turn> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Turn(object, reply));
        answer.await.ok().flatten()
    }

    /// Everything that has not ended.
    pub async fn status(&self) -> RunnerStatus {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Status(reply));
        answer.await.unwrap_or_default()
    }

    /// Uses this from now on; what runs keeps what it began with.
    pub fn reload(&self, spoke: Arc<Spoke>) {
        self.send(Command::Reload(spoke));
    }

    /// Begins nothing more.
    pub fn drain(&self) {
        self.send(Command::Drain);
    }

    /// Stops and rolls back what runs.
    pub fn interrupt(&self) {
        self.send(Command::Interrupt);
    }

    /// How many attempts there are, as it changes.
    #[must_use]
    pub fn counts(&self) -> watch::Receiver<Counts> {
        self.shown.counts.clone()
    }

    /// Why tasks wait that could begin otherwise, as it changes.
    #[must_use]
    pub fn deferring(&self) -> watch::Receiver<Option<Deferral>> {
        self.shown.deferring.clone()
    }

    fn send(&self, command: Command) {
        // Without a runner the worker is on its way out, and the journal has what was accepted.
        drop(self.commands.send(command));
    }
}
