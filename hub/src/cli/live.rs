//! A task's events as lines on the screen: steps with their times, the log between them, changes of
//! state where they matter. `follow` hands it the events and writes what it gives back.

use std::collections::BTreeMap;

use kolga_protocol::id::{Attempt, UnixMillis};
use kolga_protocol::message::{StepPhase, printable};
use kolga_protocol::names::ServerName;
use kolga_protocol::state::State;

use super::result;
use super::screen::{Screen, Style};
use super::task::log_lines;
use super::time::span;
use crate::wire::{Event, StateEntry, StepEntry};

/// What stands on the screen: the last line may still be open, waiting for its step to be done.
pub(super) struct Live<'a> {
    screen: &'a Screen,
    server: &'a ServerName,
    attempt: Attempt,
    open: bool,
    waiting: Option<String>,
    began: BTreeMap<u16, UnixMillis>,
    total: u16,
}

impl<'a> Live<'a> {
    /// An empty screen.
    pub(super) fn new(screen: &'a Screen, server: &'a ServerName) -> Self {
        Self {
            screen,
            server,
            attempt: Attempt::FIRST,
            open: false,
            waiting: None,
            began: BTreeMap::new(),
            total: 0,
        }
    }

    /// What to write for an event, with its line ends.
    pub(super) fn tell(&mut self, event: &Event) -> String {
        let attempt = attempt_of(event);
        let mut text = String::new();
        if attempt > self.attempt {
            self.attempt = attempt;
            text = self.line(Style::Bold, &format!("Attempt {attempt}"));
        }
        text + &match event {
            Event::Log(entry) => {
                let mut text = self.end_line().to_owned();
                for line in log_lines(self.screen, entry) {
                    text.push_str("      ");
                    text.push_str(&line);
                    text.push('\n');
                }
                text
            }
            Event::Step(entry) => self.step(entry),
            Event::State(entry) => self.state(entry),
        }
    }

    /// What to write about what the task waits for: nothing unless it is news.
    pub(super) fn waits_for(&mut self, what: Option<String>) -> String {
        let news = what.is_some() && what != self.waiting;
        self.waiting = what;
        if !news {
            return String::new();
        }
        let text = result::waits(self.waiting.as_deref());
        self.line(Style::Warn, &text)
    }

    /// Ends the open line, where there is one.
    pub(super) fn end_line(&mut self) -> &'static str {
        if std::mem::take(&mut self.open) {
            "\n"
        } else {
            ""
        }
    }

    fn step(&mut self, step: &StepEntry) -> String {
        let name = printable(&step.name);
        // A worker that died has forgotten how many there are; this screen may not have.
        self.total = self.total.max(step.total);
        let head = format!("{} {name} … ", place(step.position, self.total));
        let (style, word) = match step.phase {
            StepPhase::Applying => return self.begin(step, &head),
            StepPhase::Undoing => return self.begin(step, &format!("{head}undoing … ")),
            StepPhase::Applied => (Style::Good, "done"),
            StepPhase::Undone => (Style::Warn, "undone"),
            StepPhase::Retrying => (Style::Warn, "failed, will be tried again"),
        };
        let began = self.began.get(&step.position).copied().unwrap_or(step.at);
        let word = self.screen.paint(style, word);
        // The line that the step opened may have been broken by its log.
        let head = if self.open { "" } else { &head };
        self.open = false;
        format!("{head}{word} {}\n", span(began, step.at))
    }

    fn begin(&mut self, step: &StepEntry, head: &str) -> String {
        let before = self.end_line();
        self.began.insert(step.position, step.at);
        self.open = true;
        format!("{before}{head}")
    }

    fn state(&mut self, entry: &StateEntry) -> String {
        let failure = entry.failure.as_ref();
        let why = failure.and_then(|failure| failure.message.lines().next());
        let why = why.map(|why| format!(": {}", printable(why)));
        let why = why.unwrap_or_default();
        match entry.state {
            State::Accepted => {
                let text = format!("accepted by {}", self.server);
                self.line(Style::Dim, &text)
            }
            State::RollingBack => self.line(Style::Warn, &format!("rolling back{why}")),
            State::Interrupted if entry.retry_at.is_some() => {
                let text = format!("interrupted{why}; it will be tried again");
                self.line(Style::Warn, &text)
            }
            // What is usual says itself, and how it ended is told at the end.
            _ => String::new(),
        }
    }

    fn line(&mut self, style: Style, text: &str) -> String {
        format!("{}{}\n", self.end_line(), self.screen.paint(style, text))
    }
}

/// `[3/9]`, or `[3]` where nobody knows of how many.
pub(super) fn place(position: u16, total: u16) -> String {
    match total {
        0 => format!("[{position}]"),
        _ => format!("[{position}/{total}]"),
    }
}

/// The attempt that an event is about.
pub(super) fn attempt_of(event: &Event) -> Attempt {
    match event {
        Event::Log(entry) => entry.attempt,
        Event::Step(entry) => entry.attempt,
        Event::State(entry) => entry.attempt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kolga_protocol::message::{Failure, Level};

    use crate::wire::LogEntry;

    fn state(state: State, failure: Option<&str>) -> Event {
        Event::State(StateEntry {
            seq: 0,
            attempt: Attempt::FIRST,
            at: UnixMillis(0),
            state,
            finished: state.is_terminal(),
            retry_at: None,
            failure: failure.map(Failure::plain),
        })
    }

    fn step(at: i64, position: u16, phase: StepPhase) -> Event {
        Event::Step(StepEntry {
            seq: 0,
            attempt: Attempt::FIRST,
            at: UnixMillis(at),
            name: "create_database".to_owned(),
            position,
            total: 9,
            phase,
        })
    }

    fn log(attempt: u32, text: &str) -> Event {
        Event::Log(LogEntry {
            seq: 0,
            attempt: Attempt(attempt),
            at: UnixMillis(0),
            level: Level::Info,
            step: None,
            text: text.to_owned(),
        })
    }

    fn told(events: &[Event]) -> String {
        let screen = Screen::new(false, true);
        let server = "web1".parse().expect("a good name");
        let mut live = Live::new(&screen, &server);
        events.iter().map(|event| live.tell(event)).collect()
    }

    #[test]
    fn a_quiet_step_is_one_line_with_its_time() {
        let events = [
            state(State::Accepted, None),
            state(State::Running, None),
            step(1000, 3, StepPhase::Applying),
            step(1240, 3, StepPhase::Applied),
            state(State::Succeeded, None),
        ];
        assert_eq!(
            told(&events),
            "accepted by web1\n[3/9] create_database … done 0.2s\n"
        );
    }

    #[test]
    fn the_log_of_a_step_stands_between_its_beginning_and_its_end() {
        let events = [
            step(0, 3, StepPhase::Applying),
            log(1, "wp_posts\x1b[2J"),
            step(61_000, 3, StepPhase::Applied),
        ];
        assert_eq!(
            told(&events),
            "[3/9] create_database … \n      wp_posts\\u{1b}[2J\n\
             [3/9] create_database … done 1m 01s\n"
        );
    }

    #[test]
    fn a_rollback_says_why_and_what_it_undoes() {
        let mut events = [
            step(0, 3, StepPhase::Applying),
            state(State::RollingBack, Some("the disk is full\nmore")),
            step(500, 3, StepPhase::Undoing),
            step(900, 3, StepPhase::Undone),
        ];
        for event in &mut events[2..] {
            if let Event::Step(step) = event {
                step.total = 0;
            }
        }
        assert_eq!(
            told(&events),
            "[3/9] create_database … \nrolling back: the disk is full\n\
             [3/9] create_database … undoing … undone 0.4s\n"
        );
    }

    #[test]
    fn a_new_attempt_is_announced_once() {
        assert_eq!(
            told(&[log(1, "a"), log(2, "b"), log(2, "c")]),
            "      a\nAttempt 2\n      b\n      c\n"
        );
    }
}
