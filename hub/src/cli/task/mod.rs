//! `kolga task`: what was asked for, how it went, and what to do about it.

mod list;
mod log;
mod show;

use std::str::FromStr;

use clap::Subcommand;
use kolga_protocol::id::Attempt;
use kolga_protocol::state::State;
use reqwest::Method;

use super::client::Client;
use super::follow::Follow;
use super::result::{self, state_name};
use super::screen::Screen;
use super::trouble::Trouble;
use crate::wire::{TaskAnswer, TaskDetail};

pub(super) use log::log_lines;

/// What is not there is said, so that nobody takes what is there for all.
const PRUNED: &str = "The log of this task, or the beginning of it, was pruned: it ended longer ago than the \
                      hub's [retention] keeps logs.";

/// What can be done with tasks.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List tasks, the newest first
    #[command(
        visible_alias = "ls",
        after_help = "\
Examples:
  kolga task list --state failed --server web1
  kolga task list --object site:blog.example.org --limit 5"
    )]
    List(list::List),
    /// Show one task: its attempts, its steps, what came of it
    Show {
        /// Its id, or so much of its beginning or end that it is the only one
        #[arg(value_name = "TASK")]
        task: Ref,
    },
    /// Print a task's log
    #[command(after_help = "Example:\n  kolga task log 3f9a2b1c --follow")]
    Log {
        /// Its id, or so much of its beginning or end that it is the only one
        #[arg(value_name = "TASK")]
        task: Ref,
        /// Go on, with its steps, until it ends
        #[arg(long, short)]
        follow: bool,
    },
    /// Wait for tasks to end; exit code 1 unless all succeeded
    Wait {
        /// Their ids
        #[arg(value_name = "TASK", required = true)]
        tasks: Vec<Ref>,
    },
    /// Drop a task that has not begun, or roll back one that runs
    Cancel {
        /// Its id, or so much of its beginning or end that it is the only one
        #[arg(value_name = "TASK")]
        task: Ref,
        /// Return only when the task has ended; exit code 1 unless it ended as cancelled
        #[arg(long, short)]
        wait: bool,
    },
    /// Make a new attempt at a task that has ended without success
    Retry {
        /// Its id, or so much of its beginning or end that it is the only one
        #[arg(value_name = "TASK")]
        task: Ref,
        #[command(flatten)]
        follow: Follow,
    },
}

/// An id of a task, or a part of one; the hub knows which are unambiguous.
#[derive(Clone, Debug)]
pub(super) struct Ref(String);

impl FromStr for Ref {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = (4..=36).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        if fits {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(
                "a task's id is made of 0-9, a-f and hyphens; give all of it, or at least four \
                 characters of its beginning or end"
                    .to_owned(),
            )
        }
    }
}

impl Ref {
    async fn detail(&self, client: &Client) -> Result<TaskDetail, Trouble> {
        client.get(&format!("/v1/tasks/{}", self.0), &[]).await
    }
}

impl Command {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        match self {
            Self::List(list) => list.run(client, screen).await,
            Self::Show { task } => {
                let detail = task.detail(client).await?;
                if screen.is_json() {
                    return Ok(screen.json(&detail)?);
                }
                show::show(screen, &detail)
            }
            Self::Log { task, follow } => {
                let task = task.detail(client).await?.task;
                if follow {
                    return Follow::WATCH
                        .stay(client, screen, &task, Attempt::FIRST, State::Succeeded)
                        .await;
                }
                if task.log_pruned {
                    screen.note(PRUNED);
                }
                log::print(client, screen, &task).await
            }
            Self::Wait { tasks } => wait(client, screen, &tasks).await,
            Self::Cancel { task, wait } => {
                let path = format!("/v1/tasks/{}/cancel", task.detail(client).await?.task.id);
                let answer: TaskAnswer = client.act(Method::POST, &path).await?;
                if wait {
                    let from = answer.task.attempt;
                    return Follow::WAIT
                        .stay(client, screen, &answer.task, from, State::Cancelled)
                        .await;
                }
                if screen.is_json() {
                    return Ok(screen.json(&answer)?);
                }
                let word = state_name(answer.task.state);
                let subject = result::subject(&answer.task);
                Ok(screen.line(&format!(
                    "Cancel asked for: {subject}, now {word}. See how it ends: kolga task wait {}",
                    answer.task.id
                ))?)
            }
            Self::Retry { task, follow } => {
                let path = format!("/v1/tasks/{}/retry", task.detail(client).await?.task.id);
                let answer: TaskAnswer = client.act(Method::POST, &path).await?;
                follow.conclude(client, screen, &answer.task, &answer).await
            }
        }
    }
}

/// One after the other: the last to end is the end of all.
async fn wait(client: &Client, screen: &Screen, tasks: &[Ref]) -> Result<(), Trouble> {
    let mut worst = Ok(());
    for task in tasks {
        let task = task.detail(client).await?.task;
        match Follow::WAIT
            .stay(client, screen, &task, Attempt::FIRST, State::Succeeded)
            .await
        {
            Err(Trouble::TaskFailed) => worst = Err(Trouble::TaskFailed),
            other => other?,
        }
    }
    worst
}
