//! The log of one attempt on its way into the journal: in order, batched by itself, bounded in memory.
//!
//! Steps and children hand lines over in memory and never wait for the disk. While a commit is under way
//! lines gather ([`super::bounds`]); the next commit takes all of them. Changes of state go through the same
//! gate ([`TaskLog::enter`]), so that every line stands before the change that follows it. Whoever reads a
//! child's output waits for [`LogSink::room`], so that a child that writes faster than the disk waits too.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use kolga_protocol::id::Run;
use kolga_protocol::message::{Level, LogLines, ReportBody};
use tokio::sync::Notify;

use super::bounds::{Bounds, count};
use crate::cx::LogSink;
use crate::journal::{Change, Commit, Entry, Journal};

/// Bytes of lines that may wait for the disk before a child has to wait.
const ROOM: usize = 1024 * 1024;

/// The log of one attempt.
pub(super) struct TaskLog {
    run: Run,
    journal: Journal,
    gate: Mutex<Gate>,
    /// There is room again.
    room: Notify,
    me: std::sync::Weak<Self>,
}

struct Gate {
    bounds: Bounds,
    /// Bytes that are with the journal and not yet durable.
    writing_bytes: usize,
    /// Lines that the journal could not write and that no mark tells of yet.
    lost: usize,
    /// Whether [`TaskLog::flush`] runs.
    flushing: bool,
}

/// Lines that are with the journal.
struct Lines {
    commit: Commit,
    count: usize,
    bytes: usize,
}

impl Gate {
    fn has_room(&self) -> bool {
        self.bounds.waiting() + self.writing_bytes < ROOM
    }

    fn mark_lost(&mut self) {
        if self.lost > 0 {
            let text = format!(
                "{} lines of this log were lost: the journal could not be written",
                self.lost
            );
            self.bounds.mark(&text);
            self.lost = 0;
        }
    }
}

impl TaskLog {
    /// An empty log, of which `limit` bytes pass as the head.
    pub(super) fn new(run: Run, journal: Journal, limit: usize) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            run,
            journal,
            gate: Mutex::new(Gate {
                bounds: Bounds::new(limit),
                writing_bytes: 0,
                lost: 0,
                flushing: false,
            }),
            room: Notify::new(),
            me: me.clone(),
        })
    }

    /// Enters changes behind every line that came before them.
    pub(super) fn enter(&self, changes: Vec<Change>) -> Commit {
        let mut gate = self.gate();
        if changes
            .iter()
            .any(|change| matches!(change, Change::Ended { .. }))
        {
            gate.bounds.close();
        }
        gate.mark_lost();
        // An entry of their own: changes that cannot be written are tried again by whoever needs them.
        if let Some(lines) = self.write(&mut gate)
            && let Some(me) = self.me.upgrade()
        {
            tokio::spawn(async move { me.written(lines).await });
        }
        // Still under the lock: nobody comes between the lines and the changes.
        self.journal.enter(Entry {
            run: self.run,
            changes,
        })
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands what waits to the journal.
    fn write(&self, gate: &mut Gate) -> Option<Lines> {
        let (lines, bytes) = gate.bounds.take();
        if lines.is_empty() {
            return None;
        }
        gate.writing_bytes += bytes;
        let count = count(&lines);
        let changes = lines.into_iter().map(report).collect();
        let commit = self.journal.enter(Entry {
            run: self.run,
            changes,
        });
        Some(Lines {
            commit,
            count,
            bytes,
        })
    }

    /// Waits until lines are durable, or lost: a log is not worth a task, nor a wait without end.
    async fn written(&self, lines: Lines) {
        let result = lines.commit.durable().await;
        let mut gate = self.gate();
        gate.writing_bytes -= lines.bytes;
        match result {
            Ok(()) if !gate.bounds.is_empty() => gate.mark_lost(),
            Ok(()) => {}
            Err(error) => {
                gate.lost += lines.count;
                tracing::warn!(run = %self.run, lines = lines.count, error = &error as &dyn std::error::Error, "lines of a task's log were lost");
            }
        }
        drop(gate);
        self.room.notify_waiters();
    }

    async fn flush(self: Arc<Self>) {
        loop {
            let lines = {
                let mut gate = self.gate();
                let Some(lines) = self.write(&mut gate) else {
                    gate.flushing = false;
                    return;
                };
                lines
            };
            self.written(lines).await;
        }
    }
}

fn report(lines: LogLines) -> Change {
    Change::Report(ReportBody::Log(lines))
}

impl LogSink for TaskLog {
    fn line(&self, step: Option<&str>, level: Level, text: &str) {
        let mut gate = self.gate();
        gate.bounds.add(level, step, text);
        if gate.bounds.waiting() > 0
            && !gate.flushing
            && let Some(me) = self.me.upgrade()
        {
            gate.flushing = true;
            tokio::spawn(me.flush());
        }
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            loop {
                let mut changed = std::pin::pin!(self.room.notified());
                // Before the look, so that what changes in between is not missed.
                changed.as_mut().enable();
                if self.gate().has_room() {
                    return;
                }
                changed.await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use kolga_protocol::envelope;
    use kolga_protocol::id::{Attempt, TaskId, UnixMillis};
    use kolga_protocol::message::{Reports, TaskMessage};
    use kolga_protocol::task::{Params, ping};

    use super::*;
    use crate::journal::{Incoming, Reader};
    use crate::testing::Scratch;

    #[tokio::test]
    async fn whoever_writes_faster_than_the_disk_waits_and_no_line_is_lost() {
        let folder = Scratch::new();
        let path = folder.path().join("journal.sqlite");
        let server = "web1".parse().expect("a name");
        let (journal, _) = Journal::open(&path, &server).await.expect("a journal");
        let run = Run::new(TaskId::generate(), Attempt::FIRST);
        let message = TaskMessage {
            run,
            server,
            issued_at: UnixMillis::now(),
            expires_at: None,
            requested_by: "a test".to_owned(),
            payload: Params::Ping(ping::Params {}).to_payload(),
        };
        let incoming = Incoming {
            message,
            refusal: None,
        };
        journal.accept(vec![incoming]).await.expect("accepted");
        let log = TaskLog::new(run, journal, usize::MAX);
        let mut written = 0;
        let mut waits = 0;
        while waits < 3 {
            match log.room().now_or_never() {
                Some(()) => {
                    log.line(None, Level::Output, &format!("{written:0100}"));
                    written += 1;
                }
                None => {
                    waits += 1;
                    log.room().await;
                }
            }
        }
        log.enter(vec![Change::Started])
            .durable()
            .await
            .expect("entered");
        println!("{written} lines, waited {waits} times");
        assert!(
            written * 101 < 4 * ROOM,
            "{written} lines were in memory at once"
        );

        let rows = Reader::open(&path)
            .await
            .expect("a reader")
            .spool(0, 10_000)
            .await;
        let mut read = 0;
        for row in rows.expect("rows") {
            let reports: Reports = envelope::open(&row.body).expect("reports");
            for report in reports.items {
                let ReportBody::Log(lines) = report.body else {
                    continue;
                };
                for line in lines.text.split('\n') {
                    assert_eq!(line.parse(), Ok(read));
                    read += 1;
                }
            }
        }
        assert_eq!(read, written);
    }
}
