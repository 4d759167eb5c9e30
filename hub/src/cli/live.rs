//! A task's events as lines on the screen: steps with their times, the log between them, changes of
//! state where they matter. `follow` hands it the events.

use std::collections::BTreeMap;

use kolga_protocol::id::{Attempt, UnixMillis};
use kolga_protocol::message::{StepPhase, printable};
use kolga_protocol::state::State;

use super::result;
use super::screen::{Screen, Style};
use super::task::log_line;
use super::time::span;
use super::trouble::Trouble;
use crate::wire::{Event, StateEntry, StepEntry, Task};

/// What stands on the screen: the last line may still be open, waiting for its step to be done.
pub(super) struct Live<'a> {
    screen: &'a Screen,
    server: String,
    attempt: Attempt,
    open: bool,
    waiting: Option<String>,
    began: BTreeMap<u16, UnixMillis>,
}

impl<'a> Live<'a> {
    /// An empty screen.
    pub(super) fn new(screen: &'a Screen, task: &Task) -> Self {
        Self {
            screen,
            server: task.server.to_string(),
            attempt: Attempt::FIRST,
            open: false,
            waiting: None,
            began: BTreeMap::new(),
        }
    }

    /// Shows what happened.
    pub(super) fn show(&mut self, event: &Event) -> Result<(), Trouble> {
        let attempt = attempt_of(event);
        if attempt > self.attempt {
            self.attempt = attempt;
            self.line(Style::Bold, &format!("Attempt {attempt}"))?;
        }
        match event {
            Event::Log(entry) => {
                self.break_line()?;
                let text = format!("      {}", log_line(self.screen, entry));
                Ok(self.screen.line(&text)?)
            }
            Event::Step(entry) => self.step(entry),
            Event::State(entry) => self.state(entry),
        }
    }

    /// Shows what the task waits for, where that is news.
    pub(super) fn waits_for(&mut self, what: Option<String>) -> Result<(), Trouble> {
        if what.is_some() && what != self.waiting {
            self.line(Style::Warn, &result::waits(what.as_deref()))?;
        }
        self.waiting = what;
        Ok(())
    }

    fn step(&mut self, step: &StepEntry) -> Result<(), Trouble> {
        let head = format!(
            "[{}/{}] {} … ",
            step.position,
            step.total,
            printable(&step.name)
        );
        let (style, word) = match step.phase {
            StepPhase::Applying => {
                self.began.insert(step.position, step.at);
                self.break_line()?;
                self.open = true;
                return Ok(self.screen.write(&head)?);
            }
            StepPhase::Undoing => {
                self.began.insert(step.position, step.at);
                self.break_line()?;
                self.open = true;
                return Ok(self.screen.write(&format!("{head}undoing "))?);
            }
            StepPhase::Applied => (Style::Good, "done"),
            StepPhase::Undone => (Style::Warn, "undone"),
            StepPhase::Retrying => (Style::Warn, "failed, will be tried again"),
        };
        let began = self.began.get(&step.position).copied().unwrap_or(step.at);
        let word = self.screen.paint(style, word);
        // The line that the step opened may have been broken by its log.
        let head = if self.open { "" } else { &head };
        self.open = false;
        Ok(self
            .screen
            .line(&format!("{head}{word} {}", span(began, step.at)))?)
    }

    fn state(&mut self, entry: &StateEntry) -> Result<(), Trouble> {
        let why = match &entry.failure {
            Some(failure) => format!(": {}", printable(&failure.message)),
            None => String::new(),
        };
        match entry.state {
            State::Accepted => {
                let server = self.server.clone();
                self.line(Style::Dim, &format!("accepted by {server}"))
            }
            State::RollingBack => self.line(Style::Warn, &format!("rolling back{why}")),
            State::Interrupted if entry.retry_at.is_some() => self.line(
                Style::Warn,
                &format!("interrupted{why}; it will be tried again"),
            ),
            // What is usual says itself, and how it ended is told at the end.
            _ => Ok(()),
        }
    }

    fn line(&mut self, style: Style, text: &str) -> Result<(), Trouble> {
        self.break_line()?;
        Ok(self.screen.line(&self.screen.paint(style, text))?)
    }

    /// Ends the open line.
    pub(super) fn break_line(&mut self) -> Result<(), Trouble> {
        if self.open {
            self.open = false;
            self.screen.line("")?;
        }
        Ok(())
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
