//! Consuming: deliveries in batches, acks that know which connection they belong to.
//!
//! An ack for a delivery of a connection that is gone is dropped: the broker has the message again and
//! will deliver it anew, which every reader of a queue must bear anyway.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Event};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::LinkState;
use super::aside::Aside;
use super::connect::{LinkConfig, LinkError, Pause, close};
use super::pulse::{Pulse, answered};
use super::socket::Connection;

const CONSUMER_TAG: &str = "kolga";

/// Names one delivery of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tag {
    connection: u64,
    delivery: u64,
}

/// A message as it came.
#[derive(Debug)]
pub struct Delivery {
    /// What to ack.
    pub tag: Tag,
    /// The bytes; whose they are is not known yet.
    pub body: Vec<u8>,
    /// What the sender called it.
    pub message_id: Option<String>,
    /// The user that sent it, for whom the broker vouches.
    pub user_id: Option<String>,
    /// Whether it was delivered before.
    pub redelivered: bool,
}

impl Delivery {
    pub(super) fn of(connection: u64, delivery: lapin::message::Delivery) -> Self {
        let properties = &delivery.properties;
        Self {
            tag: Tag {
                connection,
                delivery: delivery.delivery_tag,
            },
            message_id: properties.message_id().as_ref().map(ToString::to_string),
            user_id: properties.user_id().as_ref().map(ToString::to_string),
            redelivered: delivery.redelivered,
            body: delivery.data,
        }
    }
}

enum Order {
    Ack(Vec<Tag>),
    Pause,
    Resume,
    Renew,
}

/// The way to consume one queue.
pub struct Consumer {
    deliveries: mpsc::Receiver<Delivery>,
    orders: mpsc::UnboundedSender<Order>,
    state: watch::Receiver<LinkState>,
}

impl Consumer {
    /// Starts the task that owns the connection. It ends when `stop` fires; then unacked messages go back
    /// to the queue. At most `prefetch` messages are held unacked.
    #[must_use]
    pub fn start(
        config: LinkConfig,
        queue: String,
        prefetch: u16,
        stop: CancellationToken,
    ) -> Self {
        Self::begin(config, queue, prefetch, None, stop)
    }

    /// The same with a second queue beside it, whose messages come out of the other end of `aside`.
    #[must_use]
    pub fn start_with(
        config: LinkConfig,
        queue: String,
        prefetch: u16,
        aside: Aside,
        stop: CancellationToken,
    ) -> Self {
        Self::begin(config, queue, prefetch, Some(aside), stop)
    }

    fn begin(
        config: LinkConfig,
        queue: String,
        prefetch: u16,
        aside: Option<Aside>,
        stop: CancellationToken,
    ) -> Self {
        let (hand_over, deliveries) = mpsc::channel(usize::from(prefetch).max(1));
        let (orders, wanted) = mpsc::unbounded_channel();
        let (says, state) = watch::channel(LinkState::down("not connected yet"));
        tokio::spawn(
            Supervisor {
                config,
                queue,
                prefetch,
                aside,
                hand_over,
                orders: wanted,
                says,
                stop,
                connection: 0,
                paused: false,
            }
            .run(),
        );
        Self {
            deliveries,
            orders,
            state,
        }
    }

    /// The next messages, at least one and at most `max`; `None` once it has been stopped.
    ///
    /// # Cancel safety
    /// Safe: no message is lost when this is dropped.
    pub async fn next_batch(&mut self, max: usize) -> Option<Vec<Delivery>> {
        let mut batch = Vec::new();
        match self.deliveries.recv_many(&mut batch, max).await {
            0 => None,
            _ => Some(batch),
        }
    }

    /// Tells the broker that these are done with. Returns at once.
    pub fn ack(&self, tags: Vec<Tag>) {
        self.order(Order::Ack(tags));
    }

    /// Asks for no more. What has been delivered already still comes, at most `prefetch` messages.
    pub fn pause(&self) {
        self.order(Order::Pause);
    }

    /// Asks for more again.
    pub fn resume(&self) {
        self.order(Order::Resume);
    }

    /// Begins anew on a new connection; what is not acked comes again. For whoever knows better than the
    /// broker that nothing comes: a quorum queue that is deleted and declared again within milliseconds may keep
    /// its consumer, deliver, and not be heard.
    pub fn renew(&self) {
        self.order(Order::Renew);
    }

    /// Whether there is a connection.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.state.clone()
    }

    fn order(&self, order: Order) {
        // Without a supervisor there is no connection that it could be about.
        drop(self.orders.send(order));
    }
}

struct Supervisor {
    config: LinkConfig,
    queue: String,
    prefetch: u16,
    aside: Option<Aside>,
    hand_over: mpsc::Sender<Delivery>,
    orders: mpsc::UnboundedReceiver<Order>,
    says: watch::Sender<LinkState>,
    stop: CancellationToken,
    /// Counts connections.
    connection: u64,
    paused: bool,
}

enum End {
    Stopped,
    Lost(String),
}

impl From<lapin::Error> for End {
    fn from(error: lapin::Error) -> Self {
        Self::Lost(error.to_string())
    }
}

impl From<String> for End {
    fn from(reason: String) -> Self {
        Self::Lost(reason)
    }
}

impl Supervisor {
    async fn run(mut self) {
        let mut pause = Pause::new();
        loop {
            self.connection += 1;
            let connected = tokio::select! {
                () = self.stop.cancelled() => return,
                connected = self.open() => connected,
            };
            let reason = match connected {
                Err(error) => error.to_string(),
                Ok((connection, channel)) => {
                    let end = match self.serve(&connection, &channel, &mut pause).await {
                        Ok(end) | Err(end) => end,
                    };
                    close(&connection).await;
                    match end {
                        End::Stopped => return,
                        End::Lost(reason) => reason,
                    }
                }
            };
            let wait = pause.next();
            tracing::warn!(queue = %self.queue, %reason, ?wait, "no connection to consume");
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
                .basic_qos(self.prefetch, BasicQosOptions { global: false })
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
    ) -> Result<End, End> {
        let mut events = std::pin::pin!(connection.events_listener());
        let mut unacked = BTreeSet::new();
        let mut pulse = Pulse::new();
        let mut pulse_aside = Pulse::unhurried();
        let mut stream_aside = match &self.aside {
            Some(aside) => Some(aside.consume(channel).await?),
            None => None,
        };
        let mut stream = match self.paused {
            true => None,
            false => Some(self.consume(channel).await?),
        };
        pause.reset();
        self.says.send_replace(LinkState::Up);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(End::Stopped),
                event = events.next() => match event {
                    Some(Event::Error(error)) => return Ok(End::Lost(error.to_string())),
                    None => return Ok(End::Lost("the connection ended".to_owned())),
                    Some(_) => {}
                },
                order = self.orders.recv() => match order {
                    None => return Ok(End::Stopped),
                    Some(Order::Ack(tags)) => self.acknowledge(channel, &mut unacked, &tags).await?,
                    Some(Order::Renew) => {
                        return Ok(End::Lost(format!("queue {} may be deaf", self.queue)));
                    }
                    Some(Order::Pause) => {
                        self.paused = true;
                        if stream.is_some() {
                            let cancel = BasicCancelOptions::default();
                            answered(channel.basic_cancel(CONSUMER_TAG.into(), cancel)).await?;
                        }
                    }
                    Some(Order::Resume) => {
                        let was_paused = std::mem::replace(&mut self.paused, false);
                        if was_paused || stream.is_none() {
                            // What the cancelled consumer still holds comes first, so nothing is lost.
                            if let Some(rest) = stream.take() {
                                self.drain(rest, &mut unacked).await?;
                            }
                            stream = Some(self.consume(channel).await?);
                        }
                    }
                },
                // First, since it is little and would starve behind a flood.
                delivery = next(&mut stream_aside) => match (delivery, &self.aside) {
                    (Some(Ok(delivery)), Some(aside)) => {
                        pulse_aside.heard();
                        aside.pass_on(self.connection, delivery);
                    }
                    (Some(Err(error)), _) => return Err(error.into()),
                    (Some(Ok(_)), None) | (None, _) => {
                        return Ok(End::Lost("the queue beside it ended".to_owned()));
                    }
                },
                delivery = next(&mut stream) => match delivery {
                    Some(Ok(delivery)) => {
                        pulse.heard();
                        self.pass_on(delivery, &mut unacked).await?;
                    }
                    Some(Err(error)) => return Err(error.into()),
                    // The end of a cancelled consumer; of any other it is a fault.
                    None if self.paused => stream = None,
                    None => return Ok(End::Lost(format!("queue {} ended", self.queue))),
                },
                () = pulse.due() => {
                    pulse.ask_consuming(channel, &self.queue, !self.paused).await?;
                }
                () = pulse_aside.due(), if self.aside.is_some() => {
                    let queue = self.aside.as_ref().map_or("", Aside::queue);
                    pulse_aside.ask_consuming(channel, queue, true).await?;
                }
            }
        }
    }

    async fn consume(&self, channel: &Channel) -> Result<lapin::Consumer, String> {
        answered(channel.basic_consume(
            self.queue.as_str().into(),
            CONSUMER_TAG.into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        ))
        .await
    }

    async fn drain(
        &self,
        mut rest: lapin::Consumer,
        unacked: &mut BTreeSet<u64>,
    ) -> Result<(), End> {
        while let Some(delivery) = rest.next().await {
            self.pass_on(delivery?, unacked).await?;
        }
        Ok(())
    }

    async fn pass_on(
        &self,
        delivery: lapin::message::Delivery,
        unacked: &mut BTreeSet<u64>,
    ) -> Result<(), End> {
        unacked.insert(delivery.delivery_tag);
        self.config.meter().consumed(&delivery.data);
        let delivery = Delivery::of(self.connection, delivery);
        // The channel holds as many as the broker may send: this waits only for a reader that has not
        // yet taken what an earlier connection brought.
        tokio::select! {
            () = self.stop.cancelled() => Err(End::Stopped),
            sent = self.hand_over.send(delivery) => sent.map_err(|_| End::Stopped),
        }
    }

    /// Acks these; with one frame when nothing older stays unacked.
    async fn acknowledge(
        &self,
        channel: &Channel,
        unacked: &mut BTreeSet<u64>,
        tags: &[Tag],
    ) -> Result<(), End> {
        let mine: Vec<u64> = tags
            .iter()
            .filter(|tag| tag.connection == self.connection)
            .map(|tag| tag.delivery)
            .filter(|delivery| unacked.remove(delivery))
            .collect();
        let Some(&newest) = mine.iter().max() else {
            return Ok(());
        };
        if unacked.first().is_none_or(|&oldest| oldest > newest) {
            answered(channel.basic_ack(newest, BasicAckOptions { multiple: true })).await?;
            return Ok(());
        }
        for delivery in mine {
            answered(channel.basic_ack(delivery, BasicAckOptions { multiple: false })).await?;
        }
        Ok(())
    }
}

async fn next(
    stream: &mut Option<lapin::Consumer>,
) -> Option<Result<lapin::message::Delivery, lapin::Error>> {
    match stream {
        Some(consumer) => consumer.next().await,
        None => std::future::pending().await,
    }
}
