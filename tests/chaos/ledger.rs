//! The ledger: what the hub has accepted, as its clients know it, and what they were told of its end.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

/// The end that a client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    pub attempt: u64,
    pub state: String,
}

/// What a client was told.
#[derive(Default)]
pub struct Ledger {
    /// Every accepted task, with the end that was seen, if one was.
    tasks: Mutex<BTreeMap<String, Option<End>>>,
    /// Tasks whose end was seen to change.
    changed: Mutex<Vec<String>>,
}

impl Ledger {
    /// The hub has accepted it.
    pub fn accepted(&self, task: &str) {
        lock(&self.tasks).entry(task.to_owned()).or_default();
    }

    /// The hub showed a task. Once it is finished it must stay as it is.
    pub fn saw(&self, shown: &Value) {
        let Some(id) = shown["id"].as_str() else {
            return;
        };
        if shown["finished"] != true {
            return;
        }
        let end = End {
            attempt: shown["attempt"].as_u64().unwrap_or_default(),
            state: shown["state"].as_str().unwrap_or_default().to_owned(),
        };
        let mut tasks = lock(&self.tasks);
        let before = tasks.entry(id.to_owned()).or_default();
        match before {
            Some(before) if *before != end => {
                lock(&self.changed).push(format!("{id}: {before:?}, then {end:?}"));
            }
            _ => *before = Some(end),
        }
    }

    pub fn ids(&self) -> Vec<String> {
        lock(&self.tasks).keys().cloned().collect()
    }

    pub fn changed(&self) -> Vec<String> {
        lock(&self.changed).clone()
    }
}

/// A poisoned list is still a list: nothing here can be left by half.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
