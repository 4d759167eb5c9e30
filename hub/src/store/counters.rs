//! What the store has done since the hub began, as counters that only grow: raised by the writer after each
//! commit, read by `/v1/metrics`. Nothing depends on them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use kolga_protocol::state::State;

use super::tx::Effects;

/// The counters.
#[derive(Debug, Default)]
pub struct Counters {
    created: AtomicU64,
    ended: [AtomicU64; State::ALL.len()],
    commits: AtomicU64,
    operations: AtomicU64,
    rows: AtomicU64,
    nanos: AtomicU64,
    failures: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counted {
    /// Tasks made.
    pub created: u64,
    /// Tasks after which nothing more happens by itself, by the state in which they ended.
    pub ended: BTreeMap<State, u64>,
    /// Transactions committed.
    pub commits: u64,
    /// Operations in them.
    pub operations: u64,
    /// Rows of tasks, attempts and entries, and of the outbox for new tasks, that they wrote.
    pub rows: u64,
    /// How long all commits together took, from their beginning.
    pub busy: Duration,
    /// Transactions that the database refused.
    pub failures: u64,
}

impl Counters {
    /// As they are now.
    #[must_use]
    pub fn read(&self) -> Counted {
        let ended = State::ALL.into_iter().zip(&self.ended);
        Counted {
            created: self.created.load(Relaxed),
            ended: ended
                .filter(|(state, _)| state.is_terminal())
                .map(|(state, count)| (state, count.load(Relaxed)))
                .collect(),
            commits: self.commits.load(Relaxed),
            operations: self.operations.load(Relaxed),
            rows: self.rows.load(Relaxed),
            busy: Duration::from_nanos(self.nanos.load(Relaxed)),
            failures: self.failures.load(Relaxed),
        }
    }

    pub(super) fn committed(&self, effects: &Effects, operations: usize, took: Duration) {
        self.created.fetch_add(effects.created, Relaxed);
        for end in &effects.ended {
            let place = State::ALL.iter().position(|state| state == end);
            if let Some(count) = place.and_then(|place| self.ended.get(place)) {
                count.fetch_add(1, Relaxed);
            }
        }
        self.commits.fetch_add(1, Relaxed);
        self.operations.fetch_add(operations as u64, Relaxed);
        self.rows.fetch_add(effects.rows, Relaxed);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Relaxed);
    }
}
