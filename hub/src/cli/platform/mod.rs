//! `kolga platform`: code that sites share. Commands that name one and act on it are in `act`.

mod act;

use clap::{Args, Subcommand};
use kolga_protocol::names::{
    GitCommit, GitUrl, PlatformName, PlatformSource, ProfileName, ServerName, SpokePath,
};

use super::client::Client;
use super::follow::Follow;
use super::label::{self, Changes};
use super::page::{self, Part};
use super::screen::{Screen, Style};
use super::table::{Cell, Table};
use super::time::{age, instant};
use super::trouble::Trouble;
use crate::wire::{Condition, NewPlatform, Platform, PlatformAnswer};
use act::{Delete, Lock, Named, Verify, Which};

/// What can be done with platforms.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Build a platform from code that lies on the server, or from a commit of a git repository
    #[command(after_help = "\
Examples:
  kolga platform add wp --server web1 --profile wordpress --source /usr/share/wordpress --follow
  kolga platform add shop-2.1 --server web1 --profile php --source /srv/releases/shop-2.1.tar.zst
  kolga platform add shop-2.2 --server web1 --profile shop --git https://git.example.org/shop.git \\
        --commit 5f0c3a1b2d4e6f708192a3b4c5d6e7f8091a2b3c
  kolga platform add shop-3.0 --server web1 --profile shop --source /srv/releases/shop-3.0.tar.zst --composer

A server builds only from where its operator allows it: platform_sources and git_sources in its worker.toml.
A commit is fetched without history, submodules, hooks or filters: the platform is what the commit holds.
With --composer exactly what composer.lock names is installed, without what is for development only. A server installs
only from where its operator allows it ([composer] in its worker.toml), and runs no code of packages unless he says so.")]
    Add(Add),
    /// List the platforms
    #[command(visible_alias = "ls")]
    List {
        /// Only those on this server
        #[arg(long, value_name = "SERVER")]
        server: Option<ServerName>,
        #[command(flatten)]
        part: Part,
    },
    /// Show one platform
    Show(Named),
    /// Look at a platform: what has changed since it was built, its version, what is installed in it
    #[command(after_help = "\
Example:
  kolga platform verify wp --server web1 --wait
  kolga platform verify wp --all --follow              on every server that has it, as one operation
  kolga platform verify --on 'web*' --profile wordpress --wait

Modes of files and folders are set right; all else that differs is told and left as it is.")]
    Verify(Box<Verify>),
    /// Delete a platform that no site uses
    #[command(
        visible_alias = "rm",
        after_help = "\
Example:
  kolga platform delete wp-6.1 --server web1 --follow

Refused while a site uses it: by the hub's list, by the server's own, and by links and vhosts on its disk."
    )]
    Delete(Delete),
    /// Let a platform take no new sites; those that are on it stay and work
    #[command(after_help = "\
Examples:
  kolga platform lock wp-6.1 --server web1 --reason 'use wp-6.2'
  kolga platform lock wp-6.1 --all --reason 'use wp-6.2'        on every server that has it
  kolga platform lock --on 'web*' --label state=old --dry-run

A lock is the hub's alone: no server is asked, and of many either all are locked or none.")]
    Lock(Box<Lock>),
    /// Let a platform take new sites again
    #[command(after_help = "\
Examples:
  kolga platform unlock wp-6.1 --server web1
  kolga platform unlock --all --profile wordpress")]
    Unlock(Box<Which>),
    /// Mark a platform, for --label to choose by
    #[command(
        after_help = "Example:\n  kolga platform label wp-6.1 --server web1 state=old owner-"
    )]
    Label {
        #[command(flatten)]
        platform: Named,
        #[command(flatten)]
        changes: Changes,
    },
}

/// `kolga platform add`
#[derive(Debug, Args)]
pub(super) struct Add {
    /// Its name on that server
    name: PlatformName,
    /// Where to build it
    #[arg(long, value_name = "SERVER")]
    server: ServerName,
    /// The kind of sites that it is for, such as php or wordpress
    #[arg(long, value_name = "PROFILE")]
    profile: ProfileName,
    /// The code on the server: a folder, or a file ending in .tar.gz, .tgz or .tar.zst
    #[arg(
        long,
        value_name = "PATH",
        required_unless_present = "git",
        conflicts_with = "git"
    )]
    source: Option<SpokePath>,
    /// The code in a git repository that the server may fetch from: https://, ssh:// or file://
    #[arg(long, value_name = "URL", requires = "commit")]
    git: Option<GitUrl>,
    /// Which commit of it: all its hexadecimal digits, never a branch or a tag
    #[arg(long, value_name = "SHA", requires = "git")]
    commit: Option<GitCommit>,
    /// Install the packages that the code's composer.lock names, with composer
    #[arg(long)]
    composer: bool,
    #[command(flatten)]
    follow: Follow,
}

impl Command {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        match self {
            Self::Add(add) => add.run(client, screen).await,
            Self::List { server, part } => list(client, screen, server, part).await,
            Self::Verify(verify) => verify.run(client, screen).await,
            Self::Delete(delete) => delete.run(client, screen).await,
            Self::Lock(lock) => lock.run(client, screen).await,
            Self::Unlock(which) => act::unlock(*which, client, screen).await,
            Self::Label { platform, changes } => {
                let path = platform.path();
                changes
                    .make(
                        &path,
                        |platform: &Platform| &platform.labels,
                        client,
                        screen,
                    )
                    .await
            }
            Self::Show(named) => {
                let platform: Platform = client.get(&named.path(), &[]).await?;
                if screen.is_json() {
                    return Ok(screen.json(&platform)?);
                }
                Ok(describe(&platform).show(screen)?)
            }
        }
    }
}

impl Add {
    async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let source = match (self.source, &self.git, &self.commit) {
            (Some(path), ..) => PlatformSource::from(path),
            (None, Some(url), Some(commit)) => PlatformSource::git(url, commit),
            _ => {
                return Err(Trouble::Usage {
                    message: "a platform needs --source, or --git and --commit".to_owned(),
                    hint: "See kolga platform add --help.".to_owned(),
                });
            }
        };
        let wish = NewPlatform {
            name: self.name,
            server: self.server,
            profile: self.profile,
            source,
            composer: self.composer,
        };
        let answer: PlatformAnswer = client.post("/v1/platforms", &wish).await?;
        self.follow
            .conclude(client, screen, &answer.task, &answer)
            .await
    }
}

async fn list(
    client: &Client,
    screen: &Screen,
    server: Option<ServerName>,
    part: Part,
) -> Result<(), Trouble> {
    let list = page::List {
        path: "/v1/platforms",
        query: server
            .map(|server| ("server", server.to_string()))
            .into_iter()
            .collect(),
        command: "kolga platform list",
        cursor: "after",
        empty: "No platforms here. Add one with: kolga platform add --help",
    };
    let heading = Table::headed(["NAME", "SERVER", "PROFILE", "STATE", "VERSION", "AGE"]);
    list.show(
        client,
        screen,
        part,
        heading,
        |table, platform: &Platform| {
            table.row([
                platform.name.as_str().into(),
                platform.server.as_str().into(),
                platform.profile.as_str().into(),
                state(platform),
                platform.version.as_deref().unwrap_or_default().into(),
                age(platform.created_at).into(),
            ]);
        },
    )
    .await
}

fn describe(platform: &Platform) -> Table {
    let mut table = Table::pairs();
    table.pair("platform", platform.name.as_str());
    table.pair("server", platform.server.as_str());
    table.pair("profile", platform.profile.as_str());
    table.pair("state", condition(platform.condition));
    if let Some(locked) = &platform.locked {
        table.pair(
            "takes no sites",
            format!("{locked}, since {}", instant(locked.at)),
        );
    }
    table.pair_if("version", platform.version.as_deref());
    table.pair_if("labels", label::shown(&platform.labels));
    table.pair("source", platform.source.as_str());
    table.pair_if("path", platform.path.as_deref());
    table.pair("asked for", instant(platform.created_at));
    table.pair_if("last task", platform.task.map(|id| id.to_string()));
    table
}

/// How far a platform is, and whether it takes sites.
fn state(platform: &Platform) -> Cell {
    match (platform.condition, &platform.locked) {
        (Condition::Ready, Some(_)) => Cell::styled(Style::Warn, "locked"),
        (other, _) => condition(other),
    }
}

/// How far a platform or a site is, for people.
pub(super) fn condition(condition: Condition) -> Cell {
    match condition {
        Condition::Pending => Cell::from("pending"),
        Condition::Ready => Cell::styled(Style::Good, "ready"),
        Condition::Removing => Cell::styled(Style::Warn, "removing"),
        Condition::Failed => Cell::styled(Style::Bad, "failed"),
    }
}
