//! Operations over HTTP: many tasks of one sort over a set of servers, sites or platforms, how it goes, and each of its items.

use std::fmt;
use std::str::FromStr;

use kolga_protocol::id::{TaskId, UnixMillis};
use kolga_protocol::names::{HostName, PlatformName, ServerName};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::selector::Selector;

/// An operation, for ever: an id of the same sort as a task's, so that it sorts by the time of asking.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationId(TaskId);

impl OperationId {
    /// A new id.
    #[must_use]
    pub fn generate() -> Self {
        Self(TaskId::generate())
    }

    /// What it is watched by.
    pub(crate) fn key(self) -> TaskId {
        self.0
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for OperationId {
    type Err = <TaskId as FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// A state by the name that it has in JSON and in the store.
macro_rules! states {
    ($(#[$doc:meta])* $name:ident { $($(#[$each:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$each])* $variant,)+
        }

        impl $name {
            /// Its name.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    other => {
                        let all = [$($text),+].join(", ");
                        Err(format!("there is no state {:?}; there are {all}", other))
                    }
                }
            }
        }
    };
}

states! {
    /// How an operation stands.
    OperationState {
        /// Tasks are made as there is room.
        Running = "running",
        /// No more are made; those that are open end.
        Stopping = "stopping",
        /// None is open, and some wait until it is resumed.
        Paused = "paused",
        /// No more will be made; those that are open end.
        Cancelling = "cancelling",
        /// None is open and no more will be made.
        Cancelled = "cancelled",
        /// Nothing of it waits or is open.
        Finished = "finished",
    }
}

impl OperationState {
    /// Whether nothing more happens by itself.
    #[must_use]
    pub fn is_at_rest(self) -> bool {
        matches!(self, Self::Paused | Self::Cancelled | Self::Finished)
    }
}

states! {
    /// How one item of an operation stands.
    ItemState {
        /// No task has been made for it yet.
        Waiting = "waiting",
        /// Its task has not ended.
        Made = "made",
        /// Its task has succeeded.
        Succeeded = "succeeded",
        /// Its task has ended in another way.
        Failed = "failed",
        /// Its task was cancelled, or the operation before one was made.
        Cancelled = "cancelled",
        /// No task could be made for it.
        Skipped = "skipped",
    }
}

states! {
    /// What one item of an operation is that moves a site, in their order.
    Stage {
        /// The server that has the site says what it is.
        Source = "source",
        /// The server that is to have it says whether it can.
        Target = "target",
        /// The one keeps it from everybody, and makes a backup of it.
        Hold = "hold",
        /// The other makes it of that backup.
        Receive = "receive",
        /// The first gives up what it holds: it comes back, or goes to the trash.
        Release = "release",
    }
}

impl Stage {
    /// All of them, in their order.
    pub const ALL: [Self; 5] = [
        Self::Source,
        Self::Target,
        Self::Hold,
        Self::Receive,
        Self::Release,
    ];

    /// Its place among the items of its operation, from 1.
    #[must_use]
    pub fn place(self) -> u64 {
        match self {
            Self::Source => 1,
            Self::Target => 2,
            Self::Hold => 3,
            Self::Receive => 4,
            Self::Release => 5,
        }
    }
}

/// The kind of an operation that moves a site from one server to another.
pub const MOVE: &str = "site.move";

/// `POST /v1/sites/{host}/move`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewMove {
    /// The server that is to have it.
    pub server: ServerName,
    /// Whose code it is to use there; that of the same name as here when nothing is said.
    #[serde(default)]
    pub platform: Option<PlatformName>,
}

/// What each task of an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Each {
    /// A server.
    Server,
    /// A site.
    Site,
    /// A platform, on one server.
    Platform,
}

/// `POST /v1/operations`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewOperation {
    /// The type of its tasks, `site.disable`.
    pub kind: String,
    /// The parameters of that kind, but for what each task is about.
    #[serde(default)]
    pub params: Map<String, Value>,
    /// What each task is about, for a kind that can be about either (`recipe.run`): servers where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<Each>,
    /// Which servers, sites or platforms.
    pub select: Selector,
    /// Tasks that are open at once, at most; 4 where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel: Option<u32>,
    /// The same, on one server; no bound of its own where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_server: Option<u32>,
    /// Failures after which no more tasks are made; 0, or left out: it goes on whatever fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_after: Option<u32>,
    /// Only say what it would be carried out on: the answer is [`Targets`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// A server, or a site or a platform on it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Target {
    /// The server.
    pub server: ServerName,
    /// The site, where sites are meant.
    pub site: Option<HostName>,
    /// The platform, where platforms are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<PlatformName>,
}

/// What an operation would be carried out on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    /// All of it.
    pub targets: Vec<Target>,
}

/// The answer to what makes or changes an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationAnswer {
    /// The operation as it stands now.
    pub operation: Operation,
}

/// An operation as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Its identity; ids sort by the time of asking.
    pub id: OperationId,
    /// The type of its tasks.
    pub kind: String,
    /// Their parameters, but for what each is about.
    pub params: Value,
    /// What was asked for.
    pub select: Selector,
    /// Who asked for it.
    pub requested_by: String,
    /// When it was asked for.
    pub created_at: UnixMillis,
    /// Tasks that are open at once, at most.
    pub parallel: u32,
    /// The same, on one server.
    pub per_server: Option<u32>,
    /// Failures after which no more tasks are made; 0: it goes on whatever fails.
    pub stop_after: u32,
    /// How it stands.
    pub state: OperationState,
    /// Why it does not run; of a move, what has come of it so far.
    pub reason: Option<String>,
    /// Of a move, the stage that is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// How many of its items stand how.
    pub counts: Counts,
    /// When it was over.
    pub finished_at: Option<UnixMillis>,
}

/// How many items stand how; they add up to `total`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All.
    pub total: u64,
    /// No task has been made for them yet.
    pub waiting: u64,
    /// Their tasks have not ended.
    pub open: u64,
    /// Their tasks have succeeded.
    pub succeeded: u64,
    /// Their tasks have ended in another way.
    pub failed: u64,
    /// Cancelled.
    pub cancelled: u64,
    /// No task could be made for them.
    pub skipped: u64,
}

/// One server, site or platform of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its place in the operation, from 1.
    pub place: u64,
    /// The server.
    pub server: ServerName,
    /// The site, where the tasks are about sites.
    pub site: Option<HostName>,
    /// The platform, where the tasks are about platforms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<PlatformName>,
    /// Of a move, which part of it this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// How it stands.
    pub state: ItemState,
    /// The newest task that was made for it.
    pub task: Option<TaskId>,
    /// Why it was skipped, or why its task did not succeed.
    pub reason: Option<String>,
}

/// `POST /v1/operations/{id}/resume`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resume {
    /// Also what failed, was skipped, or was cancelled by itself.
    #[serde(default)]
    pub retry_failed: bool,
}

/// `POST /v1/operations/{id}/cancel`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CancelOperation {
    /// Let the tasks that are open end, instead of cancelling them.
    #[serde(default)]
    pub let_finish: bool,
    /// Of a move: the server that was to have the site is gone for good, and is not waited for.
    #[serde(default)]
    pub target_is_gone: bool,
}
