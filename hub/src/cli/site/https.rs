//! `kolga site https`: how a site answers over HTTPS.

use clap::{Args, ValueEnum};
use kolga_protocol::names::HostName;
use kolga_protocol::task::Kind;

use super::super::client::Client;
use super::super::follow::Follow;
use super::super::screen::Screen;
use super::super::trouble::Trouble;
use super::act::ask_for;

/// `kolga site https`
#[derive(Debug, Args)]
pub(in crate::cli) struct Https {
    /// The site
    host: HostName,
    /// How it is to answer
    how: How,
    #[command(flatten)]
    follow: Follow,
}

/// How a site answers over HTTPS.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum How {
    /// Not at all
    Off,
    /// As over HTTP
    On,
    /// Over HTTPS alone; HTTP leads there
    Redirect,
}

impl Https {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let how = match self.how {
            How::Off => "off",
            How::On => "on",
            How::Redirect => "redirect",
        };
        let mut params = serde_json::Map::new();
        params.insert("https".to_owned(), how.into());
        ask_for(
            &self.host,
            Kind::SiteHttps,
            params,
            self.follow,
            client,
            screen,
        )
        .await
    }
}
