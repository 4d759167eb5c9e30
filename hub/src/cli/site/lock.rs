//! `kolga site lock` and `unlock`: a mark at the hub; the site's server is not asked.

use clap::Args;
use kolga_protocol::names::{HostName, OptionValue};
use reqwest::Method;

use super::super::client::Client;
use super::super::screen::Screen;
use super::super::trouble::Trouble;
use crate::wire::{NewLock, Site};

/// `kolga site lock`
#[derive(Debug, Args)]
pub(in crate::cli) struct Lock {
    /// Its name
    host: HostName,
    /// Why, for those whom the lock will be in the way
    #[arg(long, value_name = "TEXT")]
    reason: Option<OptionValue>,
}

/// `kolga site unlock`
#[derive(Debug, Args)]
pub(in crate::cli) struct Unlock {
    /// Its name
    host: HostName,
}

impl Lock {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let path = format!("/v1/sites/{}/lock", self.host);
        let wish = NewLock {
            reason: self.reason,
        };
        let site: Site = client.post(&path, &wish).await?;
        told(
            screen,
            &site,
            "is locked: tasks that change it are refused.",
        )
    }
}

impl Unlock {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let path = format!("/v1/sites/{}/lock", self.host);
        let site: Site = client.act(Method::DELETE, &path).await?;
        told(screen, &site, "is not locked.")
    }
}

fn told(screen: &Screen, site: &Site, what: &str) -> Result<(), Trouble> {
    if screen.is_json() {
        return Ok(screen.json(site)?);
    }
    Ok(screen.line(&format!("{} {what}", site.host))?)
}
