//! `kolga backup verify|delete|prune|extract`: a task on a server's repository each.

use clap::Args;
use kolga_protocol::names::{BackupName, FolderName, HostName, ServerName};
use kolga_protocol::task::{Kind, Output, backup_prune};
use serde_json::json;

use super::super::client::Client;
use super::super::follow::Follow;
use super::super::screen::Screen;
use super::super::site::confirm;
use super::super::trash::{ask, conclude};
use super::super::trouble::Trouble;
use super::{answer, server_of, table};

/// `kolga backup verify`
#[derive(Debug, Args)]
pub(in crate::cli) struct Verify {
    /// Its id, as `kolga backup list` shows it
    backup: BackupName,
    /// Whose backup
    #[arg(long, value_name = "SERVER")]
    server: ServerName,
    #[command(flatten)]
    follow: Follow,
}

impl Verify {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let params = json!({"backup": self.backup});
        let made = ask(client, &self.server, Kind::BackupVerify, params).await?;
        conclude(client, screen, made, self.follow).await
    }
}

/// `kolga backup delete`
#[derive(Debug, Args)]
pub(in crate::cli) struct Delete {
    /// The site that it is of
    site: HostName,
    /// Its id, as `kolga backup list` shows it
    backup: BackupName,
    /// Whose backup; the site's server needs not be named while the site is there
    #[arg(long, value_name = "SERVER")]
    server: Option<ServerName>,
    /// Also when it is the only backup of that site
    #[arg(long)]
    last: bool,
    /// Do not ask, even on a terminal
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    follow: Follow,
}

impl Delete {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let Self { site, backup, .. } = &self;
        if !self.yes {
            let what = format!("This forgets the backup {backup} of {site} for good");
            confirm(screen, site, &what)?;
        }
        let params = json!({"site": site, "backup": backup, "last": self.last});
        let server = server_of(client, self.server.clone(), Some(site)).await?;
        let made = ask(client, &server, Kind::BackupDelete, params).await?;
        conclude(client, screen, made, self.follow).await
    }
}

/// `kolga backup prune`
#[derive(Debug, Args)]
pub(in crate::cli) struct Prune {
    /// Only those of this site; its server needs not be named while it is there
    #[arg(long, value_name = "HOST", required_unless_present = "server")]
    site: Option<HostName>,
    /// Whose backups
    #[arg(long, value_name = "SERVER")]
    server: Option<ServerName>,
    /// Keep the newest of so many days
    #[arg(long, value_name = "DAYS")]
    daily: Option<u32>,
    /// Keep the newest of so many weeks
    #[arg(long, value_name = "WEEKS")]
    weekly: Option<u32>,
    /// Keep the newest of so many months
    #[arg(long, value_name = "MONTHS")]
    monthly: Option<u32>,
    /// Only list what would go
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    follow: Follow,
}

impl Prune {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let server = server_of(client, self.server, self.site.as_ref()).await?;
        let params = json!({
            "site": self.site, "daily": self.daily, "weekly": self.weekly, "monthly": self.monthly,
            "dry_run": self.dry_run,
        });
        if self.dry_run {
            return match answer(client, screen, &server, Kind::BackupPrune, params).await? {
                Output::BackupPrune(output) => show(&output, screen),
                other => Err(super::foreign(&server, other.kind())),
            };
        }
        let made = ask(client, &server, Kind::BackupPrune, params).await?;
        conclude(client, screen, made, self.follow).await
    }
}

/// What would go.
fn show(output: &backup_prune::Output, screen: &Screen) -> Result<(), Trouble> {
    if screen.is_json() {
        return Ok(screen.json(output)?);
    }
    let backup_prune::Output { kept, gone, .. } = output;
    screen.line(&format!("{gone} would go, {kept} would stay"))?;
    let more = (*gone as usize).saturating_sub(output.removed.len());
    table(&output.removed, more, screen)
}

/// `kolga backup extract`
#[derive(Debug, Args)]
pub(in crate::cli) struct Extract {
    /// Its id, as `kolga backup list` shows it
    backup: BackupName,
    /// The new folder's name
    folder: FolderName,
    /// Whose backup
    #[arg(long, value_name = "SERVER")]
    server: ServerName,
    #[command(flatten)]
    follow: Follow,
}

impl Extract {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let params = json!({"backup": self.backup, "folder": self.folder});
        let made = ask(client, &self.server, Kind::BackupExtract, params).await?;
        conclude(client, screen, made, self.follow).await
    }
}
