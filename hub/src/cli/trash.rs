//! `kolga trash`: what servers keep for a while of sites that were deleted, restored over or moved. The hub holds
//! no list of it: the server is asked each time, by a task.

use clap::{Args, Subcommand};
use kolga_protocol::id::TaskId;
use kolga_protocol::names::ServerName;
use kolga_protocol::task::{Kind, Output, trash_list};
use serde_json::{Value, json};

use super::client::Client;
use super::follow::{Follow, outcome};
use super::screen::Screen;
use super::table::Table;
use super::time::age;
use super::trouble::Trouble;
use crate::wire::{NewTask, NewTasks, TaskAnswer, TaskDetail};

/// What can be done with a server's trash.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List what is there, the newest first
    #[command(visible_alias = "ls")]
    List {
        /// Whose trash
        #[arg(long, value_name = "SERVER")]
        server: ServerName,
    },
    /// Bring a deleted site back as it was, under its own name
    #[command(after_help = "\
Examples:
  kolga trash restore blog.example.org --server web1 --follow
  kolga trash restore 3f9a2b1c --server web1 --follow       the end of an item's id

Refused while another site has its name or one of its aliases, or its platform is gone.")]
    Restore(Restore),
    /// Destroy an item, or all that is old enough, for good
    #[command(after_help = "\
Examples:
  kolga trash empty blog.example.org --server web1
  kolga trash empty --older-than 3 --server web1            days; 0 is everything

A worker does this by itself after `[trash] keep_days` (14) of its configuration.")]
    Empty(Empty),
}

/// `kolga trash restore`
#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The site that it was, or a part of the item's id
    item: String,
    /// Whose trash
    #[arg(long, value_name = "SERVER")]
    server: ServerName,
    #[command(flatten)]
    follow: Follow,
}

/// `kolga trash empty`
#[derive(Debug, Args)]
pub(super) struct Empty {
    /// The site that it was, or a part of the item's id
    #[arg(required_unless_present = "older_than")]
    item: Option<String>,
    /// Whatever has lain there for so many days; 0 is everything
    #[arg(long, value_name = "DAYS", conflicts_with = "item")]
    older_than: Option<u32>,
    /// Whose trash
    #[arg(long, value_name = "SERVER")]
    server: ServerName,
    #[command(flatten)]
    follow: Follow,
}

impl Command {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        match self {
            Self::List { server } => show(&list(client, screen, &server).await?, screen),
            Self::Restore(restore) => {
                let found = find(client, screen, &restore.server, &restore.item).await?;
                let params = json!({"item": found.id, "site": found.site});
                let made = ask(client, &restore.server, Kind::TrashRestore, params).await?;
                conclude(client, screen, made, restore.follow).await
            }
            Self::Empty(empty) => {
                let item: Option<TaskId> = match &empty.item {
                    Some(part) => Some(find(client, screen, &empty.server, part).await?.id),
                    None => None,
                };
                let params = json!({"item": item, "older_than_days": empty.older_than});
                let made = ask(client, &empty.server, Kind::TrashEmpty, params).await?;
                conclude(client, screen, made, empty.follow).await
            }
        }
    }
}

/// Asks a server for a task.
pub(super) async fn ask(
    client: &Client,
    server: &ServerName,
    kind: Kind,
    params: Value,
) -> Result<TaskId, Trouble> {
    let wish = NewTask {
        server: server.clone(),
        kind: kind.as_str().to_owned(),
        params,
        count: None,
    };
    let made: NewTasks = client.post("/v1/tasks", &wish).await?;
    made.tasks.first().copied().ok_or_else(|| Trouble::Usage {
        message: "the hub made no task".to_owned(),
        hint: "See `kolga doctor`.".to_owned(),
    })
}

/// Stays with that task as long as the operator wants.
pub(super) async fn conclude(
    client: &Client,
    screen: &Screen,
    made: TaskId,
    follow: Follow,
) -> Result<(), Trouble> {
    let task = client
        .get::<TaskDetail>(&format!("/v1/tasks/{made}"), &[])
        .await?
        .task;
    let answer = TaskAnswer { task };
    follow.conclude(client, screen, &answer.task, &answer).await
}

/// What the server says.
async fn list(
    client: &Client,
    screen: &Screen,
    server: &ServerName,
) -> Result<trash_list::Output, Trouble> {
    let made = ask(client, server, Kind::TrashList, json!({})).await?;
    let ended = outcome(client, screen, made).await?;
    let output = json!({"kind": Kind::TrashList.as_str(), "output": ended.output});
    match serde_json::from_value(output) {
        Ok(Output::TrashList(output)) => Ok(output),
        _ => Err(Trouble::Usage {
            message: format!("what {server} says of its trash cannot be read"),
            hint: "Is this command of the hub's release? See `kolga --version`.".to_owned(),
        }),
    }
}

/// The one item that is meant.
async fn find(
    client: &Client,
    screen: &Screen,
    server: &ServerName,
    part: &str,
) -> Result<trash_list::Item, Trouble> {
    let all = list(client, screen, server).await?;
    choose(all.items, part).map_err(|message| Trouble::Usage {
        message,
        hint: format!("See `kolga trash list --server {server}`."),
    })
}

fn choose(items: Vec<trash_list::Item>, part: &str) -> Result<trash_list::Item, String> {
    let is_meant = |item: &trash_list::Item| {
        let id = item.id.to_string();
        let is_part = part.len() >= 4 && (id.starts_with(part) || id.ends_with(part));
        item.site.site.as_str() == part || is_part
    };
    let mut found: Vec<_> = items.into_iter().filter(is_meant).collect();
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(format!("nothing in the trash is called {part}")),
        several => {
            let ids: Vec<String> = found.iter().map(|item| item.id.to_string()).collect();
            Err(format!(
                "{part} stands for {several} items: {}",
                ids.join(", ")
            ))
        }
    }
}

fn show(output: &trash_list::Output, screen: &Screen) -> Result<(), Trouble> {
    if screen.is_json() {
        return Ok(screen.json(output)?);
    }
    if output.items.is_empty() {
        return Ok(screen.line("Nothing is in the trash.")?);
    }
    let mut table = Table::headed(["ID", "SITE", "WHY", "AGE", "SIZE", "HOLDS"]);
    for item in &output.items {
        let holds = match (item.folder, &item.database) {
            (true, None) => "the folder".to_owned(),
            (true, Some(name)) => format!("the folder, the database {name}"),
            (false, Some(name)) => format!("the database {name}"),
            (false, None) => "the entry".to_owned(),
        };
        table.row([
            item.id.to_string().into(),
            item.site.site.as_str().into(),
            item.why.as_str().into(),
            age(item.at).into(),
            format!("{:.1} MiB", item.bytes as f64 / 1_048_576.0).into(),
            holds.into(),
        ]);
    }
    table.show(screen)?;
    if output.more > 0 {
        screen.line(&format!("and {} older ones", output.more))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, host: &str) -> trash_list::Item {
        let item = json!({
            "id": id, "why": "site.delete", "at": 1, "folder": true, "database": null, "bytes": 0,
            "site": {"site": host, "profile": "static"},
        });
        serde_json::from_value(item).expect("an item")
    }

    #[test]
    fn an_item_is_found_by_its_site_or_a_part_of_its_id_and_only_when_that_is_one() {
        let ids = [
            "01890a5d-ac96-774b-bcce-b302099a8057",
            "01890a5d-ac96-774b-bcce-b302099affff",
        ];
        let two = || vec![item(ids[0], "a.test"), item(ids[1], "b.test")];
        assert_eq!(choose(two(), "b.test"), Ok(item(ids[1], "b.test")));
        assert_eq!(choose(two(), "8057"), Ok(item(ids[0], "a.test")));
        assert!(choose(two(), "01890a5d").is_err(), "both");
        assert!(choose(two(), "7").is_err(), "too short");
        let same = vec![item(ids[0], "a.test"), item(ids[1], "a.test")];
        let told = choose(same, "a.test").expect_err("two");
        assert!(told.contains(ids[0]) && told.contains(ids[1]), "{told}");
    }
}
