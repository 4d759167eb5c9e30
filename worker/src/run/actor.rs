//! The one task that owns every attempt which has not ended, and decides when each begins.
//!
//! Obeys [`super::runner`]; what it does at start is in [`super::recover`], what operators and the hub may
//! change in [`super::operator`].

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use kolga_protocol::id::{Run, UnixMillis};
use kolga_protocol::message::{Deferral, Failure};
use kolga_protocol::state::Event;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::attempt::{Attempt, End};
use super::execute;
use super::gates::{self, Gates};
use super::log::TaskLog;
use super::operator::Cancel;
use super::runner::{Accepted, CancelOutcome, Command};
use super::schedule::{Open, Schedule};
use super::status::{AttemptStatus, Counts, RunnerStatus};
use crate::cx::StopCause;
use crate::journal::{Change, Journal, LiveTask};
use crate::recipe;
use crate::spoke::Spoke;

/// Where an attempt stands with the runner.
pub(super) enum Phase {
    Waiting(Box<Accepted>),
    Running { attempt: Attempt, since: Instant },
    Stuck,
}

/// An attempt that has not ended.
pub(super) struct Tracked {
    pub(super) kind: String,
    pub(super) objects: Vec<String>,
    pub(super) phase: Phase,
}

/// The runner itself.
pub(super) struct Actor {
    pub(super) spoke: Arc<Spoke>,
    pub(super) journal: Journal,
    pub(super) journal_path: PathBuf,
    pub(super) schedule: Schedule,
    gates: Gates,
    /// Sites that are given away to what is no task.
    pub(super) turns: HashSet<Run>,
    pub(super) attempts: HashMap<Run, Tracked>,
    pub(super) work: JoinSet<(Run, End)>,
    pub(super) halt: CancellationToken,
    pub(super) draining: bool,
    /// Rollbacks that recovery waits for.
    pub(super) recovering: Vec<Run>,
    pub(super) recovered: Option<oneshot::Sender<()>>,
    pub(super) counts: Counts,
    tell: watch::Sender<Counts>,
    defer: watch::Sender<Option<Deferral>>,
}

/// What others may watch.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) counts: watch::Receiver<Counts>,
    pub(super) deferring: watch::Receiver<Option<Deferral>>,
}

impl Actor {
    pub(super) fn new(spoke: Arc<Spoke>, journal: Journal) -> (Self, Shown) {
        let (tell, counts) = watch::channel(Counts::default());
        let (defer, deferring) = watch::channel(None);
        let limits = &spoke.config.limits;
        let actor = Self {
            schedule: Schedule::new(limits.heavy, limits.light),
            gates: Gates::new(&spoke.config.gates, &spoke.config.sites.root),
            journal_path: spoke.config.journal_path(),
            spoke,
            journal,
            turns: HashSet::new(),
            attempts: HashMap::new(),
            work: JoinSet::new(),
            halt: CancellationToken::new(),
            draining: false,
            recovering: Vec::new(),
            recovered: None,
            counts: Counts::default(),
            tell,
            defer,
        };
        (actor, Shown { counts, deferring })
    }

    pub(super) async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Command>) {
        loop {
            tokio::select! {
                command = queue.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => self.draining = true,
                },
                Some(ended) = self.work.join_next() => self.rested(ended),
                () = tokio::time::sleep(gates::LOOK), if self.defers() => {}
            }
            self.begin_what_may();
            self.publish_counts();
            if self.draining && self.work.is_empty() {
                return;
            }
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Accepted(tasks) => {
                for task in tasks {
                    self.enqueue(task);
                }
            }
            Command::Recover(live, done) => self.recover(live, done).await,
            Command::Cancel(run, by, reply) => {
                match self.cancel(run, &by) {
                    Cancel::Unknown => answer(reply, CancelOutcome::Unknown),
                    Cancel::Stopping => answer(reply, CancelOutcome::Handled),
                    // Answered once it is durable, since the hub's word is acked then.
                    Cancel::Told(commit) => drop(tokio::spawn(async move {
                        if let Err(error) = commit.durable().await {
                            tracing::error!(%run, %error, "a cancel could not be noted");
                        }
                        answer(reply, CancelOutcome::Handled);
                    })),
                }
            }
            Command::RetryUndo(run, reply) => {
                let verdict = self.retry_undo(run).await;
                answer(reply, verdict);
            }
            Command::Abandon(run, comment, reply) => {
                let verdict = self.abandon(run, &comment).await;
                answer(reply, verdict);
            }
            Command::Turn(object, reply) => {
                let turn = self.turn(object);
                answer(reply, turn);
            }
            Command::Status(reply) => answer(reply, self.status()),
            Command::Reload(spoke) => {
                let limits = &spoke.config.limits;
                self.schedule.resize(limits.heavy, limits.light);
                self.gates = Gates::new(&spoke.config.gates, &spoke.config.sites.root);
                self.spoke = spoke;
            }
            Command::Drain => self.draining = true,
            Command::Interrupt => {
                self.halt.cancel();
                for tracked in self.attempts.values() {
                    if let Phase::Running { attempt, .. } = &tracked.phase {
                        attempt.interrupt(StopCause::Shutdown);
                    }
                }
            }
        }
    }

    pub(super) fn enqueue(&mut self, task: Accepted) {
        let claims = recipe::claims(&task.params, &self.spoke.recipes);
        let run = task.message.run;
        let (lane, grows) = (task.params.lane(), task.params.grows());
        self.schedule.add(run, &claims, lane, grows);
        self.counts.waiting += 1;
        let tracked = Tracked {
            kind: task.message.payload.kind.clone(),
            objects: claims
                .iter()
                .map(|claim| claim.object.to_string())
                .collect(),
            phase: Phase::Waiting(Box::new(task)),
        };
        self.attempts.insert(run, tracked);
    }

    fn begin_what_may(&mut self) {
        while !self.draining {
            let open = self.open();
            let Some(run) = self.schedule.start_next(open) else {
                break;
            };
            let attempt = self.attempt(run);
            let Some(tracked) = self.attempts.get_mut(&run) else {
                continue;
            };
            let running = Phase::Running {
                attempt: attempt.clone(),
                since: Instant::now(),
            };
            let Phase::Waiting(task) = std::mem::replace(&mut tracked.phase, running) else {
                continue;
            };
            self.counts.waiting -= 1;
            self.counts.running += 1;
            let limit = Duration::from_secs(self.spoke.config.limits.task_timeout_seconds);
            self.spawn(run, async move { carry_out(&attempt, *task, limit).await });
        }
        // What could still start was not let.
        let waits = !self.draining && self.schedule.heavy_could_start();
        let deferring = waits.then(|| self.gates.shut().cloned()).flatten();
        self.defer.send_if_modified(|told| {
            let news = *told != deferring;
            *told = deferring;
            news
        });
    }

    /// Looked at only when a heavy task has nothing else to wait for.
    fn open(&mut self) -> Open {
        if !self.schedule.heavy_could_start() {
            return Open::All;
        }
        match self.gates.look() {
            None => Open::All,
            Some(shut) if shut.growing_only => Open::NotGrowing,
            Some(_) => Open::Light,
        }
    }

    fn defers(&self) -> bool {
        self.defer.borrow().is_some()
    }

    pub(super) fn attempt(&self, run: Run) -> Attempt {
        let limit = self.spoke.config.limits.log_bytes;
        let log = TaskLog::new(run, self.journal.clone(), limit);
        Attempt::new(run, Arc::clone(&self.spoke), log, self.halt.clone())
    }

    /// For an attempt that the journal knows: one past its point of no return cannot be stopped any more.
    pub(super) fn attempt_at(&self, task: &LiveTask) -> Attempt {
        let attempt = self.attempt(task.run);
        if task.output.is_some() {
            attempt
                .pass_point_of_no_return()
                .expect("nobody can have stopped what was made just now");
        }
        attempt
    }

    pub(super) fn spawn(&mut self, run: Run, work: impl Future<Output = End> + Send + 'static) {
        self.work.spawn(async move {
            // Steps are guarded one by one; this is for a defect of the executor itself. Then the
            // attempt rests as the journal has it, its objects locked, until the next start.
            let end = AssertUnwindSafe(work).catch_unwind().await;
            (run, end.unwrap_or(End::Halted))
        });
    }

    fn rested(&mut self, ended: Result<(Run, End), tokio::task::JoinError>) {
        let Ok((run, end)) = ended else {
            tracing::error!("a task of the worker was aborted");
            return;
        };
        if self.turned(run) {
            return;
        }
        self.counts.running -= 1;
        match end {
            End::Ended => {
                self.schedule.remove(run);
                self.attempts.remove(&run);
            }
            End::Stuck | End::Halted => {
                self.counts.stuck += 1;
                self.schedule.keep_claims_only(run);
                if let Some(tracked) = self.attempts.get_mut(&run) {
                    tracked.phase = Phase::Stuck;
                }
            }
        }
        self.recovering.retain(|other| *other != run);
        self.recovery_may_be_over();
    }

    pub(super) fn recovery_may_be_over(&mut self) {
        if self.recovering.is_empty()
            && let Some(done) = self.recovered.take()
        {
            answer(done, ());
        }
    }

    fn publish_counts(&self) {
        self.tell.send_if_modified(|told| {
            let news = *told != self.counts;
            *told = self.counts;
            news
        });
    }

    fn status(&self) -> RunnerStatus {
        const SHOWN: usize = 100;
        let mut attempts: Vec<AttemptStatus> = self
            .attempts
            .iter()
            .map(|(run, tracked)| self.show(*run, tracked))
            .collect();
        attempts.sort_by(|a, b| (&a.phase, &a.run).cmp(&(&b.phase, &b.run)));
        attempts.truncate(SHOWN + self.counts.running + self.counts.stuck);
        RunnerStatus {
            counts: self.counts,
            deferring: self.defer.borrow().clone(),
            attempts,
        }
    }

    fn show(&self, run: Run, tracked: &Tracked) -> AttemptStatus {
        let (phase, step, running_seconds) = match &tracked.phase {
            Phase::Waiting(_) => ("waiting", None, None),
            Phase::Stuck => ("stuck", None, None),
            Phase::Running { attempt, since } => {
                let step = attempt.at.borrow().as_ref().map(|place| match place.total {
                    0 => place.name.clone(),
                    total => format!("{}/{total} {}", place.position, place.name),
                });
                ("running", step, Some(since.elapsed().as_secs()))
            }
        };
        AttemptStatus {
            run: run.to_string(),
            kind: tracked.kind.clone(),
            phase: phase.to_owned(),
            objects: tracked.objects.clone(),
            step,
            running_seconds,
            waits_for: match tracked.phase {
                Phase::Waiting(_) => self.schedule.waits_for(run, self.defer.borrow().as_ref()),
                _ => None,
            },
        }
    }
}

async fn carry_out(attempt: &Attempt, task: Accepted, limit: Duration) -> End {
    let expired = task
        .message
        .expires_at
        .is_some_and(|expires| expires < UnixMillis::now());
    if expired {
        let failure = "it expired while it waited on its server".to_owned();
        let told = attempt
            .commit_for_sure(|| vec![ended(Event::Failed, failure.clone())])
            .await;
        return if told.is_ok() {
            End::Ended
        } else {
            End::Halted
        };
    }
    let late = async {
        tokio::time::sleep(limit).await;
        attempt.interrupt(StopCause::TimedOut);
        std::future::pending::<End>().await
    };
    tokio::select! {
        end = execute::execute(attempt, &task.params) => end,
        never = late => never,
    }
}

/// The end of an attempt that never began.
pub(super) fn ended(event: Event, message: String) -> Change {
    Change::Ended {
        event,
        failure: Some(Failure::plain(message)),
        output: None,
    }
}

/// Answers whoever asked, if anybody still waits.
fn answer<T>(to: oneshot::Sender<T>, value: T) {
    if to.send(value).is_err() {
        tracing::debug!("nobody waits for an answer of the runner any more");
    }
}
