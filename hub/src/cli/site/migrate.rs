//! `kolga site migrate` and `kolga site rename`: a site comes to another platform, gets another name, or both.

use clap::Args;
use kolga_protocol::names::{HostName, PlatformName};
use kolga_protocol::task::Kind;

use super::super::client::Client;
use super::super::follow::Follow;
use super::super::screen::Screen;
use super::super::trouble::Trouble;
use super::act::{Sites, ask_for};

/// `kolga site migrate`
#[derive(Debug, Args)]
pub(in crate::cli) struct Migrate {
    #[command(flatten)]
    sites: Sites,
    /// The platform whose code it is to use
    #[arg(long, value_name = "PLATFORM", required_unless_present = "rename")]
    to: Option<PlatformName>,
    /// The name that it is to have
    #[arg(long, value_name = "HOST")]
    rename: Option<HostName>,
    /// Let the name that it had lead to it still
    #[arg(long, requires = "rename")]
    keep_alias: bool,
    #[command(flatten)]
    follow: Follow,
}

/// `kolga site rename`
#[derive(Debug, Args)]
pub(in crate::cli) struct Rename {
    /// The site's name
    host: HostName,
    /// The name that it is to have
    new: HostName,
    /// Let the name that it had lead to it still
    #[arg(long)]
    keep_alias: bool,
    #[command(flatten)]
    follow: Follow,
}

impl Migrate {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let mut params = serde_json::Map::new();
        if let Some(platform) = self.to {
            params.insert("platform".to_owned(), platform.as_str().into());
        }
        if let Some(host) = self.rename {
            if self.sites.one().is_none() {
                return Err(Trouble::Usage {
                    message: "only one site can be renamed at a time".to_owned(),
                    hint: "Name it, and choose no others.".to_owned(),
                });
            }
            name(&mut params, &host, self.keep_alias);
        }
        self.sites
            .ask(Kind::SiteMigrate, params, self.follow, client, screen)
            .await
    }
}

impl Rename {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let mut params = serde_json::Map::new();
        name(&mut params, &self.new, self.keep_alias);
        let (kind, follow) = (Kind::SiteMigrate, self.follow);
        ask_for(&self.host, kind, params, follow, client, screen).await
    }
}

/// The name that a site is to have.
fn name(params: &mut serde_json::Map<String, serde_json::Value>, host: &HostName, keep: bool) {
    params.insert("host".to_owned(), host.as_str().into());
    params.insert("keep_name".to_owned(), keep.into());
}
