//! `kolga task`: what was asked for, how it went, and what to do about it.

use std::str::FromStr;

use clap::{Args, Subcommand};
use kolga_protocol::id::{Attempt, TaskId};
use kolga_protocol::message::{Level, printable};
use kolga_protocol::names::ServerName;
use kolga_protocol::state::State;
use reqwest::Method;

use super::client::Client;
use super::follow::Follow;
use super::result::{self, object_name, state_name, style};
use super::screen::{Screen, Style};
use super::table::{Cell, Table};
use super::time::{age, clock, instant, span};
use super::trouble::Trouble;
use crate::wire::{LogEntry, Page, Task, TaskAnswer, TaskDetail};

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
    List(List),
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

/// `kolga task list`
#[derive(Debug, Args)]
pub(super) struct List {
    /// Only those of this server
    #[arg(long, value_name = "SERVER")]
    server: Option<ServerName>,
    /// Only those in this state: queued, sent, accepted, running, rolling_back, stuck, succeeded,
    /// failed, cancelled, interrupted, rejected
    #[arg(long, value_name = "STATE")]
    state: Option<State>,
    /// Only those that change this: server, platform:NAME or site:HOST
    #[arg(long, value_name = "OBJECT")]
    object: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Only those older than this task, to turn the page
    #[arg(long, value_name = "TASK")]
    before: Option<TaskId>,
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
                show(screen, &detail)
            }
            Self::Log { task, follow } => {
                let task = task.detail(client).await?.task;
                if follow {
                    return Follow::WATCH
                        .stay(client, screen, &task, Attempt::FIRST)
                        .await;
                }
                log(client, screen, &task).await
            }
            Self::Wait { tasks } => wait(client, screen, &tasks).await,
            Self::Cancel { task } => {
                let path = format!("/v1/tasks/{}/cancel", task.detail(client).await?.task.id);
                let answer: TaskAnswer = client.act(Method::POST, &path).await?;
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

impl List {
    async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let mut query = vec![("limit", self.limit.to_string())];
        query.extend(self.server.map(|server| ("server", server.to_string())));
        query.extend(self.state.map(|state| ("state", state.to_string())));
        query.extend(self.object.map(|object| ("object", object)));
        query.extend(self.before.map(|before| ("before", before.to_string())));
        let page: Page<Task> = client.get("/v1/tasks", &query).await?;
        if screen.is_json() {
            return Ok(screen.json(&page)?);
        }
        if page.items.is_empty() {
            return Ok(screen.line("No such tasks.")?);
        }
        let mut table = Table::headed(["ID", "KIND", "OBJECT", "SERVER", "STATE", "STEP", "AGE"]);
        for task in &page.items {
            table.row([
                short(task.id).into(),
                task.kind.as_str().into(),
                task.object
                    .as_deref()
                    .map(object_name)
                    .unwrap_or_default()
                    .into(),
                task.server.as_str().into(),
                Cell::styled(style(task.state), state_name(task.state)),
                step_column(task).into(),
                age(task.created_at).into(),
            ]);
        }
        table.show(screen)?;
        if let Some(next) = &page.next {
            screen.line(&format!(
                "Older ones: kolga task list --before {}",
                printable(next)
            ))?;
        }
        Ok(())
    }
}

/// The end of an id: its beginning is the time, and much the same for tasks of one day.
fn short(id: TaskId) -> String {
    let id = id.to_string();
    id[id.len() - 8..].to_owned()
}

fn step_column(task: &Task) -> String {
    match &task.step {
        Some(step) if task.state != State::Succeeded => {
            format!("{}/{} {}", step.position, step.total, step.name)
        }
        _ => String::new(),
    }
}

fn show(screen: &Screen, detail: &TaskDetail) -> Result<(), Trouble> {
    let task = &detail.task;
    let mut table = Table::pairs();
    table.pair("task", task.id.to_string());
    table.pair("kind", &task.kind);
    table.pair_if("object", task.object.as_deref());
    table.pair("server", task.server.as_str());
    table.pair("asked for", instant(task.created_at));
    table.pair("by", &task.requested_by);
    table.pair("params", detail.params.to_string());
    table.pair_if("next attempt", task.retry_at.map(instant));
    if task.cancel_requested && !task.finished {
        table.pair("cancel", Cell::styled(Style::Warn, "asked for"));
    }
    table.show(screen)?;
    for attempt in &detail.attempts {
        let state = screen.paint(style(attempt.state), &state_name(attempt.state));
        let from = attempt.started_at.unwrap_or(attempt.created_at);
        let took = attempt
            .ended_at
            .map(|to| span(from, to))
            .unwrap_or_default();
        screen.line("")?;
        screen.line(&format!(
            "Attempt {}: {state} {took} ({})",
            attempt.attempt,
            instant(from)
        ))?;
        let mut steps = Table::pairs();
        for step in &attempt.steps {
            steps.row([
                format!("  [{}/{}]", step.position, step.total).into(),
                step.name.as_str().into(),
                format!("{:?}", step.phase).to_lowercase().into(),
                clock(step.at).into(),
            ]);
        }
        steps.show(screen)?;
    }
    screen.line("")?;
    result::show(screen, detail)
}

async fn log(client: &Client, screen: &Screen, task: &Task) -> Result<(), Trouble> {
    let path = format!("/v1/tasks/{}/log", task.id);
    let mut query = vec![("limit", "1000".to_owned())];
    loop {
        let page: Page<LogEntry> = client.get(&path, &query).await?;
        for entry in &page.items {
            if screen.is_json() {
                screen.json_line(entry)?;
                continue;
            }
            let at = screen.paint(Style::Dim, &clock(entry.at));
            let step = entry.step.as_deref().map(printable).unwrap_or_default();
            let step = screen.paint(Style::Dim, &step);
            screen.line(&format!("{at} {step} {}", log_line(screen, entry)))?;
        }
        match page.next {
            Some(next) => {
                query.truncate(1);
                query.push(("after", next));
            }
            None => return Ok(()),
        }
    }
}

/// A line of a log as it may stand on a terminal.
pub(super) fn log_line(screen: &Screen, entry: &LogEntry) -> String {
    let text = printable(&entry.text);
    match entry.level {
        Level::Output => screen.paint(Style::Dim, &text),
        Level::Error => screen.paint(Style::Warn, &text),
        Level::Info => text,
        Level::Warn => screen.paint(Style::Warn, &format!("warning: {text}")),
    }
}

/// One after the other: the last to end is the end of all.
async fn wait(client: &Client, screen: &Screen, tasks: &[Ref]) -> Result<(), Trouble> {
    let mut worst = Ok(());
    for task in tasks {
        let task = task.detail(client).await?.task;
        match Follow::WAIT
            .stay(client, screen, &task, Attempt::FIRST)
            .await
        {
            Err(Trouble::TaskFailed) => worst = Err(Trouble::TaskFailed),
            other => other?,
        }
    }
    worst
}
