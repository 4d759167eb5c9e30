//! `kolga backup`: what a server's backups hold. The hub keeps no list of its own, which could only be wrong: the
//! server is asked each time, by a task, and looks into its repository.

mod act;

use clap::Subcommand;
use kolga_protocol::message::printable;
use kolga_protocol::names::{HostName, ServerName};
use kolga_protocol::task::backup_list::{self, Backup};
use kolga_protocol::task::{Kind, Output};
use serde_json::{Value, json};

use super::client::Client;
use super::follow::outcome;
use super::screen::Screen;
use super::table::Table;
use super::time::{age, instant};
use super::trash::ask;
use super::trouble::Trouble;
use crate::wire::Site;
use act::{Delete, Extract, Prune, Verify};

/// What can be done with backups. They are made by `kolga site backup`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the backups of a site or of a whole server, the newest first
    #[command(
        visible_alias = "ls",
        after_help = "\
Examples:
  kolga backup list --site blog.example.org
  kolga backup list --server web1                 also of sites that were deleted

An id is that of a snapshot of restic, with which all of it can be read without Kolga: docs/OPERATIONS.md."
    )]
    List {
        /// Only those of this site; its server needs not be named while it is there
        #[arg(long, value_name = "HOST", required_unless_present = "server")]
        site: Option<HostName>,
        /// Whose backups
        #[arg(long, value_name = "SERVER")]
        server: Option<ServerName>,
    },
    /// Read every byte of a backup, and see whether it is what was written
    #[command(after_help = "\
Example:
  kolga backup verify 4b3feb53 --server web1 --follow

What cannot be read is named. A backup was read back when it was made; this is for what happens to a disk later.")]
    Verify(Verify),
    /// Forget one backup of a site for good
    #[command(after_help = "\
Example:
  kolga backup delete blog.example.org 4b3feb53 --follow

There is no way back. What no other backup needs is taken out of the repository, too. The only backup of a site goes
only with --last.")]
    Delete(Delete),
    /// Forget the backups that are not among the newest of so many days, weeks and months
    #[command(after_help = "\
Examples:
  kolga backup prune --server web1 --dry-run       as `keep_…` in `[backups]` of its worker.toml: 7, 4 and 6
  kolga backup prune --server web1 --follow
  kolga backup prune --site blog.example.org --daily 3 --weekly 0 --monthly 0 --follow

The newest backup of each site always stays. Days are those of UTC, weeks begin on Monday.")]
    Prune(Prune),
    /// Put all that a backup holds into a new private folder on its server
    #[command(after_help = "\
Example:
  kolga backup extract 4b3feb53 blog-in-may --server web1 --follow

The folder is made below `extract_to` of `[backups]` in the server's worker.toml. Only the worker's user, and root, can
enter it, and removing it is yours. Links are links: look where one leads before you follow it.")]
    Extract(Extract),
}

impl Command {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        match self {
            Self::List { site, server } => {
                let server = server_of(client, server, site.as_ref()).await?;
                show(&list(client, screen, &server, site).await?, screen)
            }
            Self::Verify(verify) => verify.run(client, screen).await,
            Self::Delete(delete) => delete.run(client, screen).await,
            Self::Prune(prune) => prune.run(client, screen).await,
            Self::Extract(extract) => extract.run(client, screen).await,
        }
    }
}

/// The server that was named, or else the one that the site is on.
async fn server_of(
    client: &Client,
    server: Option<ServerName>,
    site: Option<&HostName>,
) -> Result<ServerName, Trouble> {
    match (server, site) {
        (None, Some(host)) => {
            let site: Site = client.get(&format!("/v1/sites/{host}"), &[]).await?;
            Ok(site.server)
        }
        (server, _) => server.ok_or_else(|| Trouble::Usage {
            message: "whose backups are meant is not said".to_owned(),
            hint: "Give --server, or a site.".to_owned(),
        }),
    }
}

/// What the server says of its backups.
async fn list(
    client: &Client,
    screen: &Screen,
    server: &ServerName,
    site: Option<HostName>,
) -> Result<backup_list::Output, Trouble> {
    let params = json!({"site": site});
    match answer(client, screen, server, Kind::BackupList, params).await? {
        Output::BackupList(output) => Ok(output),
        other => Err(foreign(server, other.kind())),
    }
}

/// The result of a task that only looks.
async fn answer(
    client: &Client,
    screen: &Screen,
    server: &ServerName,
    kind: Kind,
    params: Value,
) -> Result<Output, Trouble> {
    let task = ask(client, server, kind, params).await?;
    let ended = outcome(client, screen, task).await?;
    let output = json!({"kind": kind.as_str(), "output": ended.output});
    serde_json::from_value(output).map_err(|_| foreign(server, kind))
}

/// What came is no answer that this release knows.
fn foreign(server: &ServerName, kind: Kind) -> Trouble {
    Trouble::Usage {
        message: format!("what {server} says to {kind} cannot be read"),
        hint: "Is this command of the hub's release? See `kolga --version`.".to_owned(),
    }
}

fn show(output: &backup_list::Output, screen: &Screen) -> Result<(), Trouble> {
    if screen.is_json() {
        return Ok(screen.json(output)?);
    }
    if output.backups.is_empty() {
        screen.line("No backups here. Make one with: kolga site backup HOST")?;
    } else {
        table(&output.backups, output.more as usize, screen)?;
    }
    if output.owed > 0 {
        let owed = output.owed;
        screen.line(&format!(
            "{owed} more are to go, and are not listed: their host was away when that was decided, and is asked again"
        ))?;
    }
    if let Some(pruned) = &output.pruned {
        let how = match &pruned.failure {
            None => format!("{} went, {} stay", pruned.gone, pruned.kept),
            Some(failure) => format!("failed: {}", printable(failure)),
        };
        screen.line(&format!(
            "Pruned by the server itself {} ago: {how}",
            age(pruned.at)
        ))?;
    }
    if let Some(at) = output.prunes_at {
        screen.line(&format!("The server prunes them next at {}", instant(at)))?;
    }
    Ok(())
}

/// Backups as a list, and how many more there are.
fn table(backups: &[Backup], more: usize, screen: &Screen) -> Result<(), Trouble> {
    let mut table = Table::headed(["ID", "SITE", "MADE", "AGE"]);
    for backup in backups {
        let id: String = backup.id.chars().take(8).collect();
        table.row([
            id.into(),
            backup.site.as_str().into(),
            instant(backup.at).into(),
            age(backup.at).into(),
        ]);
    }
    table.show(screen)?;
    if more > 0 {
        screen.line(&format!("and {more} older ones"))?;
    }
    Ok(())
}
