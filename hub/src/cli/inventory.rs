//! `kolga server inventory`: what there is on a server, and where it is not what the hub's lists say.

use clap::Args;
use kolga_protocol::message::printable;
use kolga_protocol::names::ServerName;
use kolga_protocol::state::State;
use kolga_protocol::task::server_inventory::Output;
use reqwest::Method;

use super::client::Client;
use super::events::Events;
use super::result;
use super::screen::{Screen, Style};
use super::server::bytes;
use super::table::{Cell, Table};
use super::trouble::Trouble;
use crate::wire::{Difference, Inventory, TaskAnswer, TaskDetail};

/// `kolga server inventory`
#[derive(Debug, Args)]
pub(super) struct Take {
    /// Its name
    name: ServerName,
}

impl Take {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let path = format!("/v1/servers/{}/inventory", self.name);
        let answer: TaskAnswer = client.act(Method::POST, &path).await?;
        let id = answer.task.id;
        let mut events = Events::open(client, id).await?;
        while events.next().await?.is_some() {}
        let ended: TaskDetail = client.get(&format!("/v1/tasks/{id}"), &[]).await?;
        if ended.task.state != State::Succeeded {
            match screen.is_json() {
                true => screen.json(&ended)?,
                false => result::show(screen, &ended, false)?,
            }
            return Err(Trouble::TaskFailed);
        }
        let path = format!("/v1/tasks/{id}/inventory");
        let inventory: Inventory = client.get(&path, &[]).await?;
        if screen.is_json() {
            return Ok(screen.json(&inventory)?);
        }
        show(screen, &inventory.found)?;
        show_differences(screen, &inventory.differences)
    }
}

fn show(screen: &Screen, found: &Output) -> Result<(), Trouble> {
    let mut pairs = Table::pairs();
    for program in &found.programs {
        match &program.version {
            Some(version) => pairs.pair(&program.name, version.as_str()),
            None => pairs.pair(&program.name, "not there"),
        }
    }
    for disk in &found.disks {
        let (free, total) = (bytes(disk.free), bytes(disk.total));
        pairs.pair("disk", format!("{}: {free} free of {total}", disk.path));
    }
    pairs.show(screen)?;
    if !found.platforms.is_empty() {
        screen.line("")?;
        let mut table = Table::headed(["PLATFORM", "PROFILE", "VERSION"]);
        for platform in &found.platforms {
            table.row([
                platform.name.as_str().into(),
                platform.profile.as_deref().unwrap_or_default().into(),
                platform.version.as_deref().unwrap_or_default().into(),
            ]);
        }
        table.show(screen)?;
    }
    if !found.sites.is_empty() {
        screen.line("")?;
        let mut table = Table::headed(["SITE", "PROFILE", "PLATFORM", "VISITORS"]);
        for site in &found.sites {
            table.row([
                site.host.as_str().into(),
                site.profile.as_deref().unwrap_or_default().into(),
                site.platform.as_deref().unwrap_or_default().into(),
                match site.enabled {
                    Some(true) => "see it".into(),
                    Some(false) => Cell::styled(Style::Warn, "see that it is off"),
                    None => "".into(),
                },
            ]);
        }
        table.show(screen)?;
    }
    Ok(())
}

fn show_differences(screen: &Screen, differences: &[Difference]) -> Result<(), Trouble> {
    screen.line("")?;
    if differences.is_empty() {
        return Ok(screen.line("All of it is as the hub's lists and the server's own book say.")?);
    }
    let mut table = Table::headed(["WHAT", "NAME", "DIFFERENCE"]);
    for told in differences {
        table.row([
            told.what.as_str().into(),
            printable(&told.name).into(),
            Cell::styled(Style::Warn, printable(&told.difference)),
        ]);
    }
    table.show(screen)?;
    Ok(screen.line("Nothing was changed: what a record lacks may still be somebody's.")?)
}
