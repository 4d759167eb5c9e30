//! `kolga site restore`: a site as a backup has it.

use clap::Args;
use kolga_protocol::names::{BackupName, HostName};
use kolga_protocol::task::Kind;

use super::super::client::Client;
use super::super::follow::Follow;
use super::super::screen::Screen;
use super::super::trouble::Trouble;
use super::act::ask_for;
use super::delete::confirm;

/// `kolga site restore`
#[derive(Debug, Args)]
pub(in crate::cli) struct Restore {
    /// The site's name
    host: HostName,
    /// One of its backups, by the id that `kolga backup list` shows
    backup: BackupName,
    /// Do not ask, even on a terminal
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    follow: Follow,
}

impl Restore {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let Self { host, backup, .. } = &self;
        if !self.yes {
            let what = format!(
                "This puts the files and the database of backup {backup} in the place of those of {host}"
            );
            confirm(screen, host, &what)?;
        }
        let mut params = serde_json::Map::new();
        params.insert("backup".to_owned(), backup.as_str().into());
        ask_for(host, Kind::SiteRestore, params, self.follow, client, screen).await
    }
}
