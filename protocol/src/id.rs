//! Identities and instants: what names a task, one attempt at it, one report of that attempt.
//!
//! The hub makes task ids and counts attempts; the worker numbers reports. Both sides compare them
//! to fence off what is late, doubled or out of order.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A task, for ever: a UUID of version 7 (RFC 9562), so that ids sort by the time of asking.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskId(Uuid);

impl TaskId {
    /// A new id, later than every id that this process made before.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// The first id that can have been made at this time: every earlier task sorts before it.
    #[must_use]
    pub fn earliest(at: UnixMillis) -> Self {
        let millis = u128::try_from(at.0).unwrap_or(0) & 0xffff_ffff_ffff;
        Self(Uuid::from_u128(millis << 80))
    }

    /// The sixteen bytes, as the journal stores them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The inverse of [`TaskId::as_bytes`]; `None` unless there are exactly sixteen.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        Uuid::from_slice(bytes).ok().map(Self)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TaskId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

/// Which try at a task this is, from 1. The fence: whoever knows of a newer one ignores this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attempt(pub u32);

impl Attempt {
    /// The first try.
    pub const FIRST: Self = Self(1);

    /// The try after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One attempt at one task: the identity of a run, of a message and of every report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Run {
    /// The task.
    pub task: TaskId,
    /// Which try.
    pub attempt: Attempt,
}

/// `<task uuid>.<attempt>`: the `message_id` of a task's message, the same however often it is sent.
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.task, self.attempt)
    }
}

impl FromStr for Run {
    type Err = NotARun;

    fn from_str(text: &str) -> Result<Self, NotARun> {
        let (task, attempt) = text.rsplit_once('.').ok_or(NotARun)?;
        Ok(Self {
            task: task.parse().map_err(|_| NotARun)?,
            attempt: Attempt(attempt.parse().map_err(|_| NotARun)?),
        })
    }
}

/// The text is not `<task uuid>.<attempt>`.
#[derive(Debug, thiserror::Error)]
#[error("not of the form <task uuid>.<attempt>")]
pub struct NotARun;

/// Milliseconds since 1970-01-01T00:00:00Z by the sender's clock. For showing to people and for
/// expiry only: order comes from sequence numbers, never from clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// This machine's clock, now.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// This instant moved by so many milliseconds.
    #[must_use]
    pub fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}
