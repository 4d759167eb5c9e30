//! A task shown while it runs: its steps, its log, its end. Commands that make a task hand it on to
//! [`Follow::conclude`], which returns when the operator has seen as much as was asked for.

use std::time::Duration;

use clap::Args;
use kolga_protocol::id::{Attempt, TaskId};
use kolga_protocol::state::State;
use serde::Serialize;

use super::client::Client;
use super::events::Events;
use super::live::{Live, attempt_of};
use super::result;
use super::screen::{Screen, Style};
use super::trouble::Trouble;
use crate::wire::{Event, Task, TaskDetail};

/// So long without news, and the operator is told what the task waits for.
const QUIET: Duration = Duration::from_secs(3);

/// How long to stay.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Follow {
    /// Show live what happens, until it ends
    #[arg(long, short)]
    follow: bool,

    /// Return only when it has ended, and say what came of it
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

    /// Whether it stays until the task ends.
    pub(super) fn stays(self) -> bool {
        self.follow || self.wait
    }

    /// Whether to stay at all, and then whether to show what happens.
    pub(super) fn is_live(self) -> Option<bool> {
        (self.follow || self.wait).then_some(self.follow)
    }

    /// Ends a command that made a task: `answer` is what the hub said about it.
    pub(super) async fn conclude(
        self,
        client: &Client,
        screen: &Screen,
        task: &Task,
        answer: &impl Serialize,
    ) -> Result<(), Trouble> {
        if self.stays() {
            return self
                .stay(client, screen, task, task.attempt, State::Succeeded)
                .await;
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

    /// Shows a task from one attempt on until it ends, is stuck, or the operator leaves. Any end but the
    /// wanted one is a failure.
    pub(super) async fn stay(
        self,
        client: &Client,
        screen: &Screen,
        task: &Task,
        from: Attempt,
        wanted: State,
    ) -> Result<(), Trouble> {
        tokio::select! {
            done = self.watch(client, screen, task, from, wanted) => done,
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
        wanted: State,
    ) -> Result<(), Trouble> {
        let mut live = Live::new(screen, &task.server);
        let live_text = self.follow && !screen.is_json();
        if live_text {
            screen.line(&headline(screen, task))?;
        }
        let mut events = Events::open(client, task.id).await?;
        loop {
            let news = events.next();
            tokio::pin!(news);
            let event = loop {
                tokio::select! {
                    event = &mut news => break event?,
                    () = tokio::time::sleep(QUIET) => {}
                }
                // A hub that is away is the stream's to wait for.
                if live_text && let Ok(now) = detail(client, task).await {
                    screen.write(&live.waits_for(now.task.waiting))?;
                }
            };
            let Some(event) = event else { break };
            if attempt_of(&event) < from {
                continue;
            }
            if live_text {
                screen.write(&live.tell(&event))?;
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
            screen.write(live.end_line())?;
        }
        if !screen.is_json() {
            result::show(screen, &ended, self.follow)?;
        } else if !self.follow {
            screen.json(&ended)?;
        }
        if ended.task.state == wanted {
            Ok(())
        } else {
            Err(Trouble::TaskFailed)
        }
    }
}

/// Waits for the end of a task that was made to learn something, and shows nothing of it unless it fails.
pub(super) async fn outcome(
    client: &Client,
    screen: &Screen,
    task: TaskId,
) -> Result<TaskDetail, Trouble> {
    let path = format!("/v1/tasks/{task}");
    let made: TaskDetail = client.get(&path, &[]).await?;
    let mut events = Events::open(client, task).await?;
    loop {
        tokio::select! {
            event = events.next() => if event?.is_none() { break },
            () = tokio::time::sleep(QUIET) => {
                let now: TaskDetail = client.get(&path, &[]).await?;
                if let Some(what) = now.task.waiting {
                    screen.note(&format!("{} {}", result::subject(&made.task), result::waits(Some(&what))));
                }
            }
            _ = tokio::signal::ctrl_c() => return Err(Trouble::Interrupted),
        }
    }
    let ended: TaskDetail = client.get(&path, &[]).await?;
    if ended.task.state == State::Succeeded {
        return Ok(ended);
    }
    match screen.is_json() {
        true => screen.json(&ended)?,
        false => result::show(screen, &ended, false)?,
    }
    Err(Trouble::TaskFailed)
}

async fn detail(client: &Client, task: &Task) -> Result<TaskDetail, Trouble> {
    client.get(&format!("/v1/tasks/{}", task.id), &[]).await
}

fn headline(screen: &Screen, task: &Task) -> String {
    let what = result::subject(task);
    let id = task.id.to_string();
    format!("Task {}: {what}", screen.paint(Style::Bold, &id))
}
