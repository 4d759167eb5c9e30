//! Commands that name a site and ask for a task on it, wherever it is.

use clap::Args;
use kolga_protocol::names::HostName;
use kolga_protocol::task::Kind;

use super::super::client::Client;
use super::super::follow::Follow;
use super::super::screen::Screen;
use super::super::trouble::Trouble;
use crate::wire::{NewSiteTask, TaskAnswer};

/// A site, and how long to stay.
#[derive(Debug, Args)]
pub(in crate::cli) struct Act {
    /// Its name
    host: HostName,
    #[command(flatten)]
    follow: Follow,
}

impl Act {
    /// Which site.
    pub(super) fn host(&self) -> &HostName {
        &self.host
    }

    /// Whether the command stays until the task ends.
    pub(super) fn stays(&self) -> bool {
        self.follow.stays()
    }

    /// Asks for a task that needs no more than the site's name.
    pub(super) async fn ask(
        self,
        kind: Kind,
        client: &Client,
        screen: &Screen,
    ) -> Result<(), Trouble> {
        let params = serde_json::Map::new();
        self.ask_with(kind, params, client, screen).await
    }

    /// Asks for a task with these parameters besides.
    pub(super) async fn ask_with(
        self,
        kind: Kind,
        params: serde_json::Map<String, serde_json::Value>,
        client: &Client,
        screen: &Screen,
    ) -> Result<(), Trouble> {
        ask_for(&self.host, kind, params, self.follow, client, screen).await
    }
}

/// Asks for a task on a site, and stays as long as the operator wants.
pub(super) async fn ask_for(
    host: &HostName,
    kind: Kind,
    params: serde_json::Map<String, serde_json::Value>,
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
