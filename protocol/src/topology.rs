//! What there is at the broker, as data: exchanges, queues, bindings, and who may use them.
//!
//! ```text
//!              tasks.<server>   ──►  intake          work to do; one queue a server
//!  hub ──►     control.<server> ──►  intake          cancels and questions, beside a full backlog
//!
//!  worker ──►  kolga.reports    ──►  hub.reports     states, steps, logs, answers; durable
//!         ──►  kolga.heartbeats ──►  hub.heartbeats  what it does now; not durable
//!         ──►  kolga.dead       ──►  kolga.dead      what nobody can read, with the reason
//! ```
//!
//! The hub declares all of it ([`crate::link::declare`]); a spoke has no right to. Arguments are only
//! those that every RabbitMQ from 3.10 on takes back unchanged; anything else belongs into a policy.

use serde::{Deserialize, Serialize};

use crate::names::ServerName;

/// Where workers send what has to arrive: topic, the key is the server's name.
pub const REPORTS_EXCHANGE: &str = "kolga.reports";
/// What the hub's inbox consumes.
pub const REPORTS_QUEUE: &str = "hub.reports";
/// Where workers say that they live: topic, the key is the server's name.
pub const HEARTBEATS_EXCHANGE: &str = "kolga.heartbeats";
/// What the hub's list of who is there consumes.
pub const HEARTBEATS_QUEUE: &str = "hub.heartbeats";
/// Where workers put what is no message of ours: fanout, and the queue of the same name.
pub const DEAD: &str = "kolga.dead";

/// How the broker keeps a durable queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueType {
    /// Replicated over the nodes of a cluster.
    #[default]
    Quorum,
    /// On one node; lighter where there are thousands of servers.
    Classic,
}

impl QueueType {
    /// The value of the argument `x-queue-type`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quorum => "quorum",
            Self::Classic => "classic",
        }
    }
}

/// One thing that must exist at the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Declaration {
    /// A durable queue.
    Queue {
        /// Its name.
        name: String,
        /// How it is kept.
        queue_type: QueueType,
    },
    /// A durable topic exchange.
    Topic(&'static str),
    /// A durable fanout exchange.
    Fanout(&'static str),
    /// Everything in an exchange goes to a queue.
    Binding {
        /// From.
        exchange: &'static str,
        /// To.
        queue: &'static str,
    },
}

/// The queue of a server's work.
#[must_use]
pub fn tasks_queue(server: &ServerName) -> String {
    format!("tasks.{server}")
}

/// The queue of what the hub tells a worker about its tasks.
#[must_use]
pub fn control_queue(server: &ServerName) -> String {
    format!("control.{server}")
}

/// The broker's user of a spoke. The broker vouches for it in the property `user_id`.
#[must_use]
pub fn spoke_user(server: &ServerName) -> String {
    format!("kolga-{server}")
}

/// What the hub itself needs.
#[must_use]
pub fn hub(queue_type: QueueType) -> Vec<Declaration> {
    let queue = |name: &str, queue_type| Declaration::Queue {
        name: name.to_owned(),
        queue_type,
    };
    let bound = |exchange, queue| Declaration::Binding { exchange, queue };
    vec![
        Declaration::Topic(REPORTS_EXCHANGE),
        queue(REPORTS_QUEUE, queue_type),
        bound(REPORTS_EXCHANGE, REPORTS_QUEUE),
        Declaration::Topic(HEARTBEATS_EXCHANGE),
        // Heartbeats are worth nothing after a restart: never more than one node's memory.
        queue(HEARTBEATS_QUEUE, QueueType::Classic),
        bound(HEARTBEATS_EXCHANGE, HEARTBEATS_QUEUE),
        Declaration::Fanout(DEAD),
        queue(DEAD, queue_type),
        bound(DEAD, DEAD),
    ]
}

/// What one server needs.
#[must_use]
pub fn server(server: &ServerName, queue_type: QueueType) -> Vec<Declaration> {
    [tasks_queue(server), control_queue(server)]
        .into_iter()
        .map(|name| Declaration::Queue { name, queue_type })
        .collect()
}
