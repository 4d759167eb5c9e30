//! What children write: read as it comes, bounded, cut into lines for the log or kept as bytes.

use kolga_protocol::message::{LOG_LINE_BYTES, Level};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::cx::StepLog;

/// What marks the end of a line that was too long.
const CUT: &str = " …[cut]";

/// Takes what was read.
pub(super) trait Sink {
    /// Some bytes, in order.
    fn take(&mut self, bytes: &[u8]);

    /// Waits until it can take more.
    fn room(&self) -> impl Future<Output = ()> {
        std::future::ready(())
    }

    /// Whether nobody wants any more: the pipe is closed then.
    fn is_done(&self) -> bool {
        false
    }
}

/// Read at once: what a pipe holds.
const READ: usize = 64 * 1024;

/// Reads to the end. An error of reading is an end too: the pipe is ours alone.
pub(super) async fn pump(pipe: Option<impl AsyncRead + Unpin>, sink: &mut impl Sink) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = vec![0; READ];
    loop {
        sink.room().await;
        if sink.is_done() {
            return;
        }
        match pipe.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => sink.take(&buffer[..count]),
        }
    }
}

/// Lines into the task's log. A line that is not UTF-8 gets marks where it is not.
pub(super) struct Lines<'a> {
    log: &'a StepLog,
    level: Level,
    line: Vec<u8>,
    too_long: bool,
    said: Said,
}

/// The first and the last line that say something: programs tell the cause first, or what came of it last.
#[derive(Debug, Default)]
pub(super) struct Said {
    first: Option<String>,
    last: Option<String>,
}

impl Said {
    /// Those of a whole text.
    pub(super) fn of(text: &str) -> Self {
        let mut said = Self::default();
        text.lines().for_each(|line| said.hear(line));
        said
    }

    fn hear(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        match self.first {
            None => self.first = Some(line.to_owned()),
            Some(_) => self.last = Some(line.to_owned()),
        }
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let printable = kolga_protocol::message::printable;
        match (&self.first, &self.last) {
            (None, _) => f.write_str(" and said nothing on its standard error"),
            (Some(first), None) => write!(f, ": {}", printable(first)),
            (Some(first), Some(last)) => write!(f, ": {} … {}", printable(first), printable(last)),
        }
    }
}

impl<'a> Lines<'a> {
    pub(super) fn new(log: &'a StepLog, level: Level) -> Self {
        Self {
            log,
            level,
            line: Vec::new(),
            too_long: false,
            said: Said::default(),
        }
    }

    /// What it said, in short.
    pub(super) fn said(&mut self) -> Said {
        self.flush();
        std::mem::take(&mut self.said)
    }

    fn extend(&mut self, part: &[u8]) {
        let room = LOG_LINE_BYTES - self.line.len();
        self.line.extend_from_slice(&part[..part.len().min(room)]);
        self.too_long |= part.len() > room;
    }

    fn end_line(&mut self) {
        let bytes = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        if self.too_long || text.len() > LOG_LINE_BYTES {
            text.truncate(text.floor_char_boundary(LOG_LINE_BYTES - CUT.len()));
            text.push_str(CUT);
        }
        self.log.line(self.level, &text);
        self.said.hear(&text);
        self.line.clear();
        self.too_long = false;
    }

    /// Ends a last line that had no line end.
    fn flush(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
    }
}

impl Sink for Lines<'_> {
    fn take(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            self.extend(&rest[..end]);
            self.end_line();
            rest = &rest[end + 1..];
        }
        self.extend(rest);
    }

    async fn room(&self) {
        self.log.room().await;
    }
}

impl Drop for Lines<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}

/// The first so many bytes; the rest is read and forgotten, so that the program does not block.
pub(super) struct Bytes {
    pub(super) kept: Vec<u8>,
    most: usize,
}

impl Bytes {
    pub(super) fn new(most: usize) -> Self {
        Self {
            kept: Vec::new(),
            most,
        }
    }
}

impl Sink for Bytes {
    fn take(&mut self, bytes: &[u8]) {
        let room = self.most - self.kept.len();
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}
