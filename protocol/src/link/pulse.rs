//! The pulse: whether the broker still answers, asked when it has been quiet.
//!
//! The client library's heartbeats miss a connection on which bytes still trickle in: any byte counts as a
//! sign of life there, however old what it says. And a queue that is deleted and declared again at once may
//! leave its consumer deaf on a connection that is well. A question about the work on the channel that does
//! it shows both. Felt by the supervisors of [`super::consumer`] and [`super::publisher`].

use std::time::Duration;

use lapin::Channel;
use lapin::options::{BasicQosOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use tokio::time::{Instant, timeout};

use crate::rhythm;

/// Quiet for so long is worth a question; asked earlier, together with what else the process asks at that moment.
const QUIET: Duration = Duration::from_secs(25);
/// The same where what comes with the rhythm stands for the question, and where nobody waits: of a publisher, which has those
/// waiting to whom it owes a confirm, and of a queue aside.
const QUIET_UNHURRIED: Duration = Duration::from_secs(45);
/// How long the broker may take for anything that costs it nothing.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

/// When the broker was heard last.
pub(super) struct Pulse {
    heard: Instant,
    quiet: Duration,
}

impl Pulse {
    /// Of a connection that has just been made.
    pub(super) fn new() -> Self {
        Self {
            heard: Instant::now(),
            quiet: QUIET,
        }
    }

    /// Of a publisher, or of a queue aside.
    pub(super) fn unhurried() -> Self {
        Self {
            quiet: QUIET_UNHURRIED,
            ..Self::new()
        }
    }

    /// Something came that proves the whole way there and back, or the way back at least.
    pub(super) fn heard(&mut self) {
        self.heard = Instant::now();
    }

    /// Ends when it is time to ask.
    pub(super) async fn due(&self) {
        tokio::time::sleep_until(rhythm::moment(self.heard, self.heard + self.quiet)).await;
    }

    /// Asks on a channel that publishes: sets a limit of deliveries, of which there are none.
    ///
    /// # Errors
    /// Why the connection is worth nothing any more.
    pub(super) async fn ask_publishing(&mut self, channel: &Channel) -> Result<(), String> {
        answered(channel.basic_qos(0, BasicQosOptions::default())).await?;
        self.heard();
        Ok(())
    }

    /// Asks on a channel that consumes whether the queue is there and, if we consume, knows of a consumer.
    ///
    /// # Errors
    /// Why the connection is worth nothing any more.
    pub(super) async fn ask_consuming(
        &mut self,
        channel: &Channel,
        queue: &str,
        consuming: bool,
    ) -> Result<(), String> {
        let passive = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::durable()
        };
        let asked = channel.queue_declare(queue.into(), passive, FieldTable::default());
        let found = answered(asked).await?;
        if consuming && found.consumer_count() == 0 {
            return Err(format!("queue {queue} knows of no consumer"));
        }
        self.heard();
        Ok(())
    }
}

/// Waits for an answer of the broker, but not for long.
///
/// # Errors
/// What the broker says, or that it says nothing.
pub(super) async fn answered<T>(
    asked: impl Future<Output = Result<T, lapin::Error>>,
) -> Result<T, String> {
    match timeout(ANSWER, asked).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!(
            "the broker does not answer within {} seconds",
            ANSWER.as_secs()
        )),
    }
}
