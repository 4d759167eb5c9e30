//! `kolga site run`: a maintenance command of the site's profile, on one site or on many.

use clap::Args;
use kolga_protocol::names::{CommandName, HostName};
use kolga_protocol::task::Kind;
use serde_json::Map;

use super::super::client::Client;
use super::super::follow::Follow;
use super::super::many::{Many, Work};
use super::super::screen::Screen;
use super::super::trouble::Trouble;
use super::act::ask_for;

/// `kolga site run`
#[derive(Debug, Args)]
pub(in crate::cli) struct Run {
    /// The site's name; left out where the options below choose sites
    #[arg(value_name = "HOST")]
    first: String,
    /// The command's name
    command: Option<CommandName>,
    /// Show which commands there are, and run none
    #[arg(long, conflicts_with_all = ["command", "follow"])]
    list: bool,
    #[command(flatten)]
    follow: Follow,
    #[command(flatten)]
    many: Many,
}

impl Run {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let mut params = Map::new();
        let (host, command) = self.what()?;
        if let Some(command) = command {
            params.insert("command".to_owned(), command.as_str().into());
        }
        let Some(host) = host else {
            let work = Work::of(Kind::SiteRun, params);
            return self.many.start(work, self.follow, client, screen).await;
        };
        let follow = match self.list {
            true => Follow::WAIT,
            false => self.follow,
        };
        ask_for(&host, Kind::SiteRun, params, follow, client, screen).await
    }

    /// The site where one is named, and the command unless they are to be listed.
    fn what(&self) -> Result<(Option<HostName>, Option<CommandName>), Trouble> {
        let wrong = |message: &str| Trouble::Usage {
            message: message.to_owned(),
            hint:
                "One site: kolga site run HOST COMMAND. Many: kolga site run COMMAND --platform wp."
                    .to_owned(),
        };
        match (self.many.chooses(), &self.command) {
            (false, None) if !self.list => Err(wrong("which command is to be run?")),
            (false, _) if !self.many.is_unsaid() => {
                Err(wrong("it is not said which sites are meant"))
            }
            (false, command) => {
                let host = self.first.parse::<HostName>();
                let host = host.map_err(|error| wrong(&error.to_string()))?;
                Ok((Some(host), command.clone()))
            }
            (true, None) if !self.list => {
                let command = self.first.parse::<CommandName>();
                let command = command.map_err(|error| wrong(&error.to_string()))?;
                Ok((None, Some(command)))
            }
            (true, _) => Err(wrong(
                "sites are chosen by options, so the command's name is all that is named",
            )),
        }
    }
}
