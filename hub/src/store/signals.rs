//! What a commit tells the rest of the hub: there is something to send, something is due, a task that
//! somebody watches has moved. Nothing here is needed for correctness: whoever is woken reads the store.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kolga_protocol::id::TaskId;
use tokio::sync::{Notify, watch};

use super::read::Held;
use crate::wire::OperationId;

/// From so many watched tasks on, those that nobody watches any more are looked for.
const CROWDED: usize = 256;
/// So many new rows are much.
const MUCH: i64 = 10_000;

/// Raised by the writer after each commit.
#[derive(Default)]
pub struct Signals {
    /// The outbox has something to take.
    pub outbox: Notify,
    /// The sweeper may have to look earlier than it meant to.
    pub due: Notify,
    /// Attempts were sent, of which something has to be heard from now on.
    pub open: Notify,
    /// An operation has room for more tasks.
    pub room: Notify,
    /// Much has been written since somebody took the numbers.
    pub grown: Notify,
    growth: Mutex<Held>,
    /// Tasks, and operations by ids of the same sort.
    watched: Mutex<HashMap<TaskId, watch::Sender<u64>>>,
}

impl Signals {
    /// Changes whenever a commit has changed the task.
    #[must_use]
    pub fn watch(&self, task: TaskId) -> watch::Receiver<u64> {
        let mut watched = self.watched();
        if watched.len() >= CROWDED {
            watched.retain(|_, watchers| !watchers.is_closed());
        }
        match watched.entry(task) {
            Entry::Occupied(watched) => watched.get().subscribe(),
            Entry::Vacant(free) => free.insert(watch::Sender::new(0)).subscribe(),
        }
    }

    /// Changes whenever a commit has changed the operation.
    #[must_use]
    pub fn watch_operation(&self, operation: OperationId) -> watch::Receiver<u64> {
        self.watch(operation.key())
    }

    pub(super) fn grew(&self, by: &Held) {
        if *by == Held::default() {
            return;
        }
        let mut growth = self.growth.lock().unwrap_or_else(PoisonError::into_inner);
        growth.tasks += by.tasks;
        growth.entries += by.entries;
        growth.audit += by.audit;
        if growth.tasks.max(growth.entries).max(growth.audit) >= MUCH {
            self.grown.notify_one();
        }
    }

    /// How many rows have been added since the last time.
    #[must_use]
    pub fn take_grown(&self) -> Held {
        std::mem::take(&mut self.growth.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn changed(&self, tasks: impl IntoIterator<Item = TaskId>) {
        let mut watched = self.watched();
        if watched.is_empty() {
            return;
        }
        for task in tasks {
            if let Entry::Occupied(entry) = watched.entry(task) {
                if entry.get().is_closed() {
                    entry.remove();
                } else {
                    entry.get().send_modify(|count| *count += 1);
                }
            }
        }
    }

    /// A poisoned map is still a map: nothing here can be left by half.
    fn watched(&self) -> MutexGuard<'_, HashMap<TaskId, watch::Sender<u64>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
