//! Commands that name sites and ask for a task on each, wherever it is: a task on one, an operation over many.

use clap::Args;
use kolga_protocol::names::HostName;
use kolga_protocol::task::Kind;
use serde_json::{Map, Value};

use super::super::client::Client;
use super::super::follow::Follow;
use super::super::many::{CHOOSERS, Many, Work};
use super::super::screen::Screen;
use super::super::trouble::Trouble;
use crate::wire::{NewSiteTask, TaskAnswer};

/// Sites by name, or by options that choose them.
#[derive(Debug, Args)]
pub(in crate::cli) struct Sites {
    /// Its name; several, or options that choose, are one operation over many
    #[arg(value_name = "HOST", required_unless_present_any = CHOOSERS)]
    hosts: Vec<HostName>,
    #[command(flatten)]
    many: Many,
}

impl Sites {
    /// The site, where one is named and nothing is said about many.
    pub(super) fn one(&self) -> Option<&HostName> {
        match self.hosts.as_slice() {
            [host] if self.many.is_unsaid() => Some(host),
            _ => None,
        }
    }

    /// Asks for a task on the site, or for an operation over those that are meant.
    pub(super) async fn ask(
        self,
        kind: Kind,
        params: Map<String, Value>,
        follow: Follow,
        client: &Client,
        screen: &Screen,
    ) -> Result<(), Trouble> {
        if let Some(host) = self.one() {
            return ask_for(host, kind, params, follow, client, screen).await;
        }
        let work = Work {
            sites: self.hosts,
            ..Work::of(kind, params)
        };
        self.many.start(work, follow, client, screen).await
    }
}

/// Sites, and how long to stay.
#[derive(Debug, Args)]
pub(in crate::cli) struct Act {
    #[command(flatten)]
    sites: Sites,
    #[command(flatten)]
    follow: Follow,
}

impl Act {
    /// The site, where it is one.
    pub(super) fn one(&self) -> Option<&HostName> {
        self.sites.one()
    }

    /// Whether the command stays until all has ended.
    pub(super) fn stays(&self) -> bool {
        self.follow.stays()
    }

    /// Asks for tasks that need no more than the name of a site.
    pub(super) async fn ask(
        self,
        kind: Kind,
        client: &Client,
        screen: &Screen,
    ) -> Result<(), Trouble> {
        let (sites, follow) = (self.sites, self.follow);
        sites.ask(kind, Map::new(), follow, client, screen).await
    }
}

/// Asks for a task on a site, and stays as long as the operator wants.
pub(super) async fn ask_for(
    host: &HostName,
    kind: Kind,
    params: Map<String, Value>,
    follow: Follow,
    client: &Client,
    screen: &Screen,
) -> Result<(), Trouble> {
    let wish = NewSiteTask {
        kind: kind.as_str().to_owned(),
        params,
    };
    let path = format!("/v1/sites/{host}/tasks");
    let answer: TaskAnswer = client.post(&path, &wish).await?;
    follow.conclude(client, screen, &answer.task, &answer).await
}
