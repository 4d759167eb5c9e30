//! A task shown while it runs: its steps, its log, its end. Commands that make a task hand it on to
//! [`Follow::conclude`], which returns when the operator has seen as much as was asked for.

use std::collections::BTreeMap;

use clap::Args;
use kolga_protocol::id::{Attempt, UnixMillis};
use kolga_protocol::message::{StepPhase, printable};
use kolga_protocol::state::State;
use serde::Serialize;

use super::client::Client;
use super::events::Events;
use super::result;
use super::screen::{Screen, Style};
use super::task::log_line;
use super::time::span;
use super::trouble::Trouble;
use crate::wire::{Event, StateEntry, StepEntry, Task, TaskDetail};

/// How long to stay.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Follow {
    /// Show the task's steps and log live, until it ends
    #[arg(long, short)]
    follow: bool,

    /// Return only when the task has ended, and say what came of it
    #[arg(long, short)]
    wait: bool,
}

impl Follow {
    /// Stays to watch.
    pub(super) const WATCH: Self = Self {
        follow: true,
        wait: false,
    };
    /// Stays for the end.
    pub(super) const WAIT: Self = Self {
        follow: false,
        wait: true,
    };

    /// Ends a command that made a task: `answer` is what the hub said about it.
    pub(super) async fn conclude(
        self,
        client: &Client,
        screen: &Screen,
        task: &Task,
        answer: &impl Serialize,
    ) -> Result<(), Trouble> {
        if self.follow || self.wait {
            return self.stay(client, screen, task, task.attempt).await;
        }
        if screen.is_json() {
            return Ok(screen.json(answer)?);
        }
        screen.line(&headline(screen, task))?;
        screen.line(&format!(
            "Follow it with: kolga task log {} --follow",
            task.id
        ))?;
        Ok(())
    }

    /// Shows a task from one attempt on until it ends, is stuck, or the operator leaves.
    pub(super) async fn stay(
        self,
        client: &Client,
        screen: &Screen,
        task: &Task,
        from: Attempt,
    ) -> Result<(), Trouble> {
        tokio::select! {
            done = self.watch(client, screen, task, from) => done,
            _ = tokio::signal::ctrl_c() => {
                screen.note(&format!(
                    "\nThe task goes on. See it with `kolga task log {id} --follow`; stop it with \
                     `kolga task cancel {id}`.",
                    id = task.id
                ));
                Err(Trouble::Interrupted)
            }
        }
    }

    async fn watch(
        self,
        client: &Client,
        screen: &Screen,
        task: &Task,
        from: Attempt,
    ) -> Result<(), Trouble> {
        let mut live = Live::new(screen, task);
        let live_text = self.follow && !screen.is_json();
        if live_text {
            screen.line(&headline(screen, task))?;
        }
        let mut events = Events::open(client, task.id).await?;
        while let Some(event) = events.next().await? {
            if attempt_of(&event) < from {
                continue;
            }
            if live_text {
                live.show(&event)?;
            } else if self.follow {
                screen.json_line(&event)?;
            }
            // Nothing moves a stuck task but a person, who should hear of it now.
            if matches!(&event, Event::State(entry) if entry.state == State::Stuck)
                && detail(client, task).await?.task.state == State::Stuck
            {
                break;
            }
        }
        let ended = detail(client, task).await?;
        if live_text {
            live.break_line()?;
        }
        if !screen.is_json() {
            result::show(screen, &ended)?;
        } else if !self.follow {
            screen.json(&ended)?;
        }
        match ended.task.state {
            State::Succeeded => Ok(()),
            _ => Err(Trouble::TaskFailed),
        }
    }
}

async fn detail(client: &Client, task: &Task) -> Result<TaskDetail, Trouble> {
    client.get(&format!("/v1/tasks/{}", task.id), &[]).await
}

fn attempt_of(event: &Event) -> Attempt {
    match event {
        Event::Log(entry) => entry.attempt,
        Event::Step(entry) => entry.attempt,
        Event::State(entry) => entry.attempt,
    }
}

fn headline(screen: &Screen, task: &Task) -> String {
    let what = result::subject(task);
    let id = task.id.to_string();
    format!("Task {}: {what}", screen.paint(Style::Bold, &id))
}

/// What stands on the screen: the last line may still be open, waiting for its step to be done.
struct Live<'a> {
    screen: &'a Screen,
    server: String,
    attempt: Attempt,
    open: bool,
    began: BTreeMap<u16, UnixMillis>,
}

impl<'a> Live<'a> {
    fn new(screen: &'a Screen, task: &Task) -> Self {
        Self {
            screen,
            server: task.server.to_string(),
            attempt: Attempt::FIRST,
            open: false,
            began: BTreeMap::new(),
        }
    }

    fn show(&mut self, event: &Event) -> Result<(), Trouble> {
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

    fn break_line(&mut self) -> Result<(), Trouble> {
        if self.open {
            self.open = false;
            self.screen.line("")?;
        }
        Ok(())
    }
}
