//! How the daemons write their logs: lines on standard error. Where systemd hands those to its journal, each begins with
//! its level as the journal wants it (sd-daemon(3)), so that `journalctl -p warning` finds what is one, and without a
//! time, which the journal has.
//!
//! `kolga serve` and `kolga-worker` begin with [`log_to_stderr`].

use std::io::{self, IsTerminal as _, Write};
use std::os::linux::fs::MetadataExt as _;

use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Begins to log. `stream` is what systemd says in `JOURNAL_STREAM` of the journal's end; `targets`, whether each line
/// names the part of the program that it comes from.
pub fn log_to_stderr(filter: EnvFilter, stream: Option<&str>, targets: bool) {
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(targets);
    if stream.is_some_and(|stream| stderr_is().as_deref() == Some(stream)) {
        let log = log.without_time().with_ansi(false);
        log.with_writer(Journal).init();
    } else {
        let log = log.with_ansi(io::stderr().is_terminal());
        log.with_writer(io::stderr).init();
    }
}

/// Device and inode of standard error: a child, or one whose errors go to a file, inherits the variable and not the end.
fn stderr_is() -> Option<String> {
    let found = std::fs::metadata("/proc/self/fd/2").ok()?;
    Some(format!("{}:{}", found.st_dev(), found.st_ino()))
}

/// Standard error, which ends in the journal.
struct Journal;

impl MakeWriter<'_> for Journal {
    type Writer = Leveled<io::Stderr>;

    fn make_writer(&self) -> Self::Writer {
        Leveled(io::stderr(), 6)
    }

    fn make_writer_for(&self, meta: &Metadata<'_>) -> Self::Writer {
        Leveled(io::stderr(), priority(meta.level()))
    }
}

/// As syslog counts.
fn priority(level: &Level) -> u8 {
    match *level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// Puts the level before every line of an event.
struct Leveled<W>(W, u8);

impl<W: Write> Write for Leveled<W> {
    /// An event comes whole.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let mut text = Vec::with_capacity(event.len() + 3);
        for line in event.split_inclusive(|byte| *byte == b'\n') {
            write!(text, "<{}>", self.1)?;
            text.extend_from_slice(line);
        }
        // At once, or two threads' lines would mix.
        self.0.write_all(&text)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_an_event_has_its_level() {
        let mut written = Vec::new();
        let event = b"the old configuration stays\n  line 3: no such key\n";
        let count = Leveled(&mut written, priority(&Level::ERROR)).write(event);
        assert_eq!(count.expect("memory takes it"), event.len());
        let told = String::from_utf8(written).expect("it is text");
        assert_eq!(
            told,
            "<3>the old configuration stays\n<3>  line 3: no such key\n"
        );
    }
}
