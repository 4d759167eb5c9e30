//! The one task that owns every attempt which has not ended, and decides when each begins.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use kolga_protocol::id::{Run, UnixMillis};
use kolga_protocol::message::{Failure, ReportBody, TaskMessage};
use kolga_protocol::state::{Event, State};
use kolga_protocol::task::Params;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::attempt::{Attempt, End};
use super::log::TaskLog;
use super::schedule::Schedule;
use super::status::{AttemptStatus, Counts, RunnerStatus};
use super::{execute, finish, rollback};
use crate::cx::StopCause;
use crate::journal::{Cause, Change, Entry, Journal, LiveTask, Reader, StepRow, StoredStep};
use crate::process;
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

type Verdict = Result<(), String>;

enum Command {
    Accepted(Vec<Accepted>),
    Recover(Vec<LiveTask>, oneshot::Sender<()>),
    Cancel(Run, String, oneshot::Sender<CancelOutcome>),
    RetryUndo(Run, oneshot::Sender<Verdict>),
    Abandon(Run, String, oneshot::Sender<Verdict>),
    Status(oneshot::Sender<RunnerStatus>),
    Reload(Arc<Spoke>),
    Drain,
    Interrupt,
}

/// The way to the runner. Cheap to clone.
#[derive(Clone)]
pub struct Runner {
    commands: mpsc::UnboundedSender<Command>,
    counts: watch::Receiver<Counts>,
}

impl Runner {
    /// Starts it. The handle ends after [`Runner::drain`], once nothing runs any more.
    #[must_use]
    pub fn start(spoke: Arc<Spoke>, journal: Journal) -> (Self, tokio::task::JoinHandle<()>) {
        let (commands, queue) = mpsc::unbounded_channel();
        let (tell, counts) = watch::channel(Counts::default());
        let limits = &spoke.config.limits;
        let actor = Actor {
            schedule: Schedule::new(limits.heavy, limits.light),
            journal_path: spoke.config.journal_path(),
            spoke,
            journal,
            attempts: HashMap::new(),
            work: JoinSet::new(),
            halt: CancellationToken::new(),
            draining: false,
            recovering: Vec::new(),
            recovered: None,
            counts: Counts::default(),
            tell,
        };
        let handle = tokio::spawn(actor.run(queue));
        (Self { commands, counts }, handle)
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
        self.counts.clone()
    }

    fn send(&self, command: Command) {
        // Without a runner the worker is on its way out, and the journal has what was accepted.
        drop(self.commands.send(command));
    }
}

enum Phase {
    Waiting(Box<Accepted>),
    Running { attempt: Attempt, since: Instant },
    Stuck,
}

struct Tracked {
    kind: String,
    objects: Vec<String>,
    phase: Phase,
}

struct Actor {
    spoke: Arc<Spoke>,
    journal: Journal,
    journal_path: PathBuf,
    schedule: Schedule,
    attempts: HashMap<Run, Tracked>,
    work: JoinSet<(Run, End)>,
    halt: CancellationToken,
    draining: bool,
    /// Rollbacks that recovery waits for.
    recovering: Vec<Run>,
    recovered: Option<oneshot::Sender<()>>,
    counts: Counts,
    tell: watch::Sender<Counts>,
}

impl Actor {
    async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Command>) {
        loop {
            tokio::select! {
                command = queue.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => self.draining = true,
                },
                Some(ended) = self.work.join_next() => self.rested(ended),
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
                let outcome = self.cancel(run, &by);
                answer(reply, outcome);
            }
            Command::RetryUndo(run, reply) => {
                let verdict = self.retry_undo(run).await;
                answer(reply, verdict);
            }
            Command::Abandon(run, comment, reply) => {
                let verdict = self.abandon(run, &comment).await;
                answer(reply, verdict);
            }
            Command::Status(reply) => answer(reply, self.status()),
            Command::Reload(spoke) => {
                let limits = &spoke.config.limits;
                self.schedule.resize(limits.heavy, limits.light);
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

    fn enqueue(&mut self, task: Accepted) {
        let claims = task.params.claims();
        let run = task.message.run;
        self.schedule.add(run, &claims, task.params.kind().lane());
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
        while !self.draining
            && let Some(run) = self.schedule.start_next()
        {
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
    }

    fn attempt(&self, run: Run) -> Attempt {
        let limit = self.spoke.config.limits.log_bytes;
        let log = TaskLog::new(run, self.journal.clone(), limit);
        Attempt::new(run, Arc::clone(&self.spoke), log, self.halt.clone())
    }

    fn spawn(&mut self, run: Run, work: impl Future<Output = End> + Send + 'static) {
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

    fn recovery_may_be_over(&mut self) {
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

    async fn recover(&mut self, live: Vec<LiveTask>, done: oneshot::Sender<()>) {
        self.recovered = Some(done);
        for task in live {
            let run = task.run;
            let params = Params::from_payload(&task.message.payload);
            match (task.state, params) {
                (State::Accepted, Ok(params)) => self.enqueue(Accepted {
                    message: task.message,
                    params,
                }),
                (State::Accepted, Err(error)) => self.drop_waiting(
                    run,
                    Event::Failed,
                    format!("{error}: the worker was replaced by one that does not know it"),
                ),
                (_, params) => self.resume(task, params.ok()).await,
            }
        }
        self.recovery_may_be_over();
    }

    /// Goes on with an attempt that a former process left in the middle.
    async fn resume(&mut self, task: LiveTask, params: Option<Params>) {
        let run = task.run;
        let claims = params.as_ref().map(Params::claims).unwrap_or_default();
        let lane = params.map_or(kolga_protocol::object::Lane::Heavy, |p| p.kind().lane());
        self.schedule.add(run, &claims, lane);
        let mut tracked = Tracked {
            kind: task.message.payload.kind.clone(),
            objects: claims
                .iter()
                .map(|claim| claim.object.to_string())
                .collect(),
            phase: Phase::Stuck,
        };
        if task.state == State::Stuck {
            // It holds its claims, since those who hold come first in the journal's order.
            self.schedule.start_regardless(run);
            self.schedule.keep_claims_only(run);
            self.counts.stuck += 1;
            self.attempts.insert(run, tracked);
            return;
        }
        let attempt = self.attempt(run);
        tracked.phase = Phase::Running {
            attempt: attempt.clone(),
            since: Instant::now(),
        };
        self.attempts.insert(run, tracked);
        self.schedule.start_regardless(run);
        self.counts.running += 1;
        if task.output.is_none() {
            self.recovering.push(run);
        }
        self.spawn(run, async move {
            process::kill_leftovers(run).await;
            back_or_forward(&attempt, task).await
        });
    }

    fn cancel(&mut self, run: Run, by: &str) -> CancelOutcome {
        let Some(tracked) = self.attempts.get(&run) else {
            return CancelOutcome::Unknown;
        };
        let refused = match &tracked.phase {
            Phase::Waiting(_) => {
                self.drop_waiting(run, Event::Cancelled, format!("cancelled by {by}"));
                return CancelOutcome::Handled;
            }
            Phase::Running { attempt, .. } if attempt.interrupt(StopCause::Cancelled) => {
                return CancelOutcome::Handled;
            }
            Phase::Running { .. } => {
                "it is past its point of no return: what it removes cannot come back, so it is finished"
            }
            Phase::Stuck => {
                "it is stuck: run `kolga-worker journal retry-undo` or `abandon` on its server"
            }
        };
        let reason = refused.to_owned();
        drop(self.journal.enter(Entry {
            run,
            changes: vec![Change::Report(ReportBody::CancelRefused { reason })],
        }));
        CancelOutcome::Handled
    }

    /// Ends an attempt that never began.
    fn drop_waiting(&mut self, run: Run, event: Event, message: String) {
        self.schedule.remove(run);
        if self.attempts.remove(&run).is_some() {
            self.counts.waiting -= 1;
        }
        // Not durable yet when this returns: if the worker dies before, the attempt waits again at the
        // next start, and a cancel that it was dropped for has to be asked for again.
        drop(self.journal.enter(Entry {
            run,
            changes: vec![ended(event, message)],
        }));
    }

    async fn stuck(&self, run: Run) -> Result<LiveTask, String> {
        match self.attempts.get(&run).map(|tracked| &tracked.phase) {
            None => {
                return Err(format!(
                    "no attempt {run} is waiting, running or stuck here"
                ));
            }
            Some(Phase::Stuck) => {}
            Some(_) => return Err(format!("{run} is not stuck")),
        }
        let mut reader = Reader::open(&self.journal_path)
            .await
            .map_err(|error| error.to_string())?;
        let live = reader.live().await.map_err(|error| error.to_string())?;
        live.into_iter()
            .find(|task| task.run == run)
            .ok_or_else(|| format!("the journal does not hold {run} any more"))
    }

    async fn retry_undo(&mut self, run: Run) -> Verdict {
        let task = self.stuck(run).await?;
        let attempt = self.attempt(run);
        if let Some(tracked) = self.attempts.get_mut(&run) {
            tracked.phase = Phase::Running {
                attempt: attempt.clone(),
                since: Instant::now(),
            };
        }
        self.schedule.start_regardless(run);
        self.counts.stuck -= 1;
        self.counts.running += 1;
        self.spawn(run, async move { back_or_forward(&attempt, task).await });
        Ok(())
    }

    async fn abandon(&mut self, run: Run, comment: &str) -> Verdict {
        let task = self.stuck(run).await?;
        let left: Vec<String> = unfinished(&task.steps)
            .map(|row| format!("whatever step {} did", row.place.name))
            .collect();
        let failure = Failure {
            step: None,
            message: format!("abandoned by an operator: {comment}"),
            left_behind: left,
        };
        self.journal
            .enter(Entry {
                run,
                changes: vec![Change::Ended {
                    event: Event::Failed,
                    failure: Some(failure),
                    output: None,
                }],
            })
            .durable()
            .await
            .map_err(|error| error.to_string())?;
        self.counts.stuck -= 1;
        self.schedule.remove(run);
        self.attempts.remove(&run);
        Ok(())
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
                Phase::Waiting(_) => self.schedule.waits_for(run),
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

/// What the journal holds of an attempt says which way it goes.
async fn back_or_forward(attempt: &Attempt, task: LiveTask) -> End {
    if task.output.is_some() {
        if task.state == State::Stuck
            && attempt
                .commit_for_sure(|| vec![Change::Resumed])
                .await
                .is_err()
        {
            return End::Halted;
        }
        let finals = task
            .steps
            .into_iter()
            .filter(|step| step.state == "final")
            .map(|step| step.row)
            .collect();
        return finish::finish(attempt, finals).await;
    }
    let cause = task.cause.unwrap_or_else(|| Cause {
        event: Event::Interrupted,
        failure: Failure::plain("the worker died in the middle of it"),
    });
    let begun: Vec<StepRow> = unfinished(&task.steps).cloned().collect();
    if task.state == State::RollingBack {
        return rollback::undo_all(attempt, &cause, begun).await;
    }
    rollback::begin(attempt, cause, None, begun).await
}

/// Steps that are neither undone nor for after the point of no return.
fn unfinished(steps: &[StoredStep]) -> impl Iterator<Item = &StepRow> {
    steps
        .iter()
        .filter(|step| matches!(step.state.as_str(), "intent" | "done"))
        .map(|step| &step.row)
}

fn ended(event: Event, message: String) -> Change {
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
