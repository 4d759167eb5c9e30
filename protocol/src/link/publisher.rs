//! Publishing: in order, confirmed, mandatory, in windows of [`WINDOW`] messages.
//!
//! One window at a time: all of it is written, then all its confirms are awaited. The library may attach
//! a `basic.return` to the wrong publish of a window when confirms coalesce, but never to one of another
//! window, so returns are matched by `message_id` within it.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation, Event, PublisherConfirm};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::LinkState;
use super::connect::{LinkConfig, LinkError, Pause, close};
use super::pulse::Pulse;
use super::socket::Connection;

/// Messages that are on their way at once.
pub const WINDOW: usize = 256;
/// How long the broker may take to confirm a window. One that is short of memory takes for ever.
const CONFIRM: Duration = Duration::from_secs(20);

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Straight into a queue.
    Queue(String),
    /// Into an exchange, with a routing key.
    Exchange {
        /// Its name.
        name: String,
        /// The key.
        key: String,
    },
}

/// A message to be published.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Where it goes.
    pub to: Address,
    /// Its identity, the same however often it is sent; must differ from the others of its batch.
    pub message_id: String,
    /// [`crate::envelope::Message::KIND`], for people who look into a queue.
    pub kind: &'static str,
    /// The bytes.
    pub body: Vec<u8>,
    /// Whether it must survive a restart of the broker.
    pub persistent: bool,
}

/// Why a message is not known to have arrived. Unless it is [`PublishError::Unroutable`] or
/// [`PublishError::Refused`] it may have arrived all the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// There is no queue for it.
    #[error("no queue takes it")]
    Unroutable,
    /// The broker will not keep it.
    #[error("the broker refused to keep it")]
    Refused,
    /// The connection was lost before the broker confirmed it.
    #[error("the connection to the broker was lost: {0}")]
    Lost(String),
    /// The broker did not confirm it in time.
    #[error("the broker did not confirm it within {n} seconds", n = CONFIRM.as_secs())]
    TimedOut,
    /// The link has been stopped.
    #[error("the link to the broker has been stopped")]
    Stopped,
}

type Outcome = Result<(), PublishError>;

struct Request {
    batch: Vec<Outgoing>,
    reply: oneshot::Sender<Vec<Outcome>>,
}

/// The way to publish. Cheap to clone; what one caller hands over stays in order.
#[derive(Clone)]
pub struct Publisher {
    requests: mpsc::UnboundedSender<Request>,
    state: watch::Receiver<LinkState>,
}

impl Publisher {
    /// Starts the task that owns the connection. It ends when `stop` fires.
    #[must_use]
    pub fn start(config: LinkConfig, stop: CancellationToken) -> Self {
        let (requests, queue) = mpsc::unbounded_channel();
        let (says, state) = watch::channel(LinkState::down("not connected yet"));
        tokio::spawn(
            Supervisor {
                config,
                queue,
                says,
                stop,
            }
            .run(),
        );
        Self { requests, state }
    }

    /// Publishes in order and waits for every confirm; what became of each, in the same order. While there
    /// is no connection this waits for one. When one message fails by the loss of the connection, so do
    /// all after it: the order holds also for whoever tries again.
    pub async fn publish(&self, batch: Vec<Outgoing>) -> Vec<Outcome> {
        let count = batch.len();
        let (reply, answer) = oneshot::channel();
        if self.requests.send(Request { batch, reply }).is_err() {
            return vec![Err(PublishError::Stopped); count];
        }
        answer
            .await
            .unwrap_or_else(|_| vec![Err(PublishError::Stopped); count])
    }

    /// Whether there is a connection.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.state.clone()
    }
}

struct Supervisor {
    config: LinkConfig,
    queue: mpsc::UnboundedReceiver<Request>,
    says: watch::Sender<LinkState>,
    stop: CancellationToken,
}

/// Why a connection is given up.
enum End {
    Stopped,
    Lost(String),
}

impl Supervisor {
    async fn run(mut self) {
        let mut pause = Pause::new();
        loop {
            let connected = tokio::select! {
                () = self.stop.cancelled() => return,
                connected = self.open() => connected,
            };
            let reason = match connected {
                Err(error) => error.to_string(),
                Ok((connection, channel)) => {
                    self.says.send_replace(LinkState::Up);
                    let end = self.serve(&connection, &channel, &mut pause).await;
                    close(&connection).await;
                    match end {
                        End::Stopped => return,
                        End::Lost(reason) => reason,
                    }
                }
            };
            let wait = pause.next();
            tracing::warn!(%reason, ?wait, "no connection to publish");
            self.says.send_replace(LinkState::down(reason));
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn open(&self) -> Result<(Connection, Channel), LinkError> {
        let connection = self.config.connect().await?;
        let channel = async {
            let channel = connection.create_channel().await?;
            channel
                .confirm_select(ConfirmSelectOptions::default())
                .await?;
            Ok(channel)
        };
        let channel = self.config.in_time(channel, "opens no channel").await?;
        Ok((connection, channel))
    }

    async fn serve(
        &mut self,
        connection: &Connection,
        channel: &Channel,
        pause: &mut Pause,
    ) -> End {
        let mut events = std::pin::pin!(connection.events_listener());
        let mut requests = Vec::new();
        let mut pulse = Pulse::unhurried();
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return End::Stopped,
                event = events.next() => match event {
                    Some(Event::Error(error)) => return End::Lost(error.to_string()),
                    Some(Event::ConnectionBlocked(reason)) => {
                        self.says.send_replace(LinkState::Blocked { reason });
                    }
                    Some(Event::ConnectionUnblocked) => {
                        self.says.send_replace(LinkState::Up);
                    }
                    Some(_) => {}
                    None => return End::Lost("the connection ended".to_owned()),
                },
                count = self.queue.recv_many(&mut requests, WINDOW) => {
                    if count == 0 {
                        // Every publisher is gone.
                        return End::Stopped;
                    }
                    if let Some(lost) = self.windows(channel, requests.drain(..)).await {
                        return End::Lost(lost);
                    }
                    // Only now: a connection that is let in and then thrown out again is no success.
                    pause.reset();
                    pulse.heard();
                }
                // One that is blocked answers nothing, and is not dead.
                () = pulse.due(), if self.says.borrow().is_up() => {
                    if let Err(reason) = pulse.ask_publishing(channel).await {
                        return End::Lost(reason);
                    }
                }
            }
        }
    }

    /// Publishes what several callers want, as many of them in one window as fit; the reason, when the
    /// connection is not worth keeping after that.
    async fn windows(
        &self,
        channel: &Channel,
        requests: impl Iterator<Item = Request>,
    ) -> Option<String> {
        let mut all = Vec::new();
        let mut owed = Vec::new();
        for request in requests {
            owed.push((request.reply, request.batch.len()));
            all.extend(request.batch);
        }
        let mut outcomes = Vec::with_capacity(all.len());
        let mut lost = None;
        for window in all.chunks(WINDOW) {
            match &lost {
                None => lost = self.window(channel, window, &mut outcomes).await,
                Some(reason) => outcomes.extend(
                    window
                        .iter()
                        .map(|_| Err(PublishError::Lost(String::clone(reason)))),
                ),
            }
        }
        let mut outcomes = outcomes.into_iter();
        for (reply, count) in owed {
            // Whoever does not wait any more has no use for it.
            drop(reply.send(outcomes.by_ref().take(count).collect()));
        }
        lost
    }

    async fn window(
        &self,
        channel: &Channel,
        window: &[Outgoing],
        outcomes: &mut Vec<Outcome>,
    ) -> Option<String> {
        let confirmed = timeout(CONFIRM, async {
            let mut confirms = Vec::with_capacity(window.len());
            let mut failed = None;
            for message in window {
                match self.send(channel, message).await {
                    Ok(confirm) => confirms.push(confirm),
                    Err(error) => {
                        failed = Some(error.to_string());
                        break;
                    }
                }
            }
            (join_all(confirms).await, failed)
        })
        .await;
        let Ok((confirms, mut lost)) = confirmed else {
            outcomes.extend(window.iter().map(|_| Err(PublishError::TimedOut)));
            return Some("the broker does not confirm".to_owned());
        };
        let mut returned = HashSet::new();
        let mut acked = Vec::with_capacity(window.len());
        for confirm in confirms {
            acked.push(match confirm {
                Ok(Confirmation::Ack(message)) => {
                    returned.extend(message.and_then(|m| m.properties.message_id().clone()));
                    Ok(())
                }
                Ok(Confirmation::Nack(message)) => {
                    returned.extend(message.and_then(|m| m.properties.message_id().clone()));
                    Err(PublishError::Refused)
                }
                Ok(Confirmation::NotRequested) => Ok(()),
                Err(error) => {
                    let reason = error.to_string();
                    lost.get_or_insert_with(|| reason.clone());
                    Err(PublishError::Lost(reason))
                }
            });
        }
        for (position, message) in window.iter().enumerate() {
            let unroutable = returned.iter().any(|id| id.as_str() == message.message_id);
            outcomes.push(match acked.get(position) {
                Some(_) if unroutable => Err(PublishError::Unroutable),
                Some(outcome) => outcome.clone(),
                None => Err(PublishError::Lost(lost.clone().unwrap_or_default())),
            });
        }
        lost
    }

    async fn send(
        &self,
        channel: &Channel,
        message: &Outgoing,
    ) -> Result<PublisherConfirm, lapin::Error> {
        const PERSISTENT: u8 = 2;
        const TRANSIENT: u8 = 1;
        let (exchange, key) = match &message.to {
            Address::Queue(name) => ("", name.as_str()),
            Address::Exchange { name, key } => (name.as_str(), key.as_str()),
        };
        let properties = BasicProperties::default()
            .with_message_id(message.message_id.as_str().into())
            .with_type(message.kind.into())
            .with_user_id(self.config.user().into())
            .with_delivery_mode(if message.persistent {
                PERSISTENT
            } else {
                TRANSIENT
            });
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        self.config.meter().published(&message.body);
        channel
            .basic_publish(
                exchange.into(),
                key.into(),
                options,
                &message.body,
                properties,
            )
            .await
    }
}
