//! A model of the whole: the hub's real store, the real journal, judge and schedule of two workers, real bytes
//! between them, and a broker of the model's own that loses, doubles and reorders. proptest makes sequences of
//! actions ([`action`]); after each of them, and when everything has come to rest ([`rest`]), what hub and
//! workers say is held against [`truth`].
//!
//! `tests/tests/model.rs` runs it. Only [`port`] knows how the real parts are called.

pub mod action;
mod hub;
mod phase;
mod plan;
mod port;
mod queue;
mod rest;
pub mod tally;
mod truth;
mod work;
mod worker;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use kolga_protocol::names::ServerName;
use kolga_protocol::topology::{REPORTS_QUEUE, control_queue, spoke_user, tasks_queue};

use action::{Ack, Action};
use hub::Hub;
use queue::{Broker, Message};
use tally::Tally;
use truth::Truth;
use worker::Worker;

const SERVERS: [&str; 2] = ["web1", "web2"];

/// Everything that there is.
pub struct World<'a> {
    hub: Hub,
    workers: Vec<Worker>,
    broker: Broker,
    truth: Truth,
    tally: &'a Tally,
    /// Whether the hub has changed since it was looked at.
    stirred: bool,
}

/// A folder of one case; gone when dropped.
struct Folder(PathBuf);

impl Folder {
    /// In memory, where there is such a place: what is played here dies as processes do, not as machines do,
    /// and need not wait for a disk.
    fn new() -> Result<Self> {
        let memory = Path::new("/dev/shm");
        let base = match std::env::var_os("TMPDIR") {
            None if memory.is_dir() => memory.to_owned(),
            _ => std::env::temp_dir(),
        };
        let folder = base.join(format!("kolga-model-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Does these actions in a new world, lets it come to rest, and checks it all the way.
///
/// # Errors
/// What is wrong, and after which action.
pub async fn play(actions: &[Action], tally: &Tally) -> Result<()> {
    let folder = Folder::new()?;
    let mut world = World::new(&folder.0, tally).await?;
    let played = async {
        for (number, action) in actions.iter().enumerate() {
            let told = || format!("after action {number}, {action:?}");
            world.act(*action).await.with_context(told)?;
            world.check().await.with_context(told)?;
        }
        world.come_to_rest().await
    }
    .await;
    world.end().await;
    played
}

impl<'a> World<'a> {
    async fn new(folder: &Path, tally: &'a Tally) -> Result<Self> {
        let hub_folder = folder.join("hub");
        std::fs::create_dir(&hub_folder)?;
        let mut workers = Vec::new();
        for name in SERVERS {
            workers.push(Worker::new(folder.join(name), name.parse()?).await?);
        }
        let names: Vec<ServerName> = workers.iter().map(|worker| worker.name.clone()).collect();
        let mut world = Self {
            hub: Hub::new(hub_folder, &names).await?,
            workers,
            broker: Broker::default(),
            truth: Truth::default(),
            tally,
            stirred: false,
        };
        world.declare().await?;
        Ok(world)
    }

    async fn end(self) {
        self.hub.end().await;
        for worker in self.workers {
            worker.end().await;
        }
    }

    /// One action.
    async fn act(&mut self, action: Action) -> Result<()> {
        match action {
            Action::Create {
                server,
                kind,
                object,
                steps,
                finals,
            } => {
                let plan = plan::Plan {
                    steps: u16::from(steps),
                    finals: u16::from(finals),
                };
                self.create(usize::from(server), plan::params(kind, object), plan)
                    .await
            }
            Action::Cancel { task } => self.cancel(task).await,
            Action::Retry { task } => self.retry(task).await,
            Action::RelayTake { most } => self.hub.take(i64::from(most)).await,
            Action::RelayPublish { lost, unsure } => {
                self.hub.publish(&mut self.broker, lost, unsure, self.tally);
                Ok(())
            }
            Action::RelayNote => self.note().await,
            Action::Carry { server, most } => {
                self.relay_all().await?;
                self.intake(usize::from(server), usize::from(most), Ack::Acked)
                    .await
            }
            Action::Inbox { most, dies } => self.inbox(usize::from(most), dies).await,
            Action::Ask => self.ask().await,
            Action::RetryDue => self.retry_due().await,
            Action::HubCrash => self.hub_crash().await,
            Action::Intake { server, most, end } => {
                self.intake(usize::from(server), usize::from(most), end)
                    .await
            }
            Action::Control {
                server,
                most,
                acked,
            } => {
                self.control(usize::from(server), usize::from(most), acked)
                    .await
            }
            Action::Work {
                server,
                which,
                times,
                fails,
            } => self.work(usize::from(server), which, times, fails).await,
            Action::Line { server, which } => {
                let worker = &mut self.workers[usize::from(server)];
                worker.line(which, &mut self.truth).await
            }
            Action::Send {
                server,
                most,
                lost,
                unsure,
            } => {
                self.send(usize::from(server), i64::from(most), lost, unsure)
                    .await
            }
            Action::RetryUndo { server, which } => {
                let worker = &mut self.workers[usize::from(server)];
                match nth(&worker.stuck(), which) {
                    Some(run) => worker.retry_undo(run, self.tally).await,
                    None => Ok(()),
                }
            }
            Action::Abandon { server, which } => {
                let worker = &mut self.workers[usize::from(server)];
                match nth(&worker.stuck(), which) {
                    Some(run) => worker.abandon(run, &mut self.truth, self.tally).await,
                    None => Ok(()),
                }
            }
            Action::Stop { server } => {
                self.workers[usize::from(server)].stop(self.tally);
                Ok(())
            }
            Action::WorkerCrash { server } => {
                self.workers[usize::from(server)].crash(self.tally).await
            }
            Action::Rebuild { server } => {
                self.workers[usize::from(server)].rebuild(self.tally).await
            }
            Action::RebuildAndReplay { server, which } => {
                let server = usize::from(server);
                self.workers[server].rebuild(self.tally).await?;
                self.ask().await?;
                self.control(server, rest::ALL.into(), true).await?;
                self.inbox(rest::ALL.into(), false).await?;
                self.retry_due().await?;
                self.relay_all().await?;
                self.intake(server, rest::ALL.into(), Ack::Acked).await?;
                let queue = tasks_queue(&self.workers[server].name);
                for next in 0..3 {
                    self.broker.replay(&queue, usize::from(which) + next);
                }
                self.intake(server, rest::ALL.into(), Ack::Acked).await
            }
            Action::Duplicate { queue, which } => {
                if self
                    .broker
                    .duplicate(&self.queue(queue), usize::from(which))
                {
                    self.tally.fired("a message was doubled");
                }
                Ok(())
            }
            Action::Replay { queue, which } => {
                if self.broker.replay(&self.queue(queue), usize::from(which)) {
                    self.tally.fired("an old message came back");
                }
                Ok(())
            }
            Action::Delay { queue, which } => {
                if self.broker.delay(&self.queue(queue), usize::from(which)) {
                    self.tally.fired("a message was delayed");
                }
                Ok(())
            }
            Action::DeleteQueue { queue } => {
                let name = self.queue(queue);
                // What the hub was told and has not heard is not asked for again.
                if name != REPORTS_QUEUE && self.broker.delete(&name).is_some_and(|lost| lost > 0) {
                    self.tally.fired("a queue was deleted with messages");
                }
                Ok(())
            }
            Action::Declare => self.declare().await,
        }
    }

    /// What must be true at any moment.
    async fn check(&mut self) -> Result<()> {
        for worker in &mut self.workers {
            worker.begin_what_may(self.tally)?;
        }
        if std::mem::take(&mut self.stirred) {
            self.truth.observe(&self.hub.port, self.tally).await?;
        }
        Ok(())
    }

    /// All queues' names.
    fn queues(&self) -> Vec<String> {
        let of = |worker: &Worker| [tasks_queue(&worker.name), control_queue(&worker.name)];
        let mut names: Vec<String> = self.workers.iter().flat_map(of).collect();
        names.push(REPORTS_QUEUE.to_owned());
        names
    }

    fn queue(&self, number: u8) -> String {
        let names = self.queues();
        names[usize::from(number) % names.len()].clone()
    }

    async fn declare(&mut self) -> Result<()> {
        for name in self.queues() {
            self.broker.declare(&name);
        }
        for worker in &self.workers {
            self.hub.port.unblock(&worker.name).await?;
        }
        Ok(())
    }

    async fn relay_all(&mut self) -> Result<()> {
        self.hub.take(i64::from(rest::ALL)).await?;
        self.hub.publish(&mut self.broker, 0, 0, self.tally);
        self.note().await
    }

    async fn intake(&mut self, server: usize, most: usize, end: Ack) -> Result<()> {
        let worker = &mut self.workers[server];
        let queue = tasks_queue(&worker.name);
        if !worker.takes_tasks() {
            return Ok(());
        }
        let messages = self.broker.deliver(&queue, most);
        if messages.is_empty() {
            return Ok(());
        }
        let acked = worker
            .intake(&messages, end, &mut self.truth, self.tally)
            .await?;
        if !acked {
            self.broker.give_back(&queue, messages);
        }
        Ok(())
    }

    async fn control(&mut self, server: usize, most: usize, acked: bool) -> Result<()> {
        let worker = &mut self.workers[server];
        let queue = control_queue(&worker.name);
        let messages = self.broker.deliver(&queue, most);
        for message in &messages {
            let answer = worker.control(message, &mut self.truth, self.tally).await?;
            if let Some(answer) = answer {
                // Where there is no queue the answer is lost, and asked for again.
                self.broker.publish(REPORTS_QUEUE, answer);
            }
        }
        if !acked {
            self.broker.give_back(&queue, messages);
        }
        Ok(())
    }

    async fn work(&mut self, server: usize, which: u8, times: u8, fails: bool) -> Result<()> {
        for time in 1..=times {
            let worker = &mut self.workers[server];
            let Some(run) = nth(&worker.at_work(), which) else {
                return Ok(());
            };
            // The last move is the one that may fail.
            let fails = fails && time == times;
            worker.work(run, fails, &mut self.truth, self.tally).await?;
            worker.begin_what_may(self.tally)?;
        }
        Ok(())
    }

    async fn send(&mut self, server: usize, most: i64, lost: u8, unsure: u8) -> Result<()> {
        let worker = &mut self.workers[server];
        let sendings = worker.next_to_send(most, &mut self.truth).await?;
        let mut confirmed = Vec::new();
        for (number, sending) in sendings.iter().enumerate() {
            let bit = 1 << number.min(7);
            let message = Message {
                user: spoke_user(&worker.name),
                body: sending.body.clone(),
            };
            let arrived = lost & bit == 0 && self.broker.publish(REPORTS_QUEUE, message);
            if !arrived {
                self.tally.fired("a report never arrived");
            } else if unsure & bit != 0 {
                self.tally
                    .fired("a report arrived and its confirm was lost");
            }
            confirmed.push(arrived && unsure & bit == 0);
        }
        worker.was_sent(&sendings, &confirmed).await
    }
}

fn nth<T: Copy>(of: &[T], number: u8) -> Option<T> {
    (!of.is_empty()).then(|| of[usize::from(number) % of.len()])
}
