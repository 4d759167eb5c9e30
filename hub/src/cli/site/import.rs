//! `kolga site import` and `hand-over`: a site comes into this hub's list, or leaves it, and stays where it is.

use clap::Args;
use kolga_protocol::names::{
    HostName, OptionName, OptionValue, PlatformName, ProfileName, ServerName, SpokePath,
};
use reqwest::Method;

use super::super::client::Client;
use super::super::follow::Follow;
use super::super::screen::Screen;
use super::super::trouble::Trouble;
use super::delete::confirm;
use super::install::option;
use crate::wire::{NewImport, Site, TaskAnswer};

/// `kolga site import`
#[derive(Debug, Args)]
pub(in crate::cli) struct Import {
    /// The site's name
    host: HostName,
    /// Where it is
    #[arg(long, value_name = "SERVER")]
    on: ServerName,
    /// A folder there that is none of Kolga's: a site is made beside it by copy
    #[arg(long, value_name = "FOLDER")]
    from: Option<SpokePath>,
    /// The kind of site, where the files in the folder do not tell
    #[arg(long, value_name = "PROFILE", requires = "from")]
    profile: Option<ProfileName>,
    /// The platform whose code it is to use, where its kind of site wants one
    #[arg(long, value_name = "PLATFORM", requires = "from")]
    platform: Option<PlatformName>,
    /// What the profile lets you choose, such as title='My blog'; may be given again
    #[arg(long = "option", short, value_name = "NAME=VALUE", value_parser = option, requires = "from")]
    options: Vec<(OptionName, OptionValue)>,
    /// Leave it switched off, with no page of it on the web
    #[arg(long, requires = "from")]
    disabled: bool,
    /// Only say what would come of it
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    follow: Follow,
}

/// `kolga site hand-over`
#[derive(Debug, Args)]
pub(in crate::cli) struct HandOver {
    /// The site's name
    host: HostName,
    /// Do not ask, even on a terminal
    #[arg(long, short)]
    yes: bool,
}

impl Import {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let wish = NewImport {
            server: self.on,
            from: self.from,
            profile: self.profile,
            platform: self.platform,
            options: self.options.into_iter().collect(),
            disabled: self.disabled,
            check: self.check,
        };
        let path = format!("/v1/sites/{}/import", self.host);
        let answer: TaskAnswer = client.post(&path, &wish).await?;
        let task = &answer.task;
        self.follow.conclude(client, screen, task, &answer).await
    }
}

impl HandOver {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let host = &self.host;
        if !self.yes {
            let what =
                format!("This takes {host} off this hub's list; its server goes on as it is");
            confirm(screen, host, &what)?;
        }
        let path = format!("/v1/sites/{host}/hand_over");
        let site: Site = client.act(Method::POST, &path).await?;
        if screen.is_json() {
            return Ok(screen.json(&site)?);
        }
        Ok(screen.line(&format!(
            "{host} is not in this hub's list any more; on {} it is as it was.",
            site.server
        ))?)
    }
}
