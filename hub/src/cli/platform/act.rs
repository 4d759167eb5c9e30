//! Commands that act on platforms: verify, lock and unlock one or many, delete one.

use clap::Args;
use kolga_protocol::names::{OptionValue, PlatformName, ServerName};
use kolga_protocol::task::Kind;
use reqwest::Method;

use super::super::client::Client;
use super::super::follow::Follow;
use super::super::many::{self, CHOOSERS, Many, Work};
use super::super::screen::Screen;
use super::super::trouble::Trouble;
use crate::wire::{NewLock, NewLocks, Platform, Targets, TaskAnswer};

/// A platform, by its two names.
#[derive(Debug, Args)]
pub(in crate::cli) struct Named {
    /// Its name
    name: PlatformName,
    /// The server that it is on
    #[arg(long, value_name = "SERVER")]
    server: ServerName,
}

impl Named {
    pub(super) fn path(&self) -> String {
        format!("/v1/platforms/{}/{}", self.server, self.name)
    }
}

/// `kolga platform verify`
#[derive(Debug, Args)]
pub(in crate::cli) struct Verify {
    /// Its name
    #[arg(required_unless_present_any = CHOOSERS, conflicts_with = "platform")]
    name: Option<PlatformName>,
    /// The server that it is on; without it, options that choose are one operation over many
    #[arg(long, value_name = "SERVER", requires = "name", conflicts_with_all = CHOOSERS)]
    server: Option<ServerName>,
    #[command(flatten)]
    many: Many,
    #[command(flatten)]
    follow: Follow,
}

impl Verify {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let (name, server) = match (self.name, self.server) {
            (Some(name), Some(server)) => (name, server),
            (name, _) if self.many.chooses() => {
                let many = self.many.with_platform(name);
                let work = Work::of(Kind::PlatformVerify, serde_json::Map::new());
                return many.start(work, self.follow, client, screen).await;
            }
            _ => return Err(nowhere()),
        };
        let path = format!("{}/verify", Named { name, server }.path());
        let answer: TaskAnswer = client.act(Method::POST, &path).await?;
        let follow = self.follow;
        follow.conclude(client, screen, &answer.task, &answer).await
    }
}

/// `kolga platform delete`
#[derive(Debug, Args)]
pub(in crate::cli) struct Delete {
    #[command(flatten)]
    platform: Named,
    #[command(flatten)]
    follow: Follow,
}

impl Delete {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let path = self.platform.path();
        let answer: TaskAnswer = client.act(Method::DELETE, &path).await?;
        if answer.task.kind == Kind::PlatformDelete.as_str() {
            let follow = self.follow;
            return follow.conclude(client, screen, &answer.task, &answer).await;
        }
        // The answer is the task that failed to build it: there was nothing on the server to delete.
        if screen.is_json() {
            return Ok(screen.json(&answer)?);
        }
        Ok(screen.line(&format!(
            "{} was never built; the hub has forgotten it.",
            self.platform.name
        ))?)
    }
}

/// `kolga platform lock` and `unlock`: which.
#[derive(Debug, Args)]
pub(in crate::cli) struct Which {
    /// Its name
    #[arg(required_unless_present_any = CHOOSERS, conflicts_with = "platform")]
    name: Option<PlatformName>,
    /// The server that it is on; without it, options that choose mean many
    #[arg(long, value_name = "SERVER", requires = "name", conflicts_with_all = CHOOSERS)]
    server: Option<ServerName>,
    #[command(flatten)]
    many: Many,
}

/// `kolga platform lock`
#[derive(Debug, Args)]
pub(in crate::cli) struct Lock {
    #[command(flatten)]
    which: Which,
    /// Why, for those whom the lock will be in the way
    #[arg(long, value_name = "TEXT")]
    reason: Option<OptionValue>,
}

impl Lock {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let reason = self.reason;
        match self.which.one()? {
            Ok(one) => {
                let path = format!("{}/lock", one.path());
                let locked: Platform = client.post(&path, &NewLock { reason }).await?;
                tell(screen, &locked, "takes no new sites; those on it stay.")
            }
            Err(many) => lock_many(many, Some(reason), client, screen).await,
        }
    }
}

/// `kolga platform unlock`
pub(super) async fn unlock(which: Which, client: &Client, screen: &Screen) -> Result<(), Trouble> {
    match which.one()? {
        Ok(one) => {
            let path = format!("{}/lock", one.path());
            let unlocked: Platform = client.act(Method::DELETE, &path).await?;
            tell(screen, &unlocked, "takes new sites again.")
        }
        Err(many) => lock_many(many, None, client, screen).await,
    }
}

impl Which {
    /// The one that is named, or what chooses many.
    fn one(self) -> Result<Result<Named, Many>, Trouble> {
        match (self.name, self.server) {
            (Some(name), Some(server)) => Ok(Ok(Named { name, server })),
            (name, _) if self.many.chooses() => Ok(Err(self.many.with_platform(name))),
            _ => Err(nowhere()),
        }
    }
}

/// With a reason, which may be none, they are locked; else unlocked.
async fn lock_many(
    many: Many,
    lock: Option<Option<OptionValue>>,
    client: &Client,
    screen: &Screen,
) -> Result<(), Trouble> {
    let (select, dry_run) = many.without_tasks("a lock")?;
    let wish = NewLocks {
        select,
        locked: lock.is_some(),
        reason: lock.flatten(),
        dry_run,
    };
    let meant: Targets = client.post("/v1/platforms/locks", &wish).await?;
    if dry_run {
        return many::list(screen, &meant);
    }
    if screen.is_json() {
        return Ok(screen.json(&meant)?);
    }
    let words = match wish.locked {
        true => "takes no new sites; those on it stay.",
        false => "takes new sites again.",
    };
    for target in &meant.targets {
        let name = target.platform.as_ref().map_or("", AsRef::as_ref);
        screen.line(&format!("Platform {name} on {} {words}", target.server))?;
    }
    Ok(())
}

fn nowhere() -> Trouble {
    Trouble::Usage {
        message: "it is not said on which server the platform is".to_owned(),
        hint: "Give --server, or --all for every server that has it.".to_owned(),
    }
}

fn tell(screen: &Screen, platform: &Platform, words: &str) -> Result<(), Trouble> {
    if screen.is_json() {
        return Ok(screen.json(platform)?);
    }
    let (name, server) = (&platform.name, &platform.server);
    Ok(screen.line(&format!("Platform {name} on {server} {words}"))?)
}
