//! Intake: broker → runner. Takes tasks from this server's queue into the journal, acks, and hands them to
//! the runner; takes cancels and questions from the control queue beside it.
//!
//! One loop does all of it, and the same loop sends the heartbeat and is what systemd's watchdog watches: a
//! worker that is deaf to its queue falls silent.

mod heartbeat;
pub mod judge;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use kolga_protocol::envelope::{self, Message as _};
use kolga_protocol::id::Run;
use kolga_protocol::link::{
    Address, Consumer, Delivery, LinkConfig, LinkState, Outgoing, Publisher,
};
use kolga_protocol::message::{Answer, Asked, Control, Mood, TaskMessage};
use kolga_protocol::names::ServerName;
use kolga_protocol::state::State;
use kolga_protocol::topology::{self, DEAD, REPORTS_EXCHANGE};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::journal::{Arrival, Incoming, Journal, Reader, Taken};
use crate::run::{Accepted, CancelOutcome, Counts, Runner};
use crate::tasks;
use crate::watchdog::Pulse;
use heartbeat::Heart;
use judge::{Judged, judge_all};
use kolga_protocol::fault;

/// Messages held unacked at most, and taken at once. Each may hold 64 tasks, which bounds by how much a
/// backlog that is full may grow.
const PREFETCH: u16 = 16;
/// The same for what the hub tells about its tasks.
const PREFETCH_CONTROL: u16 = 64;
/// How long a message that nobody can read may take on its way out.
const PUT_ASIDE: Duration = Duration::from_secs(10);

/// What intake is given.
pub struct Intake {
    /// This spoke.
    pub server: ServerName,
    /// The way to the broker.
    pub link: LinkConfig,
    /// Accepted tasks that may wait, as it is configured now.
    pub backlog: watch::Receiver<usize>,
    /// Where sites lie, whose disk the heartbeat measures.
    pub disk: std::path::PathBuf,
    /// Where tasks become durable.
    pub journal: Journal,
    /// For questions about what the journal holds.
    pub reader: Reader,
    /// Who runs them.
    pub runner: Runner,
    /// For answers, heartbeats and what nobody can read.
    pub publisher: Publisher,
    /// Whether an operator wants it to take nothing.
    pub paused: watch::Receiver<bool>,
    /// Shows the link to `kolga-worker status`.
    pub shows: watch::Sender<IntakeStatus>,
    /// Counts the turns of the loop, for systemd's watchdog.
    pub pulse: Pulse,
    /// Whether what the hub sends arrives.
    pub hearing: Hearing,
    /// No more tasks from here on.
    pub stop: CancellationToken,
}

/// Whether what the hub sends arrives.
#[derive(Debug, Default)]
pub struct Hearing {
    /// A task came since the hub last asked for one that never did.
    heard: bool,
    /// None came: the consumer is to begin anew.
    deaf: bool,
}

/// What intake shows of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct IntakeStatus {
    /// What it does.
    pub mood: Mood,
    /// The connection over which it consumes.
    pub link: LinkState,
}

impl Intake {
    /// Takes tasks until told to stop; returns when what was delivered is either accepted or left to the
    /// broker.
    pub async fn run(mut self) {
        let consuming = self.stop.child_token();
        let link = |purpose| self.link.purpose(purpose);
        let queue = topology::tasks_queue(&self.server);
        let mut tasks = Consumer::start(link("tasks"), queue, PREFETCH, consuming.clone());
        let queue = topology::control_queue(&self.server);
        let mut control = Consumer::start(link("control"), queue, PREFETCH_CONTROL, consuming);
        let mut heart = Heart::new(&self);
        let pulse = self.pulse.clone();
        let mut counts = self.runner.counts();
        let mut deferring = self.runner.deferring();
        let mut link_state = tasks.state();
        let mut publishing = self.publisher.state();
        let mut mood = Mood::Consuming;
        loop {
            pulse.beat();
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                () = pulse.asked() => {}
                batch = control.next_batch(usize::from(PREFETCH_CONTROL)) => {
                    let Some(batch) = batch else { break };
                    let tags = self.control(batch).await;
                    if mood == Mood::Consuming && std::mem::take(&mut self.hearing.deaf) {
                        tasks.renew();
                    }
                    fault::point("control:taken");
                    control.ack(tags);
                    fault::point("control:acked");
                }
                () = heart.due() => {
                    let counts = *counts.borrow();
                    heart.beat(&mut self, mood, counts).await;
                }
                Ok(()) = counts.changed() => {}
                // An operator who waits for a task should see why.
                Ok(()) = deferring.changed() => heart.at_once(),
                Ok(()) = self.paused.changed() => {}
                Ok(()) = self.backlog.changed() => {}
                Ok(()) = link_state.changed() => {}
                // Says that it lives as soon as it can.
                Ok(()) = publishing.changed() => heart.at_once(),
                batch = tasks.next_batch(usize::from(PREFETCH)) => {
                    let Some(batch) = batch else { break };
                    self.hearing.heard = true;
                    if self.take(&tasks, batch).await.is_none() {
                        break;
                    }
                }
            }
            let now = *counts.borrow_and_update();
            heart.soon_if_news(now);
            let wanted = self.mood(mood, now);
            if wanted != mood {
                match (mood, wanted) {
                    (Mood::Consuming, _) => tasks.pause(),
                    (_, Mood::Consuming) => tasks.resume(),
                    _ => {}
                }
                mood = wanted;
                heart.at_once();
            }
            let link = link_state.borrow_and_update().clone();
            self.shows.send_replace(IntakeStatus { mood, link });
        }
        let link = link_state.borrow().clone();
        self.shows.send_replace(IntakeStatus {
            mood: Mood::Draining,
            link,
        });
        let counts = *counts.borrow();
        heart.beat(&mut self, Mood::Draining, counts).await;
    }

    /// What it should do now. Once full it takes more only when half of the backlog is gone, so that it does
    /// not start and stop for every single task.
    fn mood(&mut self, now: Mood, counts: Counts) -> Mood {
        let backlog = *self.backlog.borrow_and_update();
        if *self.paused.borrow_and_update() {
            Mood::Paused
        } else if counts.waiting >= backlog || now == Mood::Full && counts.waiting > backlog / 2 {
            Mood::Full
        } else {
            Mood::Consuming
        }
    }

    /// Makes a batch durable, acks it, hands it on. `None` when the worker stops meanwhile.
    async fn take(&mut self, consumer: &Consumer, batch: Vec<Delivery>) -> Option<()> {
        fault::point("delivered");
        let mut tags = Vec::with_capacity(batch.len());
        let mut dead = Vec::new();
        let mut arrivals = Vec::new();
        let mut runnable = Vec::new();
        for delivery in batch {
            tags.push(delivery.tag);
            for judged in judge_all(&self.server, &delivery.body) {
                match judged {
                    Judged::Task { message, verdict } => {
                        let (params, refusal) = match verdict {
                            Ok(params) => (Some(params), None),
                            Err(reason) => (None, Some(reason)),
                        };
                        let result = params.as_ref().and_then(tasks::instant);
                        // What needs nothing more than to be accepted is not handed on.
                        runnable.push(match (params, &result) {
                            (Some(params), None) => Some((TaskMessage::clone(&message), params)),
                            _ => None,
                        });
                        arrivals.push(Arrival {
                            incoming: Incoming {
                                message: *message,
                                refusal,
                            },
                            result: result.map(|output| output.to_payload()),
                        });
                    }
                    Judged::Dead(reason) => dead.push(self.dead(&delivery, &reason)),
                }
            }
        }
        if !dead.is_empty() {
            self.put_aside(dead).await?;
        }
        let taken = self.accept(arrivals).await?;
        fault::point("accepted");
        consumer.ack(tags);
        fault::point("acked");
        let accepted: Vec<Accepted> = taken
            .into_iter()
            .zip(runnable)
            .filter(|(taken, _)| *taken == Taken::Accepted)
            .filter_map(|(_, runnable)| runnable)
            .map(|(message, params)| Accepted { message, params })
            .collect();
        if !accepted.is_empty() {
            self.runner.accepted(accepted);
        }
        Some(())
    }

    /// Where a person can look at it. Waits a moment only: what nobody can read must not hold up what somebody
    /// can. `None` when the worker stops meanwhile; then the broker has it again.
    async fn put_aside(&self, dead: Vec<Outgoing>) -> Option<()> {
        let lost = tokio::select! {
            outcomes = self.publisher.publish(dead) => {
                outcomes.into_iter().find_map(Result::err).map(|error| error.to_string())
            }
            () = tokio::time::sleep(PUT_ASIDE) => Some("the broker does not take it".to_owned()),
            () = self.stop.cancelled() => return None,
        };
        if let Some(reason) = lost {
            tracing::warn!(%reason, "an unreadable message could not be put aside and is dropped");
        }
        Some(())
    }

    /// As often as it takes: while the journal cannot be written nothing is acked and no heartbeat leaves.
    async fn accept(&self, arrivals: Vec<Arrival>) -> Option<Vec<Taken>> {
        if arrivals.is_empty() {
            return Some(Vec::new());
        }
        fault::point("accept");
        let arrivals = Arc::new(arrivals);
        loop {
            // It is not deaf, but has nowhere to write: a restart would help nobody.
            self.pulse.beat();
            match self.journal.take(Arc::clone(&arrivals)).await {
                Ok(taken) => return Some(taken),
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "no task can be accepted"
                    );
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
    }

    /// Where an unreadable message goes, as JSON that a person can read.
    fn dead(&self, delivery: &Delivery, reason: &str) -> Outgoing {
        const KEPT: usize = 16 * 1024;
        let id = delivery.message_id.as_deref().unwrap_or("without id");
        tracing::warn!(message = id, reason, "unreadable message put aside");
        let kept = &delivery.body[..delivery.body.len().min(KEPT)];
        let letter = serde_json::json!({
            "server": self.server.as_str(),
            "reason": reason,
            "message_id": delivery.message_id,
            "sender": delivery.user_id,
            "bytes": delivery.body.len(),
            "first_bytes_hex": kept.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        });
        Outgoing {
            to: Address::Exchange {
                name: DEAD.to_owned(),
                key: String::new(),
            },
            message_id: Uuid::now_v7().to_string(),
            kind: "dead",
            body: letter.to_string().into_bytes(),
            persistent: true,
        }
    }

    /// Sees to what the hub tells; what can be acked.
    async fn control(&mut self, batch: Vec<Delivery>) -> Vec<kolga_protocol::link::Tag> {
        let mut tags = Vec::with_capacity(batch.len());
        for delivery in batch {
            match envelope::open::<Control>(&delivery.body) {
                Ok(Control::Cancel { run, requested_by }) => self.cancel(run, requested_by).await,
                Ok(Control::Query { runs }) => self.answer(runs).await,
                Err(error) => {
                    tracing::warn!(%error, "a word of the hub cannot be read and is dropped");
                }
            }
            tags.push(delivery.tag);
        }
        tags
    }

    async fn cancel(&self, run: Run, by: String) {
        if self.runner.cancel(run, by).await == CancelOutcome::Unknown
            && let Err(error) = self.journal.cancel_unseen(run).await
        {
            tracing::error!(%run, error = &error as &dyn std::error::Error, "a cancel could not be noted");
        }
    }

    async fn answer(&mut self, asked: Vec<Asked>) {
        let runs: Vec<Run> = asked.iter().map(|asked| asked.run).collect();
        self.journal.tell_again(runs.clone());
        let unknown: Vec<Asked> = match self.reader.unknown(runs).await {
            Ok(unknown) => {
                let unknown: HashSet<Run> = unknown.into_iter().collect();
                let asked = asked.into_iter();
                asked.filter(|asked| unknown.contains(&asked.run)).collect()
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a question of the hub stays unanswered"
                );
                return;
            }
        };
        // The hub has sent what never came, and asks a second time: nothing will come on this connection.
        let lost = |unknown: &[Asked]| unknown.iter().any(|asked| asked.state == State::Sent);
        self.hearing.deaf = lost(&unknown) && !std::mem::take(&mut self.hearing.heard);
        let answer = Answer {
            server: self.server.clone(),
            journal: self.journal.id,
            unknown,
        };
        let message = Outgoing {
            to: Address::Exchange {
                name: REPORTS_EXCHANGE.to_owned(),
                key: self.server.to_string(),
            },
            message_id: Uuid::now_v7().to_string(),
            kind: Answer::KIND,
            body: envelope::seal(&answer),
            persistent: false,
        };
        // Not waited for: this loop must not stand still for as long as the broker does. An answer that is
        // lost is asked for again.
        let publisher = self.publisher.clone();
        tokio::spawn(async move { drop(publisher.publish(vec![message]).await) });
    }
}
