//! `kolga server`: the spokes.

use clap::Subcommand;
use kolga_protocol::message::Mood;
use kolga_protocol::names::ServerName;
use kolga_protocol::task::Kind;
use reqwest::Method;
use serde_json::{Map, json};

use super::client::Client;
use super::follow::Follow;
use super::inventory::Take;
use super::label::{self, Changes};
use super::many::{CHOOSERS, Many, Work};
use super::page::{self, Part};
use super::screen::{Screen, Style};
use super::table::{Cell, Table};
use super::time::{age, instant};
use super::trouble::Trouble;
use crate::selector::Glob;
use crate::wire::{
    NewServer, NewTask, NewTasks, Presence, RemovedServer, Server, TaskAnswer, TaskDetail,
    WorkerStatus,
};

/// What can be done with servers.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a new server known and make its queues; its worker is set up on the server itself
    #[command(after_help = "\
Example:
  kolga server add web1
  Then start kolga-worker there with `server = \"web1\"` in its configuration, and check it:
  kolga server verify web1 --follow")]
    Add {
        /// Its name: a-z, 0-9 and -
        name: ServerName,
    },
    /// List the servers, with what each does now
    #[command(visible_alias = "ls")]
    List(Part),
    /// Mark a server, for --label to choose by
    #[command(after_help = "Example:\n  kolga server label web1 zone=north old-")]
    Label {
        /// Its name
        name: ServerName,
        #[command(flatten)]
        changes: Changes,
    },
    /// Show one server
    Show {
        /// Its name
        name: ServerName,
    },
    /// Forget a server on which nothing lives any more, and remove its queues
    #[command(
        visible_alias = "rm",
        after_help = "\
Example:
  kolga server remove web1

Refused while sites or platforms live on it or tasks for it are open. Its ended tasks stay in the list.
Its worker is yours to stop, and its broker's user to remove: rabbitmqctl delete_user kolga-web1"
    )]
    Remove {
        /// Its name
        name: ServerName,
    },
    /// Let a server probe everything that sites will need, and say all that is wrong
    #[command(after_help = "\
Examples:
  kolga server verify web1 --follow
  kolga server verify --all --follow                every server, as one operation")]
    Verify {
        /// Its name; several, or options that choose, are one operation over many
        #[arg(value_name = "NAME", required_unless_present_any = CHOOSERS)]
        names: Vec<ServerName>,
        #[command(flatten)]
        follow: Follow,
        #[command(flatten)]
        many: Many,
    },
    /// Look what there is on a server, and where that is not what the hub's lists say; nothing is changed
    #[command(after_help = "Example:\n  kolga server inventory web1")]
    Inventory(Take),
    /// Let a server print numbered lines, to try the way of a log from a child on the server to here
    #[command(after_help = "Example:\n  kolga server print web1 --lines 1000 --follow")]
    Print {
        /// Its name
        name: ServerName,
        /// How many lines; a worker keeps the beginning and the end of a long log
        #[arg(long, value_name = "N", default_value_t = 10)]
        lines: u32,
        /// How long each is
        #[arg(long, value_name = "BYTES", default_value_t = 80)]
        line_bytes: u32,
        #[command(flatten)]
        follow: Follow,
    },
}

impl Command {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        match self {
            Self::Add { name } => {
                let server: Server = client.post("/v1/servers", &NewServer { name }).await?;
                if screen.is_json() {
                    return Ok(screen.json(&server)?);
                }
                let name = server.name;
                screen.line(&format!(
                    "Server {name} is known, and its queues are there."
                ))?;
                Ok(screen.line(&format!(
                    "Start kolga-worker on it with `server = \"{name}\"`, then: \
                     kolga server verify {name} --follow"
                ))?)
            }
            Self::List(part) => list(client, screen, part).await,
            Self::Label { name, changes } => {
                let path = format!("/v1/servers/{name}");
                changes
                    .make(&path, |server: &Server| &server.labels, client, screen)
                    .await
            }
            Self::Show { name } => {
                let server: Server = client.get(&format!("/v1/servers/{name}"), &[]).await?;
                if screen.is_json() {
                    return Ok(screen.json(&server)?);
                }
                Ok(describe(&server).show(screen)?)
            }
            Self::Remove { name } => {
                let path = format!("/v1/servers/{name}");
                let removed: RemovedServer = client.act(Method::DELETE, &path).await?;
                if screen.is_json() {
                    return Ok(screen.json(&removed)?);
                }
                screen.line(&format!("Server {name} is removed."))?;
                if !removed.queues_removed {
                    screen.line(&format!(
                        "Its queues are still there, since the broker could not be asked. When it \
                         can: rabbitmqctl -p kolga delete_queue tasks.{name}, and control.{name}"
                    ))?;
                }
                Ok(screen.line(&format!(
                    "Its worker and its broker's user stay until you remove them: \
                     rabbitmqctl delete_user kolga-{name}"
                ))?)
            }
            Self::Verify {
                names,
                follow,
                many,
            } => verify(names, follow, many, client, screen).await,
            Self::Inventory(take) => take.run(client, screen).await,
            Self::Print {
                name,
                lines,
                line_bytes,
                follow,
            } => {
                let wish = NewTask {
                    server: name,
                    kind: Kind::ServerPrint.as_str().to_owned(),
                    params: json!({"lines": lines, "line_bytes": line_bytes}),
                    count: None,
                };
                let made: NewTasks = client.post("/v1/tasks", &wish).await?;
                for task in made.tasks {
                    let path = format!("/v1/tasks/{task}");
                    let task = client.get::<TaskDetail>(&path, &[]).await?.task;
                    let answer = TaskAnswer { task };
                    follow
                        .conclude(client, screen, &answer.task, &answer)
                        .await?;
                }
                Ok(())
            }
        }
    }
}

async fn verify(
    names: Vec<ServerName>,
    follow: Follow,
    many: Many,
    client: &Client,
    screen: &Screen,
) -> Result<(), Trouble> {
    if let ([name], true) = (names.as_slice(), many.is_unsaid()) {
        let path = format!("/v1/servers/{name}/verify");
        let answer: TaskAnswer = client.act(Method::POST, &path).await?;
        return follow.conclude(client, screen, &answer.task, &answer).await;
    }
    let names = names.iter().map(Glob::from).collect();
    let work = Work::of(Kind::ServerVerify, Map::new());
    let many = many.with_servers(names);
    many.start(work, follow, client, screen).await
}

async fn list(client: &Client, screen: &Screen, part: Part) -> Result<(), Trouble> {
    let list = page::List {
        path: "/v1/servers",
        query: Vec::new(),
        command: "kolga server list",
        cursor: "after",
        empty: "No servers here. Add one with: kolga server add NAME",
    };
    let heading = Table::headed([
        "NAME", "WORKER", "SEEN", "DOES", "RUN", "WAIT", "STUCK", "OPEN", "LOAD", "FREE",
    ]);
    list.show(client, screen, part, heading, |table, server: &Server| {
        let worker = server.worker.as_ref();
        let count = |value: Option<u32>| value.map(|n| n.to_string()).unwrap_or_default();
        table.row([
            server.name.as_str().into(),
            presence(server.presence),
            server.seen_at.map(age).unwrap_or_default().into(),
            worker.map_or_else(|| "".into(), does),
            count(worker.map(|w| w.running)).into(),
            count(worker.map(|w| w.waiting)).into(),
            stuck(worker.map_or(0, |w| w.stuck)),
            server.open_tasks.to_string().into(),
            worker
                .map(|w| load(w.load_milli))
                .unwrap_or_default()
                .into(),
            worker
                .map(|w| bytes(w.disk_free))
                .unwrap_or_default()
                .into(),
        ]);
    })
    .await
}

fn describe(server: &Server) -> Table {
    let mut table = Table::pairs();
    table.pair("server", server.name.as_str());
    table.pair("worker", presence(server.presence));
    table.pair("added", instant(server.created_at));
    table.pair_if("last heard", server.seen_at.map(instant));
    table.pair("open tasks", server.open_tasks.to_string());
    table.pair_if("labels", label::shown(&server.labels));
    if let Some(worker) = &server.worker {
        table.pair("version", &worker.version);
        table.pair("does", mood(worker.mood));
        table.pair("running", worker.running.to_string());
        table.pair("waiting", worker.waiting.to_string());
        table.pair("stuck", stuck(worker.stuck));
        table.pair("reports to send", worker.spooled.to_string());
        table.pair("load", load(worker.load_milli));
        table.pair("free disk", bytes(worker.disk_free));
        if let Some(deferral) = &worker.deferring {
            table.pair("defers", Cell::styled(Style::Warn, &deferral.reason));
        }
    }
    table
}

fn presence(presence: Presence) -> Cell {
    match presence {
        Presence::Online => Cell::styled(Style::Good, "online"),
        Presence::Silent => Cell::styled(Style::Bad, "silent"),
        Presence::NeverSeen => Cell::styled(Style::Warn, "never seen"),
    }
}

fn stuck(count: u32) -> Cell {
    let style = if count == 0 { Style::Plain } else { Style::Bad };
    Cell::styled(style, count.to_string())
}

/// What it does with its queue, and that it lets tasks wait; why is for `server show`.
fn does(worker: &WorkerStatus) -> Cell {
    match &worker.deferring {
        Some(_) => Cell::styled(Style::Warn, format!("{}, defers", mood(worker.mood))),
        None => mood(worker.mood).into(),
    }
}

fn mood(mood: Mood) -> &'static str {
    match mood {
        Mood::Consuming => "takes tasks",
        Mood::Full => "backlog full",
        Mood::Paused => "paused",
        Mood::Draining => "stopping",
    }
}

fn load(milli: u32) -> String {
    format!("{}.{:02}", milli / 1000, milli % 1000 / 10)
}

/// A size, as people read it.
pub(super) fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count;
    let mut at = 0;
    while value >= 10 * 1024 && at + 1 < units.len() {
        value /= 1024;
        at += 1;
    }
    format!("{value} {}", units[at])
}
