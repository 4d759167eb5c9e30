//! A task's live stream, held on to: it is taken up again where it broke, until the task has finished.
//!
//! Server-sent events as the HTML standard has them ("9.2 Server-sent events"), of which the hub uses
//! `id:`, `data:` and comments.

use std::collections::VecDeque;
use std::time::Duration;

use kolga_protocol::id::TaskId;
use kolga_protocol::state::State;
use reqwest::Response;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::client::Client;
use super::trouble::Trouble;
use crate::wire::{Event, TaskDetail};

/// How long a hub that went away is waited for, such as over its restart.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a hub may take to close the stream of a task that has finished.
const LAST_WORDS: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What happens to a task, one event after the other, none twice.
pub(super) struct Events<'a> {
    client: &'a Client,
    task: TaskId,
    /// The stream is open while this is there.
    open: Option<Response>,
    parser: Parser,
    ready: VecDeque<Event>,
    seen: Option<i64>,
    finished: bool,
}

impl<'a> Events<'a> {
    /// Opens the stream of a task from its beginning. A hub that is not there is an error at once.
    pub(super) async fn open(client: &'a Client, task: TaskId) -> Result<Self, Trouble> {
        let open = Some(client.stream(&path(task), None).await?);
        Ok(Self {
            client,
            task,
            open,
            parser: Parser::default(),
            ready: VecDeque::new(),
            seen: None,
            finished: false,
        })
    }

    /// The next event; `None` once the task has finished and all is told.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, Trouble> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                // After a break the hub may repeat itself. What it says of a task that is still on its
                // way to a worker has no place of its own, and comes with that of the entry before it.
                let early = matches!(&event, Event::State(entry)
                    if matches!(entry.state, State::Queued | State::Sent));
                let seen = self.seen.unwrap_or(-1);
                if event.seq() < seen || (event.seq() == seen && !early) {
                    continue;
                }
                self.seen = Some(event.seq());
                if let Event::State(state) = &event {
                    self.finished = state.finished;
                }
                return Ok(Some(event));
            }
            let Some(open) = &mut self.open else {
                if self.finished {
                    return Ok(None);
                }
                let (open, finished) = self.reopen().await?;
                self.open = Some(open);
                self.finished = finished;
                continue;
            };
            let patience = if self.finished {
                LAST_WORDS
            } else {
                Duration::MAX
            };
            match tokio::time::timeout(patience, open.chunk()).await {
                Ok(Ok(Some(bytes))) => self.ready.extend(self.parser.take(&bytes)),
                // Closed, broken, or silent for too long: all the same, only the end is different.
                _ => {
                    self.open = None;
                    self.parser = Parser::default();
                }
            }
        }
    }

    /// The stream from where it broke, and whether the task has finished: its end may have been told
    /// while nobody listened.
    async fn reopen(&self) -> Result<(Response, bool), Trouble> {
        let give_up = Instant::now() + PATIENCE;
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::time::sleep(pause).await;
            match self.try_reopen().await {
                Err(trouble) if trouble.may_pass() && Instant::now() < give_up => {
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                other => return other,
            }
        }
    }

    async fn try_reopen(&self) -> Result<(Response, bool), Trouble> {
        let detail: TaskDetail = self
            .client
            .get(&format!("/v1/tasks/{}", self.task), &[])
            .await?;
        let after = self.seen.map(|seen| seen.to_string());
        let open = self
            .client
            .stream(&path(self.task), after.as_deref())
            .await?;
        Ok((open, detail.task.finished))
    }
}

fn path(task: TaskId) -> String {
    format!("/v1/tasks/{task}/events")
}

/// Bytes to events, of tasks or of operations. What is no event of this release is passed over.
#[derive(Debug, Default)]
pub(super) struct Parser {
    line: Vec<u8>,
    data: String,
}

impl Parser {
    /// The events that these bytes complete.
    pub(super) fn take<T: DeserializeOwned>(&mut self, bytes: &[u8]) -> Vec<T> {
        let mut events = Vec::new();
        let mut pieces = bytes.split(|&byte| byte == b'\n');
        // What comes before the first line end, and so may go on what came earlier.
        self.line
            .extend_from_slice(pieces.next().unwrap_or_default());
        for piece in pieces {
            events.extend(self.end_of_line());
            self.line.clear();
            self.line.extend_from_slice(piece);
        }
        events
    }

    fn end_of_line<T: DeserializeOwned>(&mut self) -> Option<T> {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            return serde_json::from_str(&data).ok();
        }
        let line = String::from_utf8_lossy(line);
        if let Some(data) = line.strip_prefix("data:") {
            self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
            self.data.push('\n');
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = ": hello\n\nid: 4\nevent: log\ndata: {\"type\":\"log\",\"seq\":4,\"attempt\":1,\
        \"at\":5,\"level\":\"info\",\"step\":null,\"text\":\"ö\"}\n\nevent: later\ndata: {\"type\":\"later\"}\n\n";

    #[test]
    fn a_stream_reads_the_same_however_it_is_cut() {
        for cut in 0..STREAM.len() {
            let (before, after) = STREAM.as_bytes().split_at(cut);
            let mut parser = Parser::default();
            let mut events: Vec<Event> = parser.take(before);
            events.extend(parser.take(after));
            assert_eq!(events.len(), 1, "cut at {cut}");
            assert!(matches!(&events[0], Event::Log(log) if log.text == "ö" && log.seq == 4));
        }
    }
}
