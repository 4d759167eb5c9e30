//! One simulated spoke: connections, queues, consumers and messages as a worker's, over the real link. What
//! it has instead of a worker is a journal in memory and nothing to run: a ping is answered at once, and
//! everything else is rejected.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kolga_protocol::envelope::{self, Message};
use kolga_protocol::id::{Run, UnixMillis};
use kolga_protocol::link::{
    Address, Consumer, Delivery, LinkConfig, LinkState, Outgoing, Publisher,
};
use kolga_protocol::message::{
    Answer, Asked, Control, Failure, Heartbeat, Mood, Report, ReportBody, Reports, StateReport,
};
use kolga_protocol::names::ServerName;
use kolga_protocol::state::Event;
use kolga_protocol::task::{Kind, Output, ping};
use kolga_protocol::topology::{
    HEARTBEATS_EXCHANGE, REPORTS_EXCHANGE, control_queue, spoke_user, tasks_queue,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// As a worker has them: messages held unacked, and time between heartbeats.
const PREFETCH: u16 = 16;
const HEARTBEAT: Duration = Duration::from_secs(20);
/// Attempts told of in one message at most.
const TOGETHER: usize = 256;
/// The pause after a publish that failed.
const PAUSE: Duration = Duration::from_secs(1);
/// What its heartbeats say, by which nobody takes it for a real worker.
pub(super) const VERSION: &str = concat!("simulated ", env!("CARGO_PKG_VERSION"));

/// A spoke that runs.
pub(super) struct Spoke {
    pub(super) server: ServerName,
    links: [watch::Receiver<LinkState>; 3],
    stop: CancellationToken,
    tasks: [JoinHandle<()>; 2],
}

impl Spoke {
    /// Starts on this runtime. `link` is to the broker, as whomever: the spoke goes there as its own user.
    pub(super) fn start(server: ServerName, link: &LinkConfig) -> Self {
        let link = link.as_user(&spoke_user(&server));
        let stop = CancellationToken::new();
        let consumer = |purpose: &str, queue: String| {
            Consumer::start(link.purpose(purpose), queue, PREFETCH, stop.clone())
        };
        let (tasks, control) = (
            consumer("tasks", tasks_queue(&server)),
            consumer("control", control_queue(&server)),
        );
        let publisher = Publisher::start(link.purpose("reports"), stop.clone());
        let links = [tasks.state(), control.state(), publisher.state()];
        let (spool, outgoing) = mpsc::unbounded_channel();
        let sender = Sender {
            server: server.clone(),
            journal: Uuid::now_v7(),
            publisher,
        };
        let intake = Intake {
            tasks,
            control,
            spool,
            sender: sender.clone(),
            known: HashMap::new(),
        };
        Self {
            server,
            links,
            tasks: [
                tokio::spawn(intake.run(stop.clone())),
                tokio::spawn(sender.send(outgoing, stop.clone())),
            ],
            stop,
        }
    }

    /// Waits until all its connections are there; else why one is not.
    pub(super) async fn connected(&mut self, patience: Duration) -> Result<(), String> {
        for link in &mut self.links {
            let up = link.wait_for(LinkState::is_up);
            if !matches!(tokio::time::timeout(patience, up).await, Ok(Ok(_))) {
                return Err(link.borrow().to_string());
            }
        }
        Ok(())
    }

    /// Ends it; what it has not answered goes back to its queue.
    pub(super) async fn end(self) {
        self.stop.cancel();
        for task in self.tasks {
            // It has nothing to tell: whether all was answered is seen at the hub.
            drop(task.await);
        }
    }
}

/// An attempt as the journal has it.
#[derive(Clone, Copy)]
struct Taken {
    run: Run,
    is_ping: bool,
    at_micros: u64,
}

struct Intake {
    tasks: Consumer,
    control: Consumer,
    spool: mpsc::UnboundedSender<Taken>,
    sender: Sender,
    /// The journal: what has been accepted, all of which has ended.
    known: HashMap<Run, Taken>,
}

impl Intake {
    async fn run(mut self, stop: CancellationToken) {
        let mut publishing = self.sender.publisher.state();
        let mut tick = tokio::time::interval(HEARTBEAT);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                batch = self.control.next_batch(64) => {
                    let Some(batch) = batch else { return };
                    self.control(batch).await;
                }
                _ = tick.tick() => if publishing.borrow().is_up() { self.sender.beat() },
                Ok(()) = publishing.changed() => tick.reset_immediately(),
                batch = self.tasks.next_batch(usize::from(PREFETCH)) => {
                    let Some(batch) = batch else { return };
                    self.take(batch);
                }
            }
        }
    }

    fn take(&mut self, batch: Vec<Delivery>) {
        let mut tags = Vec::with_capacity(batch.len());
        for delivery in batch {
            tags.push(delivery.tag);
            for message in envelope::open_tasks(&delivery.body).unwrap_or_default() {
                let since = SystemTime::now().duration_since(UNIX_EPOCH);
                let since = since.unwrap_or_default().as_micros();
                let taken = Taken {
                    run: message.run,
                    is_ping: message.payload.kind == Kind::Ping.as_str(),
                    at_micros: u64::try_from(since).unwrap_or(u64::MAX),
                };
                // One that comes again is answered again, with the same words.
                let taken = *self.known.entry(taken.run).or_insert(taken);
                if self.spool.send(taken).is_err() {
                    // Whoever sends has ended: so does the spoke.
                    return;
                }
            }
        }
        self.tasks.ack(tags);
    }

    async fn control(&mut self, batch: Vec<Delivery>) {
        let mut tags = Vec::with_capacity(batch.len());
        for delivery in batch {
            tags.push(delivery.tag);
            // A cancel comes too late for what ends as soon as it begins.
            if let Ok(Control::Query { runs }) = envelope::open(&delivery.body) {
                let unknown = runs.into_iter();
                let unknown = unknown
                    .filter(|asked| !self.known.contains_key(&asked.run))
                    .collect();
                self.sender.answer(unknown).await;
            }
        }
        self.control.ack(tags);
    }
}

#[derive(Clone)]
struct Sender {
    server: ServerName,
    journal: Uuid,
    publisher: Publisher,
}

impl Sender {
    /// Tells of what was taken; what gathers meanwhile goes together.
    async fn send(self, mut spool: mpsc::UnboundedReceiver<Taken>, stop: CancellationToken) {
        let mut taken = Vec::new();
        while spool.recv_many(&mut taken, TOGETHER).await > 0 {
            let reports = Reports {
                server: self.server.clone(),
                journal: self.journal,
                items: taken.drain(..).flat_map(reports).collect(),
            };
            let message = self.message(REPORTS_EXCHANGE, &reports, true);
            // Again until the broker has it, as a spool does.
            while !all_well(self.publisher.publish(vec![message.clone()]).await) {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        }
    }

    async fn answer(&self, unknown: Vec<Asked>) {
        let answer = Answer {
            server: self.server.clone(),
            journal: self.journal,
            unknown,
        };
        let message = self.message(REPORTS_EXCHANGE, &answer, false);
        // One that is lost is asked for again.
        drop(self.publisher.publish(vec![message]).await);
    }

    fn beat(&self) {
        let heartbeat = Heartbeat {
            server: self.server.clone(),
            journal: self.journal,
            at: UnixMillis::now(),
            version: VERSION.to_owned(),
            mood: Mood::Consuming,
            running: 0,
            waiting: 0,
            stuck: 0,
            spooled: 0,
            load_milli: 0,
            disk_free: 0,
            deferring: None,
        };
        let message = self.message(HEARTBEATS_EXCHANGE, &heartbeat, false);
        let publisher = self.publisher.clone();
        tokio::spawn(async move { drop(publisher.publish(vec![message]).await) });
    }

    fn message<M: Message>(&self, exchange: &str, message: &M, persistent: bool) -> Outgoing {
        Outgoing {
            to: Address::Exchange {
                name: exchange.to_owned(),
                key: self.server.to_string(),
            },
            message_id: Uuid::now_v7().to_string(),
            kind: M::KIND,
            body: envelope::seal(message),
            persistent,
        }
    }
}

fn all_well<T, E>(outcomes: Vec<Result<T, E>>) -> bool {
    outcomes.iter().all(Result::is_ok)
}

/// All that a worker says of a task that it does at once.
fn reports(taken: Taken) -> Vec<Report> {
    let at = UnixMillis(i64::try_from(taken.at_micros / 1000).unwrap_or(i64::MAX));
    let states = if taken.is_ping {
        let output = Output::Ping(ping::Output {
            worker_version: VERSION.to_owned(),
            at_micros: taken.at_micros,
        });
        vec![
            StateReport::bare(Event::Accepted),
            StateReport::bare(Event::Started),
            StateReport {
                output: Some(output.to_payload()),
                ..StateReport::bare(Event::Succeeded)
            },
        ]
    } else {
        let why = Failure::plain("a simulated server answers pings only");
        vec![StateReport::because(Event::Rejected, why)]
    };
    let numbered = (1..).zip(states);
    numbered
        .map(|(seq, state)| Report {
            run: taken.run,
            seq,
            at,
            body: ReportBody::State(state),
        })
        .collect()
}
