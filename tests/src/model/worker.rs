//! A worker: the real journal, schedule and judge, with what the real intake, runner and outgoing do between
//! them told action by action, so that it can die between any two.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use kolga_protocol::envelope;
use kolga_protocol::id::Run;
use kolga_protocol::message::{Control, Failure, ReportBody, Reports};
use kolga_protocol::names::ServerName;
use kolga_protocol::object::{Access, Claim};
use kolga_protocol::state::{Event, State};
use kolga_protocol::task::Params;
use kolga_worker::journal::Change;
use kolga_worker::run::schedule::{Open, Schedule};

use super::action::Ack;
use super::phase::Phase;
use super::port::{Taken, WorkerPort, line};
use super::queue::Message;
use super::tally::Tally;
use super::truth::Truth;

/// Places in each lane: few, so that tasks wait.
const LANE: usize = 2;

/// An attempt that has not ended.
pub(super) struct Tracked {
    pub(super) params: Params,
    claims: Vec<Claim>,
    pub(super) phase: Phase,
}

/// A worker and its machine.
pub struct Worker {
    /// Its server.
    pub name: ServerName,
    folder: PathBuf,
    port: Option<WorkerPort>,
    /// Which journal this is, by number.
    pub generation: u32,
    pub(super) schedule: Schedule,
    pub(super) attempts: BTreeMap<Run, Tracked>,
    /// Rollbacks that have to rest before anything is taken.
    pub(super) recovering: BTreeSet<Run>,
    sent_up_to: i64,
    seen_up_to: i64,
    /// What steps have done on the machine.
    pub effects: BTreeMap<Run, BTreeSet<u16>>,
}

/// What became of a message that was sent.
pub struct Sending {
    /// The bytes.
    pub body: Vec<u8>,
    /// Its number in the spool.
    id: i64,
}

impl Worker {
    /// A new machine.
    ///
    /// # Errors
    /// When its journal cannot be made.
    pub async fn new(folder: PathBuf, name: ServerName) -> Result<Self> {
        std::fs::create_dir_all(&folder)?;
        Ok(Self {
            port: Some(WorkerPort::open(&folder, &name).await?),
            name,
            folder,
            generation: 1,
            schedule: Schedule::new(LANE, LANE),
            attempts: BTreeMap::new(),
            recovering: BTreeSet::new(),
            sent_up_to: 0,
            seen_up_to: 0,
            effects: BTreeMap::new(),
        })
    }

    pub(super) fn port(&mut self) -> Result<&mut WorkerPort> {
        self.port.as_mut().context("the worker is dead")
    }

    /// It dies, and starts again from what its journal holds.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn crash(&mut self, tally: &Tally) -> Result<()> {
        for tracked in self.attempts.values() {
            tracked.phase.tell_death(tally);
        }
        tally.fired("a worker died");
        self.die().await?;
        self.start().await
    }

    /// The machine is rebuilt: nothing that was on it is there any more.
    ///
    /// # Errors
    /// When its journal cannot be made.
    pub async fn rebuild(&mut self, tally: &Tally) -> Result<()> {
        if !self.attempts.is_empty() {
            tally.fired("a machine was rebuilt with work at hand");
        }
        self.die().await?;
        self.effects.clear();
        self.generation += 1;
        // Another folder: the dead worker's connections may yet have the old one open.
        self.folder.set_extension(self.generation.to_string());
        std::fs::create_dir_all(&self.folder)?;
        self.seen_up_to = 0;
        self.start().await
    }

    async fn die(&mut self) -> Result<()> {
        self.port.take().context("the worker is dead")?.die().await;
        Ok(())
    }

    /// The end of the case.
    pub async fn end(mut self) {
        if let Some(port) = self.port.take() {
            port.die().await;
        }
    }

    /// What its journal says of every attempt.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn states(&mut self) -> Result<Vec<(Run, State)>> {
        self.port()?.states().await
    }

    async fn start(&mut self) -> Result<()> {
        let mut port = WorkerPort::open(&self.folder, &self.name).await?;
        let live = port.live().await?;
        self.port = Some(port);
        self.schedule = Schedule::new(LANE, LANE);
        self.attempts.clear();
        self.recovering.clear();
        self.sent_up_to = 0;
        for (task, params) in live {
            let run = task.run;
            if task.state == State::Accepted {
                self.enqueue(run, params);
                continue;
            }
            let claims = params.claims();
            self.schedule.add(run, &claims, params.lane(), false);
            self.schedule.start_regardless(run);
            let phase = if task.state == State::Stuck {
                self.schedule.keep_claims_only(run);
                Phase::Stuck
            } else {
                if task.output.is_none() {
                    self.recovering.insert(run);
                }
                Phase::from_journal(task)
            };
            self.attempts.insert(
                run,
                Tracked {
                    params,
                    claims,
                    phase,
                },
            );
        }
        Ok(())
    }

    fn enqueue(&mut self, run: Run, params: Params) {
        let claims = params.claims();
        self.schedule.add(run, &claims, params.lane(), false);
        self.attempts.insert(
            run,
            Tracked {
                params,
                claims,
                phase: Phase::Waiting,
            },
        );
    }

    /// Begins what may begin, and checks that what runs may run together.
    ///
    /// # Errors
    /// When two attempts hold what only one may hold.
    pub fn begin_what_may(&mut self, tally: &Tally) -> Result<()> {
        while let Some(run) = self.schedule.start_next(Open::All) {
            let tracked = self.attempts.get_mut(&run);
            let tracked = tracked.with_context(|| format!("{run} may begin and is not there"))?;
            ensure!(
                matches!(tracked.phase, Phase::Waiting),
                "{run} may begin and does not wait"
            );
            tracked.phase = Phase::begun();
        }
        let mut holders: Vec<(&Run, &Tracked)> = Vec::new();
        for (run, tracked) in &self.attempts {
            if matches!(tracked.phase, Phase::Waiting) {
                let why = self.schedule.waits_for(*run, None).unwrap_or_default();
                if why.contains("is in use") {
                    tally.fired("a task waited for an object");
                }
                continue;
            }
            for (other, holder) in &holders {
                ensure!(run.task != other.task, "{run} runs beside {other}");
                let conflict = tracked.claims.iter().find(|claim| {
                    holder.claims.iter().any(|held| {
                        held.object == claim.object
                            && (held.access == Access::Exclusive
                                || claim.access == Access::Exclusive)
                    })
                });
                ensure!(
                    conflict.is_none(),
                    "{run} and {other} both hold {conflict:?}"
                );
            }
            holders.push((run, tracked));
        }
        Ok(())
    }

    /// Takes tasks in. Whether their messages are acked.
    ///
    /// # Errors
    /// When the journal fails.
    pub async fn intake(
        &mut self,
        messages: &[Message],
        end: Ack,
        truth: &mut Truth,
        tally: &Tally,
    ) -> Result<bool> {
        if end == Ack::DiesBefore {
            tally.fired("a worker died before its journal had the task");
            self.crash(tally).await?;
            return Ok(false);
        }
        for (message, params, taken) in self.port()?.accept(messages).await? {
            let run = message.run;
            let life = truth.life(run, self.generation);
            match taken {
                Taken::Accepted => {
                    ensure!(life.ended.is_none(), "{run} is accepted after its end");
                    ensure!(
                        !self.attempts.contains_key(&run),
                        "{run} is accepted a second time"
                    );
                    self.enqueue(run, params);
                }
                Taken::Known => {
                    ensure!(self.attempts.contains_key(&run), "{run} is not known here");
                    tally.fired("a doubled message was recognised");
                }
                Taken::AlreadyEnded => {
                    ensure!(life.ended.is_some(), "{run} has not ended");
                    tally.fired("an ended task's message was answered");
                }
                Taken::Rejected => {
                    life.ended = Some(Event::Rejected);
                    tally.fired("an older attempt was refused");
                }
            }
        }
        match end {
            Ack::Acked => Ok(true),
            Ack::Lost => {
                tally.fired("an ack was lost");
                Ok(false)
            }
            Ack::DiesBefore | Ack::DiesAfter => {
                tally.fired("a worker died between journal and ack");
                self.crash(tally).await?;
                Ok(false)
            }
        }
    }

    /// Sees to a word of the hub; an answer, where there is one.
    ///
    /// # Errors
    /// When the journal fails.
    pub async fn control(
        &mut self,
        message: &Message,
        truth: &mut Truth,
        tally: &Tally,
    ) -> Result<Option<Message>> {
        match envelope::open::<Control>(&message.body)? {
            Control::Cancel { run, .. } => {
                self.cancel(run, truth, tally).await?;
                Ok(None)
            }
            Control::Query { runs } => {
                let (body, unknown) = self.port()?.answer(runs).await?;
                if unknown > 0 {
                    tally.fired("a worker said what it does not know");
                }
                let user = kolga_protocol::topology::spoke_user(&self.name);
                Ok(Some(Message { user, body }))
            }
        }
    }

    async fn cancel(&mut self, run: Run, truth: &mut Truth, tally: &Tally) -> Result<()> {
        let Some(tracked) = self.attempts.get_mut(&run) else {
            let newer = (truth.runs(run.task)).any(|(known, lives)| {
                known.attempt >= run.attempt && lives.contains_key(&self.generation)
            });
            if !newer {
                truth.life(run, self.generation).ended = Some(Event::Cancelled);
                tally.fired("a cancel came before its task");
            }
            return self.port()?.cancel_unseen(run).await;
        };
        let refused = match &mut tracked.phase {
            Phase::Waiting => {
                tally.fired("a cancel ended a task that waited");
                self.schedule.remove(run);
                self.attempts.remove(&run);
                truth.life(run, self.generation).ended = Some(Event::Cancelled);
                let change = Change::Ended {
                    event: Event::Cancelled,
                    failure: Some(Failure::plain("cancelled")),
                    output: None,
                };
                return Ok(self.port()?.enter(run, vec![change]).await?);
            }
            Phase::Forward(forward) => {
                tally.fired("a cancel stopped a task that ran");
                forward.stop.get_or_insert(Event::Cancelled);
                return Ok(());
            }
            Phase::Back(_) => return Ok(()),
            Phase::Finish(_) => "past its point of no return",
            Phase::Stuck => "stuck",
        };
        tally.fired("a cancel was refused by the worker");
        let change = Change::Report(ReportBody::CancelRefused {
            reason: refused.to_owned(),
        });
        Ok(self.port()?.enter(run, vec![change]).await?)
    }

    /// It is told to stop: what runs forward is to be rolled back.
    pub fn stop(&mut self, tally: &Tally) {
        for tracked in self.attempts.values_mut() {
            if let Phase::Forward(forward) = &mut tracked.phase {
                tally.fired("a worker was told to stop with work at hand");
                forward.stop.get_or_insert(Event::Interrupted);
            }
        }
    }

    /// An attempt writes a line.
    ///
    /// # Errors
    /// When the journal fails.
    pub async fn line(&mut self, which: u8, truth: &mut Truth) -> Result<()> {
        let running = self.at_work();
        if running.is_empty() {
            return Ok(());
        }
        let run = running[usize::from(which) % running.len()];
        let life = truth.life(run, self.generation);
        let text = format!("line {} of {run} in {}", life.lines.len(), self.generation);
        life.lines.push(text.clone());
        Ok(self
            .port()?
            .enter(run, vec![Change::Report(line(text))])
            .await?)
    }

    /// What waits to be sent next.
    ///
    /// # Errors
    /// When a number is missing in it.
    pub async fn next_to_send(&mut self, most: i64, truth: &mut Truth) -> Result<Vec<Sending>> {
        let after = self.sent_up_to;
        let rows = self.port()?.spool(after, most).await?;
        for row in &rows {
            if row.id > self.seen_up_to {
                self.seen_up_to = row.id;
                let reports: Reports = envelope::open(&row.body)?;
                truth.spooled(&reports, self.generation)?;
            }
        }
        Ok(rows
            .into_iter()
            .map(|row| Sending {
                body: row.body,
                id: row.id,
            })
            .collect())
    }

    /// Forgets what stands before the first message that was not confirmed.
    ///
    /// # Errors
    /// When the journal fails.
    pub async fn was_sent(&mut self, sendings: &[Sending], confirmed: &[bool]) -> Result<()> {
        let count = confirmed.iter().take_while(|confirmed| **confirmed).count();
        let ids: Vec<i64> = sendings[..count].iter().map(|sending| sending.id).collect();
        if let Some(last) = ids.last() {
            self.sent_up_to = *last;
        }
        self.port()?.sent(ids).await
    }

    /// Attempts that can go on by themselves.
    #[must_use]
    pub fn at_work(&self) -> Vec<Run> {
        self.runs(|phase| !matches!(phase, Phase::Waiting | Phase::Stuck))
    }

    /// Attempts that wait for an operator.
    #[must_use]
    pub fn stuck(&self) -> Vec<Run> {
        self.runs(|phase| matches!(phase, Phase::Stuck))
    }

    fn runs(&self, wanted: fn(&Phase) -> bool) -> Vec<Run> {
        self.attempts
            .iter()
            .filter(|(_, tracked)| wanted(&tracked.phase))
            .map(|(run, _)| *run)
            .collect()
    }

    /// Whether it may take tasks: not before every rollback of its start has come to rest.
    #[must_use]
    pub fn takes_tasks(&self) -> bool {
        self.recovering.is_empty()
    }
}
