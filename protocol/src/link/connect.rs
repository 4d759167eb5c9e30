//! One connection to the broker, and how long to wait before the next try.
//!
//! `backoff` is unmaintained (RUSTSEC-2025-0012), pinned, and named in this file alone.

use std::sync::Arc;
use std::time::Duration;

use backoff::backoff::Backoff as _;
use lapin::ConnectionProperties;
use lapin::uri::AMQPUri;
use tokio::time::timeout;

use super::pulse::ANSWER;
use super::socket::Connection;
use super::traffic::{Meter, Traffic};

/// Seconds of silence after which either side takes the other for dead, at least twice: the most that RabbitMQ agrees to
/// by default. Half of it is more than [`crate::rhythm::EVERY`]: then what the pulse asks and hears stands for both sides'
/// heartbeats.
const HEARTBEAT_SECONDS: u16 = 60;
/// The longest frame; longer messages go in several. lapin makes room for 32 of them each way on every
/// connection (`io_loop.rs`, `FRAMES_STORAGE`): 8 MiB with the broker's usual 128 KiB, 1 MiB with this.
const FRAME_BYTES: u32 = 16 * 1024;
/// How long the broker may take to let us in.
const CONNECT: Duration = ANSWER;
/// How long it may take to say good-bye.
const CLOSE: Duration = Duration::from_secs(2);
/// The longest wait between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Where the broker is, and as whom to go there.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    uri: AMQPUri,
    name: String,
    traffic: Traffic,
    meter: Arc<Meter>,
}

/// Why there is no connection, or an operation on one failed.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The URL cannot be read. It is not shown: it holds a password.
    #[error("the broker's URL cannot be read: write amqp://user:password@host:port/vhost ({0})")]
    Url(String),
    /// Nobody answers in time.
    #[error("the broker at {0} does not answer within {n} seconds", n = CONNECT.as_secs())]
    TimedOut(String),
    /// The broker or the network refused.
    #[error("the broker at {address} {during}: {source}")]
    Broker {
        /// Host and port.
        address: String,
        /// What was being done.
        during: &'static str,
        /// Why.
        source: lapin::Error,
    },
}

impl LinkConfig {
    /// A link to `url`, shown at the broker as `name`.
    ///
    /// # Errors
    /// [`LinkError::Url`].
    pub fn new(url: &str, name: &str) -> Result<Self, LinkError> {
        let mut uri: AMQPUri = url.parse().map_err(LinkError::Url)?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        uri.query.frame_max.get_or_insert(FRAME_BYTES);
        let traffic = Traffic::default();
        Ok(Self {
            uri,
            name: name.to_owned(),
            meter: traffic.meter(""),
            traffic,
        })
    }

    /// The user that the broker vouches for.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.uri.authority.userinfo.username
    }

    /// Host and port, without what is secret.
    #[must_use]
    pub fn address(&self) -> String {
        let authority = &self.uri.authority;
        format!("{}:{}", authority.host, authority.port)
    }

    /// The same way to the broker as another user with the same password, for whoever plays many spokes.
    #[must_use]
    pub fn as_user(&self, user: &str) -> Self {
        let mut other = self.clone();
        user.clone_into(&mut other.uri.authority.userinfo.username);
        other
    }

    /// What has gone over all links made from this one, whatever their purpose.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.traffic.clone()
    }

    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// The same link for another purpose, told apart at the broker and counted by itself.
    #[must_use]
    pub fn purpose(&self, purpose: &str) -> Self {
        Self {
            uri: self.uri.clone(),
            name: format!("{} {purpose}", self.name),
            traffic: self.traffic.clone(),
            meter: self.traffic.meter(purpose),
        }
    }

    pub(super) fn failed(&self, during: &'static str) -> impl FnOnce(lapin::Error) -> LinkError {
        let address = self.address();
        move |source| LinkError::Broker {
            address,
            during,
            source,
        }
    }

    /// Waits for what a new connection is asked first, but not for long.
    pub(super) async fn in_time<T>(
        &self,
        asked: impl Future<Output = Result<T, lapin::Error>>,
        refusal: &'static str,
    ) -> Result<T, LinkError> {
        timeout(ANSWER, asked)
            .await
            .map_err(|_| LinkError::TimedOut(self.address()))?
            .map_err(self.failed(refusal))
    }

    pub(super) async fn connect(&self) -> Result<Connection, LinkError> {
        let properties =
            ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        timeout(CONNECT, Connection::open(self.uri.clone(), properties))
            .await
            .map_err(|_| LinkError::TimedOut(self.address()))?
            .map_err(self.failed("cannot be reached"))
    }
}

/// Says good-bye, but not for long.
pub(super) async fn close(connection: &Connection) {
    // Nothing depends on it: the broker notices a closed socket by itself.
    drop(timeout(CLOSE, connection.close(200, "done".into())).await);
}

/// Waits between tries, for ever: from 0.2 s doubling, each moved by up to a half either way so that a
/// thousand spokes do not come back at once, and never more than 5 s, so that all are back soon after the
/// broker.
pub(super) struct Pause(backoff::ExponentialBackoff);

impl Pause {
    pub(super) fn new() -> Self {
        Self(
            backoff::ExponentialBackoffBuilder::new()
                .with_initial_interval(Duration::from_millis(200))
                .with_multiplier(2.0)
                .with_randomization_factor(0.5)
                .with_max_interval(LONGEST_PAUSE.mul_f64(1.0 / 1.5))
                .with_max_elapsed_time(None)
                .build(),
        )
    }

    /// How long to wait before the next try.
    pub(super) fn next(&mut self) -> Duration {
        self.0.next_backoff().unwrap_or(LONGEST_PAUSE)
    }

    /// The connection held: the next failure is a new one.
    pub(super) fn reset(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_never_exceed_the_longest() {
        let mut pause = Pause::new();
        assert!(pause.next() <= Duration::from_millis(300));
        let waits: Vec<Duration> = (0..1000).map(|_| pause.next()).collect();
        assert!(waits.iter().all(|wait| *wait <= LONGEST_PAUSE), "{waits:?}");
        assert!(
            waits[10..]
                .iter()
                .all(|wait| *wait >= Duration::from_secs(1))
        );
        pause.reset();
        assert!(pause.next() <= Duration::from_millis(300));
    }
}
