//! What workers were asked, and where each attempt stood then: an answer counts only for what the worker
//! must have known when it was asked. Asked by `sweeper`, answered through `inbox`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use kolga_protocol::id::Run;
use kolga_protocol::message::Answer;
use kolga_protocol::names::ServerName;
use kolga_protocol::state::State;

/// Questions that wait for answers, at most; what is dropped is asked again.
const MOST: usize = 50_000;

/// The open questions.
#[derive(Default)]
pub struct Questions(Mutex<HashMap<Run, (ServerName, State)>>);

impl Questions {
    /// Remembers what is about to be asked.
    pub fn ask(&self, server: &ServerName, runs: impl IntoIterator<Item = (Run, State)>) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() > MOST {
            open.clear();
        }
        open.extend(
            runs.into_iter()
                .map(|(run, state)| (run, (server.clone(), state))),
        );
    }

    /// The unknown attempts of an answer that this server was asked about, with their states then.
    #[must_use]
    pub fn answered(&self, answer: &Answer) -> Vec<(Run, State)> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answer
            .unknown
            .iter()
            .filter_map(|run| match open.get(run) {
                Some((server, _)) if *server == answer.server => {
                    open.remove(run).map(|(_, state)| (*run, state))
                }
                _ => None,
            })
            .collect()
    }
}
