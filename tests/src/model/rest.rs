//! Everything comes to rest: no more faults, every queue is there, every part does its work until nothing is
//! left to do. Then nothing may be lost, and hub, journals and machines must agree.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use kolga_protocol::id::{Run, TaskId};
use kolga_protocol::state::{Event, Next, State};
use kolga_protocol::topology::{REPORTS_QUEUE, control_queue, tasks_queue};

use super::World;
use super::action::Ack;
use super::port::Shown;
use super::truth::Life;

/// So many times everybody may do all of his work. What is interrupted at the worst moment, and asked about
/// and sent again and interrupted, needs some.
const ROUNDS: usize = 25;
/// More than there ever is.
pub(super) const ALL: u8 = u8::MAX;

impl World<'_> {
    /// Lets the world come to rest, twice: by itself, and after operators have seen to what is stuck.
    pub(super) async fn come_to_rest(&mut self) -> Result<()> {
        self.settle().await.context("left alone")?;
        for index in 0..self.workers.len() {
            for run in self.workers[index].stuck() {
                let shown = self.hub.port.shown(run.task).await?;
                let name = &self.workers[index].name;
                let in_doubt = self.truth.is_in_doubt(run, self.workers[index].generation);
                ensure!(
                    in_doubt || (shown.run, shown.state) == (run, State::Stuck),
                    "{run} is stuck on {name} and {} is {} at the hub",
                    shown.run,
                    shown.state
                );
                self.workers[index].retry_undo(run, self.tally).await?;
            }
        }
        self.settle()
            .await
            .context("after what was stuck was tried again")?;
        let tasks = self.truth.order.clone();
        for task in tasks {
            let shown = self.hub.port.shown(task).await?;
            ensure!(shown.finished, "{} is {} for ever", shown.run, shown.state);
            self.agree(task, &shown).await?;
        }
        Ok(())
    }

    async fn settle(&mut self) -> Result<()> {
        for _ in 0..ROUNDS {
            self.round().await?;
            self.check().await?;
            if self.rests().await? {
                return Ok(());
            }
            self.retry_due().await?;
            self.ask().await?;
        }
        let mut open = Vec::new();
        for task in &self.truth.order {
            let shown = self.hub.port.shown(*task).await?;
            if !shown.finished {
                open.push(format!("{} {}", shown.run, shown.state));
            }
        }
        bail!("it does not come to rest: {open:?}");
    }

    /// Everybody does all of his work once.
    async fn round(&mut self) -> Result<()> {
        self.declare().await?;
        self.relay_all().await?;
        for index in 0..self.workers.len() {
            self.control(index, usize::from(ALL), true).await?;
            self.work_off(index).await?;
            self.intake(index, usize::from(ALL), Ack::Acked).await?;
            self.work_off(index).await?;
            self.send(index, i64::from(ALL), 0, 0).await?;
        }
        self.inbox(usize::from(ALL), false).await
    }

    async fn work_off(&mut self, index: usize) -> Result<()> {
        self.workers[index].begin_what_may(self.tally)?;
        while !self.workers[index].at_work().is_empty() {
            self.work(index, 0, 1, false).await?;
        }
        Ok(())
    }

    /// Whether nobody has anything to do, but operators.
    async fn rests(&mut self) -> Result<bool> {
        for index in 0..self.workers.len() {
            let name = self.workers[index].name.clone();
            let idle = self.broker.is_empty(&tasks_queue(&name))
                && self.broker.is_empty(&control_queue(&name))
                && self.workers[index].at_work().is_empty()
                && self.workers[index]
                    .next_to_send(1, &mut self.truth)
                    .await?
                    .is_empty();
            if !idle {
                return Ok(false);
            }
        }
        if !self.broker.is_empty(REPORTS_QUEUE) {
            return Ok(false);
        }
        // Stuck, or behind one that is.
        let held: BTreeSet<TaskId> = (self.workers.iter())
            .filter(|worker| !worker.stuck().is_empty())
            .flat_map(|worker| worker.attempts.keys())
            .map(|run| run.task)
            .collect();
        for task in &self.truth.order {
            let shown = self.hub.port.shown(*task).await?;
            let waits =
                held.contains(task) && matches!(shown.state, State::Stuck | State::Accepted);
            if !(shown.finished || waits) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Hub, journal and machine say the same of a task that is finished.
    async fn agree(&mut self, task: TaskId, shown: &Shown) -> Result<()> {
        let known = &self.truth.tasks[&task];
        let (server, plan) = (known.server, known.plan);
        let heard = known.heard(shown.run.attempt);
        let worker = &mut self.workers[server];
        let generation = worker.generation;
        let states: BTreeMap<Run, State> = worker.states().await?.into_iter().collect();
        let whole: BTreeSet<u16> = (1..=plan.steps + plan.finals).collect();
        for (run, lives) in self.truth.runs(task) {
            let in_doubt = self.truth.is_in_doubt(run, generation);
            let abandoned = lives.values().any(|life| life.abandoned);
            if in_doubt || abandoned {
                continue;
            }
            let effects = worker.effects.get(&run).cloned().unwrap_or_default();
            let happened = run == shown.run && shown.state == State::Succeeded;
            ensure!(
                effects
                    == if happened {
                        whole.clone()
                    } else {
                        BTreeSet::new()
                    },
                "{run} is over, {} is {} at the hub, and on the machine there is {effects:?} of {whole:?}",
                shown.run,
                shown.state
            );
        }
        let Some(lives) = self.truth.lives(shown.run) else {
            ensure!(
                matches!(shown.state, State::Cancelled),
                "{} is {} and no worker ever had it",
                shown.run,
                shown.state
            );
            return Ok(());
        };
        if self.truth.is_in_doubt(shown.run, generation) {
            let ends: Vec<Option<State>> = lives.values().map(end).collect();
            ensure!(
                ends.contains(&Some(shown.state))
                    || matches!(shown.state, State::Interrupted | State::Failed),
                "{} is {} at the hub; its journals said {ends:?}",
                shown.run,
                shown.state
            );
            return Ok(());
        }
        for life in lives.values() {
            ensure!(
                end(life) == Some(shown.state) && states.get(&shown.run) == Some(&shown.state),
                "{} is {} at the hub, {:?} in the journal; it ended as {:?}",
                shown.run,
                shown.state,
                states.get(&shown.run),
                life.ended
            );
            ensure!(
                heard == life.reported,
                "{} made {} reports; the hub heard {heard}",
                shown.run,
                life.reported
            );
            for line in &life.lines {
                ensure!(known.accounts_for(line), "{line:?} is lost in silence");
            }
        }
        Ok(())
    }
}

/// The state that its end is.
fn end(life: &Life) -> Option<State> {
    let event = life.ended?;
    let from = if event == Event::Rejected {
        State::Sent
    } else {
        State::Running
    };
    match from.on(event) {
        Ok(Next::To(state)) => Some(state),
        _ => None,
    }
}
