//! `kolga site move` and `kolga site release`: a site comes to another server, or back from where it was held.

use clap::Args;
use kolga_protocol::names::{HostName, PlatformName, ServerName};
use kolga_protocol::task::Kind;
use serde_json::{Map, json};

use super::super::client::Client;
use super::super::follow::Follow;
use super::super::op::progress;
use super::super::screen::Screen;
use super::super::trouble::Trouble;
use super::act::ask_for;
use crate::wire::{NewMove, NewTask, OperationAnswer, TaskAnswer, TaskDetail};

/// `kolga site move`
#[derive(Debug, Args)]
pub(in crate::cli) struct Move {
    /// The site's name
    host: HostName,
    /// The server that is to have it
    #[arg(long, value_name = "SERVER")]
    to_server: ServerName,
    /// The platform there whose code it is to use, if not the one of the same name as here
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<PlatformName>,
    #[command(flatten)]
    follow: Follow,
}

/// `kolga site release`
#[derive(Debug, Args)]
pub(in crate::cli) struct Release {
    /// The site's name
    host: HostName,
    /// The server that holds it, for a site that this hub does not know
    #[arg(long, value_name = "SERVER")]
    on: Option<ServerName>,
    #[command(flatten)]
    follow: Follow,
}

impl Move {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let wish = NewMove {
            server: self.to_server,
            platform: self.platform,
        };
        let path = format!("/v1/sites/{}/move", self.host);
        let answer: OperationAnswer = client.post(&path, &wish).await?;
        progress::conclude(self.follow, client, screen, &answer).await
    }
}

impl Release {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let Some(server) = self.on else {
            let (kind, params) = (Kind::SiteRelease, Map::new());
            return ask_for(&self.host, kind, params, self.follow, client, screen).await;
        };
        let wish = NewTask {
            server,
            kind: Kind::SiteRelease.as_str().to_owned(),
            params: json!({"site": self.host}),
            count: None,
        };
        let made: crate::wire::NewTasks = client.post("/v1/tasks", &wish).await?;
        let id = made.tasks.first().ok_or(Trouble::TaskFailed)?;
        let detail: TaskDetail = client.get(&format!("/v1/tasks/{id}"), &[]).await?;
        let answer = TaskAnswer { task: detail.task };
        self.follow
            .conclude(client, screen, &answer.task, &answer)
            .await
    }
}
