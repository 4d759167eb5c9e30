//! How much of an attempt's log is kept, and how its lines are put together. [`super::log`] hands it lines
//! and takes what is to be written.
//!
//! The first `limit` bytes pass; of what comes after, the last bytes are kept and passed at the end, with a
//! mark where the gap is. Lines of the same level and step that follow each other become one report.

use std::collections::VecDeque;

use kolga_protocol::message::{LOG_LINE_BYTES, LOG_TEXT_BYTES, Level, LogLines};

/// What a line costs besides its text.
const LINE_OVERHEAD: usize = 32;
/// The most that is kept of a tail: it is kept in memory.
const TAIL_BYTES: usize = 1024 * 1024;

/// The lines of one attempt that are not yet on their way to the journal.
pub(super) struct Bounds {
    limit: usize,
    /// What is to be committed next.
    pending: Vec<LogLines>,
    /// How many bytes that is.
    pending_bytes: usize,
    /// Bytes that have passed as the head.
    head: usize,
    /// The newest of what came after the head.
    tail: VecDeque<LogLines>,
    tail_bytes: usize,
    /// What fell out of the tail.
    left_out: u64,
}

impl Bounds {
    /// An empty log, of which `limit` bytes pass as the head.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            pending: Vec::new(),
            pending_bytes: 0,
            head: 0,
            tail: VecDeque::new(),
            tail_bytes: 0,
            left_out: 0,
        }
    }

    /// Takes a line.
    pub(super) fn add(&mut self, level: Level, step: Option<&str>, text: &str) {
        let text = cut(text);
        let size = text.len() + LINE_OVERHEAD;
        if self.head < self.limit {
            self.head += size;
            self.push(level, step, &text);
            if self.head >= self.limit {
                self.mark("the log is long: from here on only its end is kept, and shown when the task ends");
            }
            return;
        }
        self.tail_bytes += size;
        self.tail.push_back(LogLines {
            level,
            step: step.map(str::to_owned),
            text: text.into_owned(),
        });
        while self.tail_bytes > self.limit.min(TAIL_BYTES) {
            let Some(oldest) = self.tail.pop_front() else {
                break;
            };
            self.tail_bytes -= oldest.text.len() + LINE_OVERHEAD;
            self.left_out += 1;
        }
    }

    /// Takes a warning of the log's own.
    fn mark(&mut self, text: &str) {
        self.push(Level::Warn, None, text);
    }

    /// The end of a log that was too long.
    pub(super) fn close(&mut self) {
        if self.left_out > 0 {
            self.mark(&format!("{} lines are not kept here", self.left_out));
            self.left_out = 0;
        }
        for line in std::mem::take(&mut self.tail) {
            self.push(line.level, line.step.as_deref(), &line.text);
        }
        self.tail_bytes = 0;
    }

    /// What is to be written now, and how many bytes it is.
    pub(super) fn take(&mut self) -> (Vec<LogLines>, usize) {
        let bytes = std::mem::take(&mut self.pending_bytes);
        (std::mem::take(&mut self.pending), bytes)
    }

    /// Bytes that wait to be written.
    pub(super) fn waiting(&self) -> usize {
        self.pending_bytes
    }

    /// Whether nothing waits to be written.
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    fn push(&mut self, level: Level, step: Option<&str>, text: &str) {
        self.pending_bytes += text.len() + 1;
        if let Some(last) = self.pending.last_mut()
            && last.level == level
            && last.step.as_deref() == step
            && last.text.len() + 1 + text.len() <= LOG_TEXT_BYTES
        {
            last.text.push('\n');
            last.text.push_str(text);
            return;
        }
        self.pending.push(LogLines {
            level,
            step: step.map(str::to_owned),
            text: text.to_owned(),
        });
    }
}

/// The text, no longer than a line may be.
fn cut(text: &str) -> std::borrow::Cow<'_, str> {
    const MARK: &str = " […]";
    if text.len() <= LOG_LINE_BYTES {
        return text.into();
    }
    let end = text.floor_char_boundary(LOG_LINE_BYTES - MARK.len());
    format!("{}{MARK}", &text[..end]).into()
}

/// How many lines there are.
pub(super) fn count(lines: &[LogLines]) -> usize {
    lines
        .iter()
        .map(|lines| lines.text.split('\n').count())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(bounds: &mut Bounds, count: usize) {
        for number in 0..count {
            bounds.add(Level::Output, None, &number.to_string());
        }
    }

    fn lines(bounds: &mut Bounds) -> Vec<String> {
        let (lines, _) = bounds.take();
        lines
            .iter()
            .flat_map(|lines| lines.text.split('\n').map(str::to_owned))
            .collect()
    }

    #[test]
    fn a_short_log_passes_whole_and_as_one_report() {
        let mut bounds = Bounds::new(10_000);
        numbered(&mut bounds, 10);
        bounds.close();
        let (reports, _) = bounds.take();
        assert_eq!(reports.len(), 1);
        assert_eq!(reports[0].text, "0\n1\n2\n3\n4\n5\n6\n7\n8\n9");
    }

    #[test]
    fn of_a_long_log_head_and_tail_are_kept_and_the_gap_is_marked() {
        let mut bounds = Bounds::new(1_000);
        numbered(&mut bounds, 10_000);
        let head = lines(&mut bounds);
        assert!(head.len() < 40 && head[0] == "0");
        bounds.close();
        let end = lines(&mut bounds);
        assert_eq!(end.last().map(String::as_str), Some("9999"));
        // The head ends with a mark of its own, the end begins with one.
        let left_out: usize = end[0]
            .split(' ')
            .next()
            .and_then(|n| n.parse().ok())
            .expect("a number");
        assert_eq!(head.len() - 1 + left_out + end.len() - 1, 10_000);
    }

    #[test]
    fn lines_of_another_level_or_step_stand_in_a_report_of_their_own() {
        let mut bounds = Bounds::new(10_000);
        bounds.add(Level::Output, Some("a"), "1");
        bounds.add(Level::Output, Some("a"), "");
        bounds.add(Level::Error, Some("a"), "2");
        bounds.add(Level::Error, Some("b"), "3");
        let (reports, bytes) = bounds.take();
        let texts: Vec<&str> = reports.iter().map(|lines| lines.text.as_str()).collect();
        assert_eq!(texts, ["1\n", "2", "3"]);
        assert_eq!((count(&reports), bytes), (4, 7));
    }

    #[test]
    fn no_report_is_longer_than_a_report_may_be() {
        let mut bounds = Bounds::new(usize::MAX);
        for _ in 0..100 {
            bounds.add(Level::Output, None, &"x".repeat(1000));
        }
        let (reports, _) = bounds.take();
        assert_eq!(count(&reports), 100);
        assert!(
            reports
                .iter()
                .all(|lines| lines.text.len() <= LOG_TEXT_BYTES)
        );
        assert_eq!(reports.len(), 4);
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_between_characters() {
        let line = cut(&"ä".repeat(LOG_LINE_BYTES)).into_owned();
        assert!(line.len() <= LOG_LINE_BYTES && line.ends_with("[…]"));
    }
}
