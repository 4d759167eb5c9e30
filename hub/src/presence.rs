//! Who is there: the last heartbeat of each server, in memory. Written by `heartbeats`; read by `app` for
//! people and by `sweeper`, which asks only those who can answer.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kolga_protocol::id::UnixMillis;
use kolga_protocol::message::Heartbeat;
use kolga_protocol::names::ServerName;

use crate::wire::{Presence, WorkerStatus};

/// The last heartbeats.
pub struct Presences {
    silent_millis: i64,
    heard: Mutex<HashMap<ServerName, Heard>>,
}

/// When a server was heard last, and what it said.
#[derive(Clone, Debug)]
pub struct Heard {
    /// By the hub's clock.
    pub at: UnixMillis,
    /// What it said of itself.
    pub worker: WorkerStatus,
}

impl Presences {
    /// Nobody has been heard yet.
    #[must_use]
    pub fn new(silent_seconds: u32) -> Self {
        Self {
            silent_millis: i64::from(silent_seconds) * 1000,
            heard: Mutex::default(),
        }
    }

    /// Takes note of a heartbeat; whether its server was away before it.
    pub fn hear(&self, heartbeat: &Heartbeat, now: UnixMillis) -> bool {
        let heard = Heard {
            at: now,
            worker: status(heartbeat),
        };
        let before = self.heard().insert(heartbeat.server.clone(), heard);
        before.is_none_or(|before| self.is_over(before.at, now))
    }

    /// A server that is no more.
    pub fn forget(&self, server: &ServerName) {
        self.heard().remove(server);
    }

    /// What was heard of a server since this hub began.
    #[must_use]
    pub fn last(&self, server: &ServerName) -> Option<Heard> {
        self.heard().get(server).cloned()
    }

    /// Whether a server can be heard, given when the store says it last was.
    #[must_use]
    pub fn of(&self, server: &ServerName, stored: Option<UnixMillis>) -> Presence {
        let at = self.heard().get(server).map(|heard| heard.at).max(stored);
        match at {
            None => Presence::NeverSeen,
            Some(at) if self.is_over(at, UnixMillis::now()) => Presence::Silent,
            Some(_) => Presence::Online,
        }
    }

    fn is_over(&self, at: UnixMillis, now: UnixMillis) -> bool {
        now.0.saturating_sub(at.0) > self.silent_millis
    }

    /// A poisoned map is still a map: nothing here can be left by half.
    fn heard(&self) -> MutexGuard<'_, HashMap<ServerName, Heard>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn status(heartbeat: &Heartbeat) -> WorkerStatus {
    WorkerStatus {
        version: heartbeat.version.clone(),
        mood: heartbeat.mood,
        running: heartbeat.running,
        waiting: heartbeat.waiting,
        stuck: heartbeat.stuck,
        spooled: heartbeat.spooled,
        load_milli: heartbeat.load_milli,
        disk_free: heartbeat.disk_free,
        deferring: heartbeat.deferring.clone(),
    }
}
