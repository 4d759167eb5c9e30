//! `kolga site run`: a maintenance command of the site's profile.

use clap::Args;
use kolga_protocol::names::{CommandName, HostName};
use kolga_protocol::task::Kind;

use super::super::client::Client;
use super::super::follow::Follow;
use super::super::screen::Screen;
use super::super::trouble::Trouble;
use super::act::ask_for;

/// `kolga site run`
#[derive(Debug, Args)]
pub(in crate::cli) struct Run {
    /// The site's name
    host: HostName,
    /// The command's name
    #[arg(required_unless_present = "list")]
    command: Option<CommandName>,
    /// Show which commands there are, and run none
    #[arg(long, conflicts_with_all = ["command", "follow"])]
    list: bool,
    #[command(flatten)]
    follow: Follow,
}

impl Run {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let mut params = serde_json::Map::new();
        if let Some(command) = self.command {
            params.insert("command".to_owned(), command.as_str().into());
        }
        let follow = match self.list {
            true => Follow::WAIT,
            false => self.follow,
        };
        ask_for(&self.host, Kind::SiteRun, params, follow, client, screen).await
    }
}
