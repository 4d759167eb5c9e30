//! `kolga recipe`: what operators have written down on their servers to be run from here. The hub keeps no list of it:
//! the server is asked each time, by a task. To run one is [`super::run`].

use clap::Subcommand;
use kolga_protocol::names::ServerName;
use kolga_protocol::task::{Kind, Output, recipe_list};
use reqwest::Method;
use serde_json::json;

use super::client::Client;
use super::follow::outcome;
use super::screen::{Screen, Style};
use super::table::{Cell, Table};
use super::trouble::Trouble;
use crate::wire::TaskAnswer;

/// What can be done with recipes.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the recipes that a server offers, and what each can be told
    #[command(
        visible_alias = "ls",
        after_help = "Example:\n  kolga recipe list --on web1"
    )]
    List {
        /// Which server
        #[arg(long, value_name = "SERVER")]
        on: ServerName,
    },
}

impl Command {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        match self {
            Self::List { on } => show(&list(client, screen, &on).await?, screen),
        }
    }
}

async fn list(
    client: &Client,
    screen: &Screen,
    server: &ServerName,
) -> Result<recipe_list::Output, Trouble> {
    let path = format!("/v1/servers/{server}/recipes");
    let answer: TaskAnswer = client.act(Method::POST, &path).await?;
    let ended = outcome(client, screen, answer.task.id).await?;
    let output = json!({"kind": Kind::RecipeList.as_str(), "output": ended.output});
    match serde_json::from_value(output) {
        Ok(Output::RecipeList(output)) => Ok(output),
        _ => Err(Trouble::Usage {
            message: "what the server says of its recipes cannot be read".to_owned(),
            hint: "Is this command of the hub's release? See `kolga --version`.".to_owned(),
        }),
    }
}

fn show(output: &recipe_list::Output, screen: &Screen) -> Result<(), Trouble> {
    if screen.is_json() {
        return Ok(screen.json(output)?);
    }
    if output.recipes.is_empty() {
        screen.line("No recipes there. docs/ADDING.md tells how to write one.")?;
    }
    let mut table = Table::pairs();
    for recipe in &output.recipes {
        let name = Cell::styled(Style::Bold, recipe.name.as_str());
        table.row([name, recipe.description.as_str().into()]);
        for param in &recipe.params {
            let mut told = format!("{}: {}", param.kind, param.accepts);
            if let Some(default) = &param.default {
                told.push_str(&format!("; {default:?} unless given"));
            }
            if !param.description.is_empty() {
                told.push_str(&format!(". {}", param.description));
            }
            table.row([format!("  {}", param.name).into(), told.into()]);
        }
    }
    table.show(screen)?;
    if output.more > 0 {
        screen.line(&format!("and {} more", output.more))?;
    }
    for broken in &output.broken {
        let text = kolga_protocol::message::printable(broken);
        screen.line(&format!("{} {text}", screen.paint(Style::Bad, "broken:")))?;
    }
    Ok(())
}
