//! The link to the broker: the only files that name its client library.
//!
//! A [`Publisher`] and a [`Consumer`] each own a connection of their own, since a broker that is short of
//! memory stops *all* writes on a connection that publishes, acks included. Each is supervised by one
//! task (`publisher`, `consumer`): on any error, on the end of a stream, on any word of the connection,
//! it drops everything and begins again (`connect`), with jittered backoff and without end. One that has
//! been quiet is asked whether it still answers (`pulse`). The
//! library's own recovery stays off: it shows no error when deliveries have become void.
//!
//! Used by the hub's relay and inbox, and by the worker's intake and outgoing.

mod aside;
mod connect;
mod consumer;
mod declare;
mod publisher;
mod pulse;
mod socket;
mod traffic;

use crate::id::UnixMillis;

pub use aside::Aside;
pub use connect::{LinkConfig, LinkError};
pub use consumer::{Consumer, Delivery, Tag};
pub use declare::{declare, queue_depth, queue_depths, remove};
pub use publisher::{Address, Outgoing, PublishError, Publisher};
pub use traffic::{Counted, Traffic};

/// Whether there is a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// None, and one is being tried for.
    Down {
        /// Since when.
        since: UnixMillis,
        /// What went wrong last.
        reason: String,
    },
    /// There is one.
    Up,
    /// There is one, but the broker takes nothing: it is short of memory or disk.
    Blocked {
        /// What the broker says.
        reason: String,
    },
}

impl LinkState {
    fn down(reason: impl std::fmt::Display) -> Self {
        Self::Down {
            since: UnixMillis::now(),
            reason: reason.to_string(),
        }
    }

    /// Whether messages flow.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self, Self::Up)
    }
}

impl std::fmt::Display for LinkState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Up => f.write_str("up"),
            Self::Down { reason, .. } => write!(f, "down: {reason}"),
            Self::Blocked { reason } => write!(f, "blocked by the broker: {reason}"),
        }
    }
}
