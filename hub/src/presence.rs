//! Who is there: the last heartbeat of each server, in memory. Written by `heartbeats`; read by `app` for
//! people and by `sweeper`, which asks only those who can answer.
//!
//! How long ago it was is measured by a clock that nobody can set.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kolga_protocol::id::UnixMillis;
use kolga_protocol::message::Heartbeat;
use kolga_protocol::names::ServerName;

use crate::wire::{Presence, WorkerStatus};

/// Between two traces of one server in the store.
pub const TRACED_EVERY: Duration = Duration::from_secs(300);

/// The last heartbeats.
pub struct Presences {
    silent: Duration,
    /// When this hub began to listen.
    began: Instant,
    heard: Mutex<HashMap<ServerName, Heard>>,
}

/// When a server was heard last, and what it said.
#[derive(Clone, Debug)]
pub struct Heard {
    /// By the hub's clock, for people.
    pub at: UnixMillis,
    since: Instant,
    /// What it said of itself.
    pub worker: WorkerStatus,
}

impl Presences {
    /// Nobody has been heard yet.
    #[must_use]
    pub fn new(silent_seconds: u32) -> Self {
        Self {
            silent: Duration::from_secs(u64::from(silent_seconds)),
            began: Instant::now(),
            heard: Mutex::default(),
        }
    }

    /// Takes note of a heartbeat; whether its server was away before it.
    pub fn hear(&self, heartbeat: &Heartbeat, now: UnixMillis) -> bool {
        let heard = Heard {
            at: now,
            since: Instant::now(),
            worker: status(heartbeat),
        };
        let before = self.heard().insert(heartbeat.server.clone(), heard);
        before.is_none_or(|before| self.is_over(before.since))
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
        if let Some(heard) = self.last(server) {
            return match self.is_over(heard.since) {
                true => Presence::Silent,
                false => Presence::Online,
            };
        }
        match stored {
            None => Presence::NeverSeen,
            // What another hub wrote down counts until this one has listened for long enough itself.
            Some(at) if self.is_over(self.began) || self.was_over(at) => Presence::Silent,
            Some(_) => Presence::Online,
        }
    }

    fn is_over(&self, since: Instant) -> bool {
        since.elapsed() > self.silent
    }

    /// By the hub's clock: all there is for what happened before it began. It may have been heard for some time
    /// after its last trace.
    fn was_over(&self, at: UnixMillis) -> bool {
        let millis = UnixMillis::now().0.saturating_sub(at.0);
        let longest = self.silent + TRACED_EVERY;
        u64::try_from(millis).is_ok_and(|millis| Duration::from_millis(millis) > longest)
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

#[cfg(test)]
mod tests {
    use kolga_protocol::message::Mood;
    use uuid::Uuid;

    use super::*;

    fn heartbeat() -> Heartbeat {
        Heartbeat {
            server: "web1".parse().expect("a name"),
            journal: Uuid::now_v7(),
            at: UnixMillis::now(),
            version: String::new(),
            mood: Mood::Consuming,
            running: 0,
            waiting: 0,
            stuck: 0,
            spooled: 0,
            load_milli: 0,
            disk_free: 0,
            deferring: None,
        }
    }

    #[test]
    fn a_clock_that_was_set_changes_nothing_of_who_is_there() {
        let presences = Presences::new(30);
        let server = heartbeat().server;
        for minutes in [-10, 0, 10] {
            let wrong = UnixMillis::now().plus_millis(minutes * 60_000);
            let was_away = presences.hear(&heartbeat(), wrong);
            assert_eq!(was_away, minutes == -10, "only the first comes from away");
            assert_eq!(presences.of(&server, Some(wrong)), Presence::Online);
        }
    }

    #[test]
    fn what_the_store_says_counts_only_until_the_hub_has_listened_itself() {
        let (now, server) = (UnixMillis::now(), heartbeat().server);
        let patient = Presences::new(30);
        assert_eq!(patient.of(&server, None), Presence::NeverSeen);
        assert_eq!(patient.of(&server, Some(now)), Presence::Online);
        let traced = now.plus_millis(-300_000);
        assert_eq!(patient.of(&server, Some(traced)), Presence::Online);
        let long_ago = now.plus_millis(-360_000);
        assert_eq!(patient.of(&server, Some(long_ago)), Presence::Silent);
        let impatient = Presences::new(0);
        std::thread::sleep(Duration::from_millis(1));
        let ahead = now.plus_millis(600_000);
        assert_eq!(impatient.of(&server, Some(ahead)), Presence::Silent);
    }
}
