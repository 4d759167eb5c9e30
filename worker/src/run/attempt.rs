//! One attempt while it is being carried out: what every phase of it needs, and the point past which it
//! can no longer be stopped.
//!
//! Made by [`super::runner`]; used by [`super::execute`], [`super::rollback`] and [`super::finish`].

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use kolga_protocol::id::Run;
use kolga_protocol::message::{Failure, ReportBody, StepPhase, StepReport};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::log::TaskLog;
use crate::cx::{Cx, StepLog, Stop, StopCause};
use crate::journal::{Change, JournalError, Place};
use crate::spoke::Spoke;

/// How an attempt's work came to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It is over.
    Ended,
    /// A person has to look; it keeps its claims.
    Stuck,
    /// The worker stops while it is past its point of no return: the next start goes on with it.
    Halted,
}

/// What one attempt needs.
#[derive(Clone)]
pub(super) struct Attempt {
    pub(super) run: Run,
    pub(super) spoke: Arc<Spoke>,
    pub(super) log: Arc<TaskLog>,
    /// Tells the steps to end early.
    pub(super) stop: Stop,
    /// Tells final steps that the worker goes: they are finished at the next start.
    pub(super) halt: CancellationToken,
    /// Which step it is at, for `status`.
    pub(super) at: Arc<watch::Sender<Option<Place>>>,
    gate: Arc<Mutex<bool>>,
}

impl Attempt {
    pub(super) fn new(
        run: Run,
        spoke: Arc<Spoke>,
        log: Arc<TaskLog>,
        halt: CancellationToken,
    ) -> Self {
        Self {
            run,
            spoke,
            log,
            stop: Stop::default(),
            halt,
            at: Arc::new(watch::Sender::new(None)),
            gate: Arc::default(),
        }
    }

    /// The context of a step that can be stopped.
    pub(super) fn cx(&self, step: Option<&str>) -> Cx {
        let log = StepLog::new(Arc::clone(&self.log) as Arc<_>);
        Cx {
            spoke: Arc::clone(&self.spoke),
            run: self.run,
            log: match step {
                Some(name) => log.for_step(name),
                None => log,
            },
            stop: self.stop.clone(),
        }
    }

    /// The context of an undo, or of a final step: nobody stops those half-way.
    pub(super) fn steady_cx(&self, step: &str) -> Cx {
        Cx {
            stop: Stop::never(),
            ..self.cx(Some(step))
        }
    }

    /// Tells it to end early. `false` when it is past its point of no return.
    pub(super) fn interrupt(&self, cause: StopCause) -> bool {
        let past = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        if !*past {
            self.stop.fire(cause);
        }
        !*past
    }

    /// Passes the point of no return, unless somebody has said stop before. The cause, if so.
    pub(super) fn pass_point_of_no_return(&self) -> Result<(), StopCause> {
        let mut past = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        match self.stop.cause() {
            Some(cause) => Err(cause),
            None => {
                *past = true;
                Ok(())
            }
        }
    }

    /// Enters changes and waits until they are durable.
    pub(super) async fn commit(&self, changes: Vec<Change>) -> Result<(), JournalError> {
        let ends = |change: &Change| matches!(change, Change::Ended { .. });
        if changes.iter().any(ends) {
            self.log.end(changes).await
        } else {
            self.log.enter(changes).durable().await
        }
    }

    /// As [`Attempt::commit`], for what has to be written however long it takes: a rollback that has begun
    /// goes on whether or not its progress could be noted, and its end must be told. Gives up only when the
    /// worker goes, and then the next start finds the attempt where the journal last saw it.
    pub(super) async fn commit_for_sure(
        &self,
        changes: impl Fn() -> Vec<Change>,
    ) -> Result<(), JournalError> {
        let mut wait = Duration::from_millis(100);
        loop {
            let error = match self.commit(changes()).await {
                Ok(()) => return Ok(()),
                Err(error @ (JournalError::Closed | JournalError::Illegal { .. })) => {
                    return Err(error);
                }
                Err(error) => error,
            };
            tracing::error!(
                run = %self.run,
                error = &error as &dyn std::error::Error,
                ?wait,
                "the journal cannot be written; trying again"
            );
            tokio::select! {
                () = self.halt.cancelled() => return Err(error),
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(Duration::from_secs(10));
        }
    }

    /// Tells the hub what a step does; nothing depends on it.
    pub(super) fn tell(&self, place: &Place, phase: StepPhase) {
        drop(
            self.log
                .enter(vec![Change::Report(ReportBody::Step(StepReport {
                    name: place.name.clone(),
                    position: place.position,
                    total: place.total,
                    phase,
                }))]),
        );
    }
}

/// Runs a step's code; a panic in it becomes its error.
pub(super) async fn guarded<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(result) => result,
        Err(panic) => Err(anyhow::anyhow!(
            "a defect of the worker, please report it: {}",
            panic_text(panic.as_ref())
        )),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it panicked")
}

/// A failure of a step, for a person.
pub(super) fn failure_at(step: Option<&str>, error: &anyhow::Error) -> Failure {
    Failure {
        step: step.map(str::to_owned),
        message: format!("{error:#}"),
        left_behind: Vec::new(),
    }
}
