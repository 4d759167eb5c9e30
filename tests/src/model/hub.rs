//! The hub: the real store, with what the real relay, inbox and sweeper do told action by action.

use std::path::PathBuf;

use anyhow::Result;
use kolga_protocol::message::Answer;
use kolga_protocol::names::ServerName;
use kolga_protocol::state::State;
use kolga_protocol::task::Params;
use kolga_protocol::topology::{REPORTS_QUEUE, control_queue, tasks_queue};

use super::World;
use super::plan::Plan;
use super::port::{Fate, HubPort, Packed};
use super::queue::Broker;
use super::tally::Tally;

/// The hub and what it holds in memory.
pub struct Hub {
    folder: PathBuf,
    /// The real store.
    pub port: HubPort,
    /// What the relay has taken.
    hands: Vec<Packed>,
    /// What it has published and not noted.
    unnoted: Vec<(Packed, Fate)>,
}

impl Hub {
    /// A new hub with these servers.
    ///
    /// # Errors
    /// When the store cannot be made.
    pub async fn new(folder: PathBuf, servers: &[ServerName]) -> Result<Self> {
        let port = HubPort::open(&folder).await?;
        for server in servers {
            port.add_server(server).await?;
        }
        Ok(Self {
            folder,
            port,
            hands: Vec::new(),
            unnoted: Vec::new(),
        })
    }

    /// The end of the case.
    pub async fn end(self) {
        self.port.die().await;
    }

    /// The relay takes from the outbox.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn take(&mut self, most: i64) -> Result<()> {
        self.hands.extend(self.port.take(most).await?);
        Ok(())
    }

    /// The relay publishes what it holds.
    pub fn publish(&mut self, broker: &mut Broker, lost: u8, unsure: u8, tally: &Tally) {
        for (number, packed) in self.hands.drain(..).enumerate() {
            let bit = 1 << number.min(7);
            let fate = if lost & bit != 0 {
                tally.fired("a task's message never arrived");
                Fate::Unsure
            } else if !broker.publish(&packed.queue, packed.message.clone()) {
                tally.fired("a message had no queue");
                Fate::Blocked("no queue".to_owned())
            } else if unsure & bit != 0 {
                tally.fired("a task's message arrived and its confirm was lost");
                Fate::Unsure
            } else {
                Fate::Confirmed
            };
            self.unnoted.push((packed, fate));
        }
    }
}

impl World<'_> {
    pub(super) async fn create(&mut self, server: usize, params: Params, plan: Plan) -> Result<()> {
        self.stirred = true;
        let name = &self.workers[server].name;
        match self.hub.port.create(name, params).await? {
            Some(task) => {
                self.tally.fired("a task was made");
                self.truth.created(task, server, plan);
            }
            None => self.tally.fired("a task was refused by the hub"),
        }
        Ok(())
    }

    pub(super) async fn cancel(&mut self, number: u8) -> Result<()> {
        let Some(task) = self.truth.nth(number) else {
            return Ok(());
        };
        self.stirred = true;
        if self.hub.port.cancel(task).await? {
            let shown = self.hub.port.shown(task).await?;
            self.tally.fired(if shown.state == State::Cancelled {
                "a cancel ended a task at the hub at once"
            } else {
                "a cancel became a message"
            });
        }
        Ok(())
    }

    pub(super) async fn retry(&mut self, number: u8) -> Result<()> {
        let Some(task) = self.truth.nth(number) else {
            return Ok(());
        };
        self.stirred = true;
        if self.hub.port.retry(task).await? {
            self.tally.fired("an operator's retry made an attempt");
        }
        Ok(())
    }

    pub(super) async fn retry_due(&mut self) -> Result<()> {
        self.stirred = true;
        let attempts = |world: &Self| -> u64 {
            let tasks = world.truth.tasks.values();
            tasks.map(|task| u64::from(task.attempt.0)).sum()
        };
        self.check_hub().await?;
        let before = attempts(self);
        self.hub.port.retry_due().await?;
        self.check_hub().await?;
        if attempts(self) > before {
            self.tally.fired("the sweeper made an attempt");
        }
        Ok(())
    }

    async fn check_hub(&mut self) -> Result<()> {
        self.truth.observe(&self.hub.port, self.tally).await
    }

    pub(super) async fn note(&mut self) -> Result<()> {
        self.stirred = true;
        let fates = std::mem::take(&mut self.hub.unnoted);
        if fates.is_empty() {
            return Ok(());
        }
        self.hub.port.note(fates).await
    }

    pub(super) async fn hub_crash(&mut self) -> Result<()> {
        self.stirred = true;
        self.tally.fired("the hub died");
        if !self.hub.unnoted.is_empty() {
            self.tally.fired("the hub died with unnoted messages");
        }
        let port = HubPort::open(&self.hub.folder).await?;
        std::mem::replace(&mut self.hub.port, port).die().await;
        self.hub.hands.clear();
        self.hub.unnoted.clear();
        Ok(())
    }

    pub(super) async fn inbox(&mut self, most: usize, dies: bool) -> Result<()> {
        let messages = self.broker.deliver(REPORTS_QUEUE, most);
        if messages.is_empty() {
            return Ok(());
        }
        // The attempts that the reports are held against are those of this moment.
        self.check_hub().await?;
        self.stirred = true;
        let (batches, answers) = self.hub.port.take_reports(&messages).await?;
        for batch in &batches {
            let server = &batch.server;
            self.truth.delivered(server, batch, self.tally);
        }
        if dies {
            self.tally.fired("the hub died between commit and ack");
            self.broker.give_back(REPORTS_QUEUE, messages);
            return self.hub_crash().await;
        }
        self.check_hub().await?;
        for answer in answers {
            self.answered(answer).await?;
        }
        Ok(())
    }

    async fn answered(&mut self, answer: Answer) -> Result<()> {
        let is_empty = self.broker.is_empty(&tasks_queue(&answer.server));
        let ended = |world: &Self| {
            let tasks = world.truth.tasks.values();
            tasks.filter(|task| task.state.is_terminal()).count()
        };
        let before = ended(self);
        let count = self.hub.port.answered(answer, is_empty).await?;
        self.check_hub().await?;
        if ended(self) > before {
            self.tally
                .fired("a lost journal's attempt was ended by the hub");
        } else if count > 0 && is_empty {
            self.tally.fired("a lost message was sent again");
        }
        Ok(())
    }

    pub(super) async fn ask(&mut self) -> Result<()> {
        for (server, question) in self.hub.port.questions().await? {
            self.tally.fired("the hub asked a worker");
            // Where there is no queue it is asked again.
            self.broker.publish(&control_queue(&server), question);
        }
        Ok(())
    }
}
