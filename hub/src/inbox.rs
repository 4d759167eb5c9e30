//! Inbox: broker → store. Consumes what workers report, checks who sent it, hands it to the store in
//! batches, and acks after the commit. Bytes that nobody can read are noted in the audit and acked: they
//! never stop what comes after them.

use std::sync::Arc;
use std::time::Duration;

use kolga_protocol::envelope::{self, EnvelopeError, Message};
use kolga_protocol::fault;
use kolga_protocol::link::{self, Aside, Consumer, Delivery, LinkConfig, LinkState};
use kolga_protocol::message::{Answer, Reports};
use kolga_protocol::names::ServerName;
use kolga_protocol::topology::{REPORTS_QUEUE, spoke_user, tasks_queue};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::store::doubt::Unknown;
use crate::store::reports::TakeReports;
use crate::store::{Store, StoreError};
use crate::topology::Topology;

/// Messages in one transaction at most, each of up to about 256 KiB.
const BATCH: usize = 256;
/// Messages that are held unacked, at most.
const PREFETCH: u16 = 256;
/// The pause before a batch that the store did not take is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a message that the store does not take alone is tried before it is given up.
const TRIES: u32 = 10;

/// The inbox.
pub struct Inbox {
    /// The database.
    pub store: Store,
    /// Where the broker is.
    pub link: LinkConfig,
    /// Declares the queues again when one is gone.
    pub topology: Arc<Topology>,
    /// Shows whether there is a connection.
    pub shows: watch::Sender<LinkState>,
}

impl Inbox {
    /// Takes reports, from when their queue is declared, until `stop` fires; and over the same connection
    /// heartbeats, which go to [`crate::heartbeats`].
    pub async fn run(self, heartbeats: Aside, stop: CancellationToken) {
        let mut ready = self.topology.ready();
        tokio::select! {
            () = stop.cancelled() => return,
            ready = ready.wait_for(|ready| *ready) => if ready.is_err() { return },
        }
        let link = self.link.purpose("inbox");
        let queue = REPORTS_QUEUE.to_owned();
        let mut consumer = Consumer::start_with(link, queue, PREFETCH, heartbeats, stop);
        let mut state = consumer.state();
        loop {
            self.shows.send_replace(state.borrow_and_update().clone());
            tokio::select! {
                deliveries = consumer.next_batch(BATCH) => {
                    let Some(deliveries) = deliveries else { return };
                    if !self.take(&consumer, &deliveries).await {
                        return;
                    }
                }
                changed = state.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    if !state.borrow().is_up() {
                        self.topology.want_hub();
                    }
                }
            }
        }
    }

    /// Whether to go on.
    async fn take(&self, consumer: &Consumer, deliveries: &[Delivery]) -> bool {
        fault::point("inbox:delivered");
        let tags = deliveries.iter().map(|delivery| delivery.tag).collect();
        let messages = deliveries
            .iter()
            .map(|delivery| (delivery.user_id.as_deref(), delivery.body.as_slice()));
        let (take, answers) = sort(messages);
        if !deliver(&self.store, take).await {
            return false;
        }
        fault::point("inbox:taken");
        consumer.ack(tags);
        fault::point("inbox:acked");
        for answer in answers {
            // Asks the broker something, so it does not hold up what comes next. One that is lost is
            // asked for again.
            let (store, link) = (self.store.clone(), self.link.purpose("questions"));
            tokio::spawn(async move { forgotten(&store, &link, answer).await });
        }
        true
    }
}

/// Opens what came, each with the user for whom the broker vouches: what the store takes, and the answers
/// to questions.
pub fn sort<'a>(
    messages: impl Iterator<Item = (Option<&'a str>, &'a [u8])>,
) -> (TakeReports, Vec<Answer>) {
    let mut take = TakeReports {
        batches: Vec::new(),
        refused: Vec::new(),
    };
    let mut answers = Vec::new();
    for (user, body) in messages {
        match open(user, body) {
            Ok(Opened::Reports(reports)) => take.batches.push(reports),
            Ok(Opened::Answer(answer)) => answers.push(answer),
            Err(reason) => {
                let sender = user.unwrap_or("nobody").to_owned();
                tracing::warn!(%sender, %reason, "a message was refused");
                take.refused.push((sender, reason));
            }
        }
    }
    (take, answers)
}

enum Opened {
    Reports(Reports),
    Answer(Answer),
}

fn open(user: Option<&str>, body: &[u8]) -> Result<Opened, String> {
    let readable = |error: EnvelopeError| match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    let opened = if envelope::kind_of(body).map_err(readable)? == Answer::KIND {
        Opened::Answer(envelope::open(body).map_err(readable)?)
    } else {
        Opened::Reports(envelope::open(body).map_err(readable)?)
    };
    let server = match &opened {
        Opened::Reports(reports) => &reports.server,
        Opened::Answer(answer) => &answer.server,
    };
    vouched(user, server)?;
    Ok(opened)
}

/// The broker lets nobody claim to be another user: a message of a server comes from its user or is forged.
pub(crate) fn vouched(user: Option<&str>, server: &ServerName) -> Result<(), String> {
    let expected = spoke_user(server);
    match user {
        Some(user) if user == expected => Ok(()),
        Some(user) => Err(format!("user {user} speaks for server {server}")),
        None => Err(format!(
            "nobody vouches that this comes from server {server}"
        )),
    }
}

/// Whether it is in the store, or can be given up; not when the hub stops.
async fn deliver(store: &Store, take: TakeReports) -> bool {
    match store.write(take.clone()).await {
        Ok(()) => return true,
        Err(StoreError::Stopped) => return false,
        Err(error) => tracing::error!(%error, "reports wait: the store does not take them"),
    }
    for batch in take.batches {
        let alone = TakeReports {
            batches: vec![batch],
            refused: Vec::new(),
        };
        if !deliver_alone(store, alone).await {
            return false;
        }
    }
    let refused = TakeReports {
        batches: Vec::new(),
        refused: take.refused,
    };
    !matches!(store.write(refused).await, Err(StoreError::Stopped))
}

async fn deliver_alone(store: &Store, alone: TakeReports) -> bool {
    let mut failures = 0;
    loop {
        let error = match store.write(alone.clone()).await {
            Ok(()) => return true,
            Err(StoreError::Stopped) => return false,
            Err(error) => error,
        };
        failures += 1;
        tokio::time::sleep(PAUSE).await;
        if failures < TRIES {
            continue;
        }
        // Where the note of giving it up is taken, it is this message that is at fault and not the database.
        let sender = alone
            .batches
            .first()
            .map_or("nobody", |batch| batch.server.as_str());
        let given_up = TakeReports {
            batches: Vec::new(),
            refused: vec![(
                sender.to_owned(),
                format!("the store does not take it: {error}"),
            )],
        };
        match store.write(given_up).await {
            Ok(()) => return true,
            Err(StoreError::Stopped) => return false,
            Err(_) => {}
        }
    }
}

/// What a worker was asked about and does not know.
async fn forgotten(store: &Store, link: &LinkConfig, answer: Answer) {
    if answer.unknown.is_empty() {
        return;
    }
    let depth = link::queue_depth(link, &tasks_queue(&answer.server)).await;
    let unknown = Unknown {
        queue_is_empty: matches!(depth, Ok(Some(0))),
        server: answer.server,
        runs: answer.unknown,
    };
    if let Err(error) = store.write(unknown).await {
        tracing::warn!(%error, "what a worker does not know is asked about again");
    }
}
