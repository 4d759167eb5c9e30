//! The log of one attempt on its way into the journal: in order, batched by itself, bounded.
//!
//! Steps and children hand lines over in memory and never wait. While a commit is under way lines gather;
//! the next commit takes all of them. Changes of state go through the same gate ([`TaskLog::enter`]), so
//! that every line stands before the change that follows it. The first `limit` bytes pass; of what comes
//! after, the last `limit` bytes are kept and passed at the end, with a mark where the gap is.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kolga_protocol::id::Run;
use kolga_protocol::message::{LOG_LINE_BYTES, Level, LogLine, ReportBody};

use crate::cx::LogSink;
use crate::journal::{Change, Commit, Entry, Journal};

/// What a line costs besides its text.
const LINE_OVERHEAD: usize = 32;

/// The log of one attempt.
pub(super) struct TaskLog {
    run: Run,
    journal: Journal,
    limit: usize,
    gate: Mutex<Gate>,
    me: std::sync::Weak<Self>,
}

#[derive(Default)]
struct Gate {
    /// Lines that are to be committed next.
    pending: Vec<LogLine>,
    /// Bytes that have passed as the head.
    head: usize,
    /// The newest of what came after the head.
    tail: VecDeque<LogLine>,
    tail_bytes: usize,
    /// What fell out of the tail.
    lost_lines: u64,
    /// Whether somebody is committing lines now.
    flushing: bool,
}

impl TaskLog {
    pub(super) fn new(run: Run, journal: Journal, limit: usize) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            run,
            journal,
            limit,
            gate: Mutex::default(),
            me: me.clone(),
        })
    }

    /// Enters changes behind every line that came before them.
    pub(super) fn enter(&self, changes: Vec<Change>) -> Commit {
        let mut gate = self.gate();
        let mut entry: Vec<Change> = gate.pending.drain(..).map(report).collect();
        if changes
            .iter()
            .any(|change| matches!(change, Change::Ended { .. }))
        {
            entry.extend(gate.close().into_iter().map(report));
        }
        entry.extend(changes);
        // Still under the lock: nobody comes between the lines and the changes.
        self.journal.enter(Entry {
            run: self.run,
            changes: entry,
        })
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn flush(self: Arc<Self>) {
        loop {
            let commit = {
                let mut gate = self.gate();
                if gate.pending.is_empty() {
                    gate.flushing = false;
                    return;
                }
                let changes = gate.pending.drain(..).map(report).collect();
                self.journal.enter(Entry {
                    run: self.run,
                    changes,
                })
            };
            if let Err(error) = commit.durable().await {
                // A log is not worth a task: the state changes retry, lines do not.
                tracing::warn!(run = %self.run, error = &error as &dyn std::error::Error, "lines of a task's log were lost");
            }
        }
    }
}

fn report(line: LogLine) -> Change {
    Change::Report(ReportBody::Log(line))
}

impl LogSink for TaskLog {
    fn line(&self, step: Option<&str>, level: Level, text: &str) {
        let mut gate = self.gate();
        gate.add(
            LogLine {
                level,
                step: step.map(str::to_owned),
                text: cut(text),
            },
            self.limit,
        );
        if !gate.pending.is_empty()
            && !gate.flushing
            && let Some(me) = self.me.upgrade()
        {
            gate.flushing = true;
            tokio::spawn(me.flush());
        }
    }
}

impl Gate {
    fn add(&mut self, line: LogLine, limit: usize) {
        let size = line.text.len() + LINE_OVERHEAD;
        if self.head < limit {
            self.head += size;
            self.pending.push(line);
            if self.head >= limit {
                self.pending.push(mark(
                    "the log is long: from here on only its end is kept, and shown when the task ends",
                ));
            }
            return;
        }
        self.tail_bytes += size;
        self.tail.push_back(line);
        while self.tail_bytes > limit {
            let Some(oldest) = self.tail.pop_front() else {
                break;
            };
            self.tail_bytes -= oldest.text.len() + LINE_OVERHEAD;
            self.lost_lines += 1;
        }
    }

    /// The end of a log that was too long.
    fn close(&mut self) -> Vec<LogLine> {
        let mut lines = Vec::new();
        if self.lost_lines > 0 {
            lines.push(mark(&format!(
                "{} lines are not kept here",
                self.lost_lines
            )));
            self.lost_lines = 0;
        }
        lines.extend(self.tail.drain(..));
        self.tail_bytes = 0;
        lines
    }
}

fn mark(text: &str) -> LogLine {
    LogLine {
        level: Level::Warn,
        step: None,
        text: text.to_owned(),
    }
}

/// The text, no longer than a line may be.
fn cut(text: &str) -> String {
    const MARK: &str = " […]";
    if text.len() <= LOG_LINE_BYTES {
        return text.to_owned();
    }
    let mut end = LOG_LINE_BYTES - MARK.len();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{MARK}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(gate: &mut Gate, count: usize, limit: usize) {
        for number in 0..count {
            gate.add(mark(&number.to_string()), limit);
        }
    }

    #[test]
    fn a_short_log_passes_whole() {
        let mut gate = Gate::default();
        numbered(&mut gate, 10, 10_000);
        assert_eq!(gate.pending.len(), 10);
        assert!(gate.close().is_empty());
    }

    #[test]
    fn of_a_long_log_head_and_tail_are_kept_and_the_gap_is_marked() {
        let mut gate = Gate::default();
        numbered(&mut gate, 10_000, 1_000);
        let head = gate.pending.len();
        assert!(head < 40 && gate.pending[0].text == "0");
        let end = gate.close();
        assert_eq!(end.last().map(|line| line.text.as_str()), Some("9999"));
        // The head ends with a mark of its own, the end begins with one.
        let lost: usize = end[0]
            .text
            .split(' ')
            .next()
            .and_then(|n| n.parse().ok())
            .expect("a number");
        assert_eq!(head - 1 + lost + end.len() - 1, 10_000);
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_between_characters() {
        let line = cut(&"ä".repeat(LOG_LINE_BYTES));
        assert!(line.len() <= LOG_LINE_BYTES && line.ends_with("[…]"));
    }
}
