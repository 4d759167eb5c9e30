//! `kolga site`: the sites.

use std::io::{self, BufRead, IsTerminal};

use clap::{Args, Subcommand};
use kolga_protocol::names::{
    HostName, OptionName, OptionValue, PlatformName, ProfileName, ServerName, SiteAlias,
};
use kolga_protocol::task::Kind;
use reqwest::Method;

use super::client::Client;
use super::follow::Follow;
use super::page::{self, Part};
use super::platform::condition;
use super::screen::Screen;
use super::table::Table;
use super::time::{age, instant};
use super::trouble::Trouble;
use crate::wire::{NewSite, Site, SiteAnswer, TaskAnswer};

/// What can be done with sites.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Install a new site
    #[command(after_help = "\
Examples:
  kolga site install hello.example.org --server web1 --profile static --follow
  kolga site install blog.example.org --server web1 --profile wordpress --platform wp \\
        --alias www.blog.example.org --option title='My blog' --follow

The passwords of the site are made on its server and stay there; the result names the file, and
`kolga-worker secret show HOST` prints it there.")]
    Install(Install),
    /// Delete a site with its files and its database
    #[command(after_help = "Example:\n  kolga site delete blog.example.org --follow")]
    Delete {
        /// Its name
        host: HostName,
        /// Do not ask, even on a terminal
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        follow: Follow,
    },
    /// List the sites
    #[command(visible_alias = "ls")]
    List {
        /// Only those on this server
        #[arg(long, value_name = "SERVER")]
        server: Option<ServerName>,
        #[command(flatten)]
        part: Part,
    },
    /// Show one site
    Show {
        /// Its name
        host: HostName,
    },
}

/// `kolga site install`
#[derive(Debug, Args)]
pub(super) struct Install {
    /// Its name in DNS
    host: HostName,
    /// Where to install it
    #[arg(long, value_name = "SERVER")]
    server: ServerName,
    /// The kind of site, such as static, php or wordpress
    #[arg(long, value_name = "PROFILE")]
    profile: ProfileName,
    /// The platform that it shares with others, where the profile wants one
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<PlatformName>,
    /// Another name that it answers to, *.example.org too; may be given again
    #[arg(long = "alias", value_name = "HOST")]
    aliases: Vec<SiteAlias>,
    /// What the profile lets you choose, such as title='My blog'; may be given again
    #[arg(long = "option", short, value_name = "NAME=VALUE", value_parser = option)]
    options: Vec<(OptionName, OptionValue)>,
    #[command(flatten)]
    follow: Follow,
}

impl Command {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        match self {
            Self::Install(install) => install.run(client, screen).await,
            Self::Delete { host, yes, follow } => {
                if !yes && !screen.is_json() {
                    confirm(screen, &host)?;
                }
                delete(client, screen, &host, follow).await
            }
            Self::List { server, part } => list(client, screen, server, part).await,
            Self::Show { host } => {
                let site: Site = client.get(&format!("/v1/sites/{host}"), &[]).await?;
                if screen.is_json() {
                    return Ok(screen.json(&site)?);
                }
                Ok(describe(&site).show(screen)?)
            }
        }
    }
}

impl Install {
    async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let wish = NewSite {
            host: self.host,
            server: self.server,
            profile: self.profile,
            platform: self.platform,
            aliases: self.aliases,
            options: self.options.into_iter().collect(),
        };
        let answer: SiteAnswer = client.post("/v1/sites", &wish).await?;
        self.follow
            .conclude(client, screen, &answer.task, &answer)
            .await
    }
}

async fn delete(
    client: &Client,
    screen: &Screen,
    host: &HostName,
    follow: Follow,
) -> Result<(), Trouble> {
    let path = format!("/v1/sites/{host}");
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
fn confirm(screen: &Screen, host: &HostName) -> Result<(), Trouble> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Ok(());
    }
    screen.write(&format!(
        "This deletes {host} with its files and its database. Type its name to go on: "
    ))?;
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

async fn list(
    client: &Client,
    screen: &Screen,
    server: Option<ServerName>,
    part: Part,
) -> Result<(), Trouble> {
    let list = page::List {
        path: "/v1/sites",
        query: server
            .map(|server| ("server", server.to_string()))
            .into_iter()
            .collect(),
        command: "kolga site list",
        cursor: "after",
        empty: "No sites here. Install one with: kolga site install --help",
    };
    let heading = Table::headed(["HOST", "SERVER", "PROFILE", "PLATFORM", "STATE", "AGE"]);
    list.show(client, screen, part, heading, |table, site: &Site| {
        table.row([
            site.host.as_str().into(),
            site.server.as_str().into(),
            site.profile.as_str().into(),
            site.platform.as_ref().map_or("", AsRef::as_ref).into(),
            condition(site.condition),
            age(site.created_at).into(),
        ]);
    })
    .await
}

fn describe(site: &Site) -> Table {
    let mut table = Table::pairs();
    table.pair("site", site.host.as_str());
    table.pair_if("url", site.url.as_deref());
    table.pair("server", site.server.as_str());
    table.pair("profile", site.profile.as_str());
    table.pair_if("platform", site.platform.as_ref());
    table.pair("state", condition(site.condition));
    for alias in &site.aliases {
        table.pair("alias", alias);
    }
    for (name, value) in &site.options {
        table.pair("option", format!("{name}={value}"));
    }
    table.pair("asked for", instant(site.created_at));
    table.pair_if("last task", site.task.map(|id| id.to_string()));
    table
}

fn option(text: &str) -> Result<(OptionName, OptionValue), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("write it as NAME=VALUE, such as title='My blog'")?;
    let name = name.parse().map_err(|e| format!("{e}"))?;
    let value = value.parse().map_err(|e| format!("{e}"))?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::option;

    #[test]
    fn an_option_is_a_name_and_a_value_that_may_hold_anything_printable() {
        let (name, value) = option("title=a = b").expect("a good option");
        assert_eq!((name.as_str(), value.as_str()), ("title", "a = b"));
        assert!(option("title").is_err());
        assert!(option("Title=x").is_err());
        assert!(option("title=a\nb").is_err());
    }
}
