//! What a script said, kept until it is known whether anybody needs it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use kolga_protocol::message::{Level, printable};

use crate::cx::{LogSink, StepLog};

/// So many of the last lines.
const LINES: usize = 20;

/// The last lines.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<VecDeque<String>>);

impl Kept {
    pub(super) fn log(self: &Arc<Self>) -> StepLog {
        StepLog::new(Arc::clone(self) as Arc<dyn LogSink>)
    }

    /// All of them, as one line.
    pub(super) fn said(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<String> = lines.iter().map(|line| printable(line)).collect();
        lines.join(" | ")
    }
}

impl LogSink for Kept {
    fn line(&self, _step: Option<&str>, _level: Level, text: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(text.to_owned());
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
