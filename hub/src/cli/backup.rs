//! `kolga backup`: what a server's backups hold. The hub keeps no list of its own, which could only be wrong: the
//! server is asked each time, by a task, and looks into its repository.

use clap::Subcommand;
use kolga_protocol::id::TaskId;
use kolga_protocol::names::{HostName, ServerName};
use kolga_protocol::task::{Kind, Output, backup_list};
use serde_json::json;

use super::client::Client;
use super::follow::outcome;
use super::screen::Screen;
use super::table::Table;
use super::time::{age, instant};
use super::trouble::Trouble;
use crate::wire::{NewTask, NewTasks, Site};

/// What can be done with backups. They are made by `kolga site backup`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the backups of a site or of a whole server, the newest first
    #[command(
        visible_alias = "ls",
        after_help = "\
Examples:
  kolga backup list --site blog.example.org
  kolga backup list --server web1                 also of sites that were deleted

An id is that of a snapshot of restic, with which all of it can be read without Kolga: docs/OPERATIONS.md."
    )]
    List {
        /// Only those of this site; its server needs not be named while it is there
        #[arg(long, value_name = "HOST", required_unless_present = "server")]
        site: Option<HostName>,
        /// Whose backups
        #[arg(long, value_name = "SERVER")]
        server: Option<ServerName>,
    },
}

impl Command {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        match self {
            Self::List { site, server } => {
                let server = match (server, &site) {
                    (None, Some(host)) => {
                        let site: Site = client.get(&format!("/v1/sites/{host}"), &[]).await?;
                        site.server
                    }
                    (server, _) => server.ok_or_else(|| unreadable("its server is missing"))?,
                };
                show(&list(client, screen, &server, site).await?, screen)
            }
        }
    }
}

/// What the server says.
async fn list(
    client: &Client,
    screen: &Screen,
    server: &ServerName,
    site: Option<HostName>,
) -> Result<backup_list::Output, Trouble> {
    let wish = NewTask {
        server: server.clone(),
        kind: Kind::BackupList.as_str().to_owned(),
        params: json!({"site": site}),
        count: None,
    };
    let made: NewTasks = client.post("/v1/tasks", &wish).await?;
    let task: Option<TaskId> = made.tasks.first().copied();
    let task = task.ok_or_else(|| unreadable("the hub made no task"))?;
    let ended = outcome(client, screen, task).await?;
    let output = json!({"kind": Kind::BackupList.as_str(), "output": ended.output});
    match serde_json::from_value(output) {
        Ok(Output::BackupList(output)) => Ok(output),
        _ => Err(unreadable(
            "what the server says of its backups cannot be read",
        )),
    }
}

fn unreadable(message: &str) -> Trouble {
    Trouble::Usage {
        message: message.to_owned(),
        hint: "Is this command of the hub's release? See `kolga --version`.".to_owned(),
    }
}

fn show(output: &backup_list::Output, screen: &Screen) -> Result<(), Trouble> {
    if screen.is_json() {
        return Ok(screen.json(output)?);
    }
    if output.backups.is_empty() {
        return Ok(screen.line("No backups here. Make one with: kolga site backup HOST")?);
    }
    let mut table = Table::headed(["ID", "SITE", "MADE", "AGE"]);
    for backup in &output.backups {
        let id: String = backup.id.chars().take(8).collect();
        table.row([
            id.into(),
            backup.site.as_str().into(),
            instant(backup.at).into(),
            age(backup.at).into(),
        ]);
    }
    table.show(screen)?;
    if output.more > 0 {
        screen.line(&format!("and {} older ones", output.more))?;
    }
    Ok(())
}
