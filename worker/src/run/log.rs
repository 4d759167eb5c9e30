//! The log of one attempt on its way into the journal: in order, batched by itself, bounded in memory.
//!
//! Steps and children hand lines over in memory and never wait for the disk. While a commit is under way
//! lines gather ([`super::bounds`]); the next commit takes all of them. Changes of state go through the same
//! gate ([`TaskLog::enter`]), so that every line stands before the change that follows it. Whoever reads a
//! child's output waits for [`LogSink::room`], so that a child that writes faster than the disk waits too.
//!
//! Lines that cannot be written are lost, but never in silence: what is written next tells how many there were, and an
//! attempt's end is entered only when all its lines are durable or counted ([`TaskLog::end`]).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use kolga_protocol::id::Run;
use kolga_protocol::message::{Level, LogLines, ReportBody};
use tokio::sync::Notify;

use super::bounds::{Bounds, count};
use crate::cx::LogSink;
use crate::journal::{Change, Commit, Entry, Journal, JournalError};

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

/// Lines that are to be written.
struct Taken {
    changes: Vec<Change>,
    /// How many are lost if they cannot be, with those that they tell of.
    count: usize,
    bytes: usize,
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

    /// What is to be written now, and before it, if lines before it were lost, how many.
    fn take(&mut self) -> Option<Taken> {
        let (mut lines, mut bytes) = self.bounds.take();
        if lines.is_empty() && self.lost == 0 {
            return None;
        }
        let count = count(&lines) + self.lost;
        if self.lost > 0 {
            let mark = format!(
                "{} lines of this log were lost: the journal could not be written",
                self.lost
            );
            bytes += mark.len();
            lines.insert(
                0,
                LogLines {
                    level: Level::Warn,
                    step: None,
                    text: mark,
                },
            );
            self.lost = 0;
        }
        Some(Taken {
            changes: lines.into_iter().map(report).collect(),
            count,
            bytes,
        })
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

    /// Enters changes behind every line that came before them. The attempt's end goes through [`TaskLog::end`].
    pub(super) fn enter(&self, changes: Vec<Change>) -> Commit {
        let mut gate = self.gate();
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

    /// Enters an attempt's last changes together with its last lines and waits until they are durable. After them nobody
    /// could tell of a line that was lost, so what is with the journal is waited for first.
    pub(super) async fn end(&self, mut changes: Vec<Change>) -> Result<(), JournalError> {
        self.until(|gate| gate.writing_bytes == 0).await;
        let (commit, count) = {
            let mut gate = self.gate();
            gate.bounds.close();
            let taken = gate.take();
            let count = taken.as_ref().map_or(0, |taken| taken.count);
            if let Some(taken) = taken {
                changes.splice(0..0, taken.changes);
            }
            let run = self.run;
            (self.journal.enter(Entry { run, changes }), count)
        };
        let result = commit.durable().await;
        if result.is_err() {
            self.gate().lost += count;
        }
        result
    }

    /// Waits until it is so; looked at whenever lines have come to rest.
    async fn until(&self, so: impl Fn(&Gate) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.room.notified());
            // Before the look, so that what changes in between is not missed.
            changed.as_mut().enable();
            if so(&self.gate()) {
                return;
            }
            changed.await;
        }
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands what waits to the journal.
    fn write(&self, gate: &mut Gate) -> Option<Lines> {
        let taken = gate.take()?;
        gate.writing_bytes += taken.bytes;
        let commit = self.journal.enter(Entry {
            run: self.run,
            changes: taken.changes,
        });
        Some(Lines {
            commit,
            count: taken.count,
            bytes: taken.bytes,
        })
    }

    /// Waits until lines are durable, or lost: a log is not worth a task, nor a wait without end.
    async fn written(&self, lines: Lines) {
        let result = lines.commit.durable().await;
        let mut gate = self.gate();
        gate.writing_bytes -= lines.bytes;
        if let Err(error) = result {
            gate.lost += lines.count;
            tracing::warn!(run = %self.run, lines = lines.count, error = &error as &dyn std::error::Error, "lines of a task's log were lost");
        }
        drop(gate);
        self.room.notify_waiters();
    }

    async fn flush(self: Arc<Self>) {
        loop {
            let lines = {
                let mut gate = self.gate();
                // What was lost is told with the next line or change, not in a loop over a disk that is full.
                let more = !gate.bounds.is_empty();
                let Some(lines) = more.then(|| self.write(&mut gate)).flatten() else {
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
        Box::pin(self.until(Gate::has_room))
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use futures_util::FutureExt as _;
    use kolga_protocol::envelope;
    use kolga_protocol::id::{Attempt, TaskId, UnixMillis};
    use kolga_protocol::message::{Failure, Reports, TaskMessage};
    use kolga_protocol::state::Event;
    use kolga_protocol::task::{Params, ping};
    use sqlx::sqlite::SqliteConnectOptions;
    use sqlx::{ConnectOptions as _, Executor as _};

    use super::*;
    use crate::journal::{Incoming, Reader};
    use crate::testing::Scratch;

    /// An attempt that has been accepted, and where its journal lies.
    async fn accepted(folder: &Scratch) -> (Journal, Run, PathBuf) {
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
        (journal, run, path)
    }

    /// The lines that the hub would be sent.
    async fn sent(path: &Path) -> Vec<String> {
        let rows = Reader::open(path)
            .await
            .expect("a reader")
            .spool(0, 10_000)
            .await;
        let mut lines = Vec::new();
        for row in rows.expect("rows") {
            let reports: Reports = envelope::open(&row.body).expect("reports");
            for report in reports.items {
                if let ReportBody::Log(log) = report.body {
                    lines.extend(log.text.split('\n').map(str::to_owned));
                }
            }
        }
        lines
    }

    #[tokio::test]
    async fn whoever_writes_faster_than_the_disk_waits_and_no_line_is_lost() {
        let folder = Scratch::new();
        let (journal, run, path) = accepted(&folder).await;
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

        let lines = sent(&path).await;
        assert_eq!(lines.len(), written);
        for (number, line) in lines.iter().enumerate() {
            assert_eq!(line.parse(), Ok(number));
        }
    }

    #[tokio::test]
    async fn lines_that_the_journal_could_not_write_are_told_of_even_when_the_end_comes_right_after_them()
     {
        let folder = Scratch::new();
        let (journal, run, path) = accepted(&folder).await;
        let log = TaskLog::new(run, journal, usize::MAX);
        let started = log.enter(vec![Change::Started]).durable().await;
        started.expect("entered");
        // As a disk with little room: what is large is refused, what is small goes in.
        let options = SqliteConnectOptions::new().filename(&path);
        let mut disk = options.connect().await.expect("opened");
        let full = "CREATE TRIGGER full BEFORE INSERT ON spool WHEN length(NEW.body) > 2000 \
                    BEGIN SELECT RAISE(ABORT, 'no room'); END";
        disk.execute(full).await.expect("a trigger");

        for number in 0..100 {
            log.line(None, Level::Output, &format!("{number:0100}"));
        }
        // With the journal, or back from it already.
        while log.gate().bounds.waiting() > 0 {
            tokio::task::yield_now().await;
        }
        log.line(None, Level::Output, "the last");
        let end = Change::Ended {
            event: Event::Failed,
            failure: Some(Failure::plain("a reason".to_owned())),
            output: None,
        };
        log.end(vec![end]).await.expect("ended");
        assert_eq!(
            sent(&path).await,
            [
                "100 lines of this log were lost: the journal could not be written",
                "the last"
            ]
        );
    }

    #[tokio::test]
    async fn a_mark_that_is_lost_itself_is_counted_with_what_it_told_of() {
        let folder = Scratch::new();
        let (journal, run, path) = accepted(&folder).await;
        let log = TaskLog::new(run, journal, usize::MAX);
        let options = SqliteConnectOptions::new().filename(&path);
        let mut disk = options.connect().await.expect("opened");
        let full =
            "CREATE TRIGGER full BEFORE INSERT ON spool BEGIN SELECT RAISE(ABORT, 'no room'); END";
        disk.execute(full).await.expect("a trigger");
        for number in 0..3 {
            log.line(None, Level::Output, &number.to_string());
            let refused = log.enter(vec![Change::Started]).durable().await;
            refused.expect_err("the disk is full");
            log.until(|gate| gate.writing_bytes == 0).await;
        }
        disk.execute("DROP TRIGGER full").await.expect("room again");
        let started = log.enter(vec![Change::Started]).durable().await;
        started.expect("entered");
        log.until(|gate| gate.writing_bytes == 0).await;
        assert_eq!(
            sent(&path).await,
            ["3 lines of this log were lost: the journal could not be written"]
        );
    }
}
