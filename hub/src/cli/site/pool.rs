//! `kolga site pool`: in which pool of php-fpm a site's PHP runs.

use clap::{Args, ValueEnum};
use kolga_protocol::task::Kind;

use super::super::client::Client;
use super::super::follow::Follow;
use super::super::screen::Screen;
use super::super::trouble::Trouble;
use super::act::Sites;

/// `kolga site pool`
#[derive(Debug, Args)]
pub(in crate::cli) struct Pool {
    /// In which
    #[arg(long = "to", value_name = "POOL")]
    which: Which,
    #[command(flatten)]
    sites: Sites,
    #[command(flatten)]
    follow: Follow,
}

/// A pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    /// One that is the site's alone, with a Unix user that no other site has
    Own,
    /// The one that sites share
    Shared,
}

impl Pool {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let mut params = serde_json::Map::new();
        params.insert("own".to_owned(), (self.which == Which::Own).into());
        self.sites
            .ask(Kind::SitePool, params, self.follow, client, screen)
            .await
    }
}
