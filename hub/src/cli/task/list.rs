//! `kolga task list`.

use clap::Args;
use kolga_protocol::id::TaskId;
use kolga_protocol::names::ServerName;
use kolga_protocol::state::State;

use super::super::client::Client;
use super::super::live::place;
use super::super::page::{self, MOST};
use super::super::result::{object_name, state_name, style, waits};
use super::super::screen::Screen;
use super::super::table::{Cell, Table};
use super::super::time::age;
use super::super::trouble::Trouble;
use crate::wire::Task;

/// `kolga task list`
#[derive(Debug, Args)]
pub(crate) struct List {
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
    #[arg(long, value_name = "N", default_value_t = 30, conflicts_with = "all",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST)))]
    limit: u32,
    /// All of them, however many there are
    #[arg(long)]
    all: bool,
    /// Only those older than this task, to turn the page
    #[arg(long, value_name = "TASK")]
    before: Option<TaskId>,
}

impl List {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let mut query = Vec::new();
        query.extend(self.server.map(|server| ("server", server.to_string())));
        query.extend(self.state.map(|state| ("state", state.to_string())));
        query.extend(self.object.map(|object| ("object", object)));
        query.extend(self.before.map(|before| ("before", before.to_string())));
        let list = page::List {
            path: "/v1/tasks",
            query,
            command: "kolga task list",
            cursor: "before",
            empty: "No such tasks.",
        };
        let limit = (!self.all).then_some(self.limit);
        let heading = Table::headed(["ID", "KIND", "OBJECT", "SERVER", "STATE", "STEP", "AGE"]);
        list.show_part(client, screen, limit, heading, |table, task: &Task| {
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
        })
        .await
    }
}

/// The end of an id: its beginning is the time, and much the same for tasks of one day.
fn short(id: TaskId) -> String {
    let id = id.to_string();
    id[id.len() - 8..].to_owned()
}

/// Where it is, or what holds it up.
fn step_column(task: &Task) -> String {
    if task.waiting.is_some() {
        return waits(task.waiting.as_deref());
    }
    match &task.step {
        Some(step) if task.state != State::Succeeded => {
            format!("{} {}", place(step.position, step.total), step.name)
        }
        _ => String::new(),
    }
}
