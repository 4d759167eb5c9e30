//! `kolga site delete`: a site and all that is its own.

use std::io::{self, BufRead, IsTerminal};

use clap::Args;
use kolga_protocol::names::HostName;
use kolga_protocol::task::Kind;
use reqwest::Method;

use super::super::client::Client;
use super::super::follow::Follow;
use super::super::screen::Screen;
use super::super::trouble::Trouble;
use crate::wire::TaskAnswer;

/// `kolga site delete`
#[derive(Debug, Args)]
pub(in crate::cli) struct Delete {
    /// Its name
    host: HostName,
    /// Make no backup before; otherwise one is made and read back, and without it nothing is deleted
    #[arg(long)]
    no_backup: bool,
    /// Do not ask, even on a terminal
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    follow: Follow,
}

impl Delete {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        if !self.yes {
            let kept = if self.no_backup {
                " and makes no backup of it"
            } else {
                ""
            };
            let what = format!(
                "This deletes {} with its files and its database{kept}",
                self.host
            );
            confirm(screen, &self.host, &what)?;
        }
        delete(client, screen, &self.host, self.no_backup, self.follow).await
    }
}

async fn delete(
    client: &Client,
    screen: &Screen,
    host: &HostName,
    no_backup: bool,
    follow: Follow,
) -> Result<(), Trouble> {
    let how = if no_backup { "?no_backup=true" } else { "" };
    let path = format!("/v1/sites/{host}{how}");
    let answer: TaskAnswer = client.act(Method::DELETE, &path).await?;
    if answer.task.kind == Kind::SiteDelete.as_str() {
        return follow.conclude(client, screen, &answer.task, &answer).await;
    }
    // The answer is the task that failed to make it: there was nothing on the server to delete.
    if screen.is_json() {
        return Ok(screen.json(&answer)?);
    }
    Ok(screen.line(&format!(
        "{host} was never installed; the hub has forgotten it."
    ))?)
}

/// Asks a person; scripts have decided already.
pub(in crate::cli) fn confirm(screen: &Screen, host: &HostName, what: &str) -> Result<(), Trouble> {
    if screen.is_json() || !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Ok(());
    }
    screen.write(&format!("{what}. Type its name to go on: "))?;
    let mut typed = String::new();
    io::stdin().lock().read_line(&mut typed)?;
    if typed.trim() == host.as_str() {
        return Ok(());
    }
    Err(Trouble::Usage {
        message: format!("that is not its name; {host} is as it was"),
        hint: "Type the name exactly, or give --yes.".to_owned(),
    })
}
