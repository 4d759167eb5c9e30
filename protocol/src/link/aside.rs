//! A second queue of a consumer, over the same connection: for messages of which each is worth nothing once the next
//! one is there, such as heartbeats. They are done with when the broker sends them, and what a reader has no room for is
//! dropped, so they never hold up what comes on the consumer's own queue.
//!
//! One connection less: its questions, answers and heartbeats were a fourth of what woke an idle hub. Owned by the
//! supervisor in `consumer`, which begins again as a whole when either queue fails.

use lapin::options::BasicConsumeOptions;
use lapin::types::FieldTable;
use lapin::{Channel, message};
use tokio::sync::mpsc;

use super::connect::LinkConfig;
use super::consumer::Delivery;
use super::pulse::answered;

const CONSUMER_TAG: &str = "kolga-aside";

/// The end that a consumer takes; the other is where its messages come out.
pub struct Aside {
    queue: String,
    hand_over: mpsc::Sender<Delivery>,
    config: LinkConfig,
}

impl Aside {
    /// Of `queue`, counted under the purpose of `config`. At most `room` messages wait to be read.
    #[must_use]
    pub fn new(config: LinkConfig, queue: String, room: usize) -> (Self, mpsc::Receiver<Delivery>) {
        let (hand_over, deliveries) = mpsc::channel(room);
        let aside = Self {
            queue,
            hand_over,
            config,
        };
        (aside, deliveries)
    }

    pub(super) fn queue(&self) -> &str {
        &self.queue
    }

    pub(super) async fn consume(&self, channel: &Channel) -> Result<lapin::Consumer, String> {
        answered(channel.basic_consume(
            self.queue.as_str().into(),
            CONSUMER_TAG.into(),
            BasicConsumeOptions {
                no_ack: true,
                ..BasicConsumeOptions::default()
            },
            FieldTable::default(),
        ))
        .await
    }

    pub(super) fn pass_on(&self, connection: u64, delivery: message::Delivery) {
        self.config.meter().consumed(&delivery.data);
        // Without room there is newer news to come, without a reader nobody to tell.
        drop(self.hand_over.try_send(Delivery::of(connection, delivery)));
    }
}
