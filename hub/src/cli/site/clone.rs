//! `kolga site clone`: a second site made of one that is there.

use clap::Args;
use kolga_protocol::names::{HostName, PlatformName};
use kolga_protocol::task::Kind;

use super::super::client::Client;
use super::super::follow::Follow;
use super::super::screen::Screen;
use super::super::trouble::Trouble;
use super::act::ask_for;

/// `kolga site clone`
#[derive(Debug, Args)]
pub(in crate::cli) struct Clone {
    /// The site that is there
    source: HostName,
    /// The name of the copy
    target: HostName,
    /// The platform whose code the copy is to use, if not the site's own
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<PlatformName>,
    #[command(flatten)]
    follow: Follow,
}

impl Clone {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let mut params = serde_json::Map::new();
        params.insert("to".to_owned(), self.target.as_str().into());
        if let Some(platform) = self.platform {
            params.insert("platform".to_owned(), platform.as_str().into());
        }
        ask_for(
            &self.source,
            Kind::SiteClone,
            params,
            self.follow,
            client,
            screen,
        )
        .await
    }
}
