//! Commands that act on platforms: verify one or many, delete one, lock it, unlock it.

use clap::Args;
use kolga_protocol::names::{OptionValue, PlatformName, ServerName};
use kolga_protocol::task::Kind;
use reqwest::Method;

use super::super::client::Client;
use super::super::follow::Follow;
use super::super::many::{CHOOSERS, Many, Work};
use super::super::screen::Screen;
use super::super::trouble::Trouble;
use crate::wire::{NewLock, Platform, TaskAnswer};

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
            _ => {
                return Err(Trouble::Usage {
                    message: "it is not said on which server the platform is".to_owned(),
                    hint: "Give --server, or --all for every server that has it.".to_owned(),
                });
            }
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

/// `kolga platform lock`
#[derive(Debug, Args)]
pub(in crate::cli) struct Lock {
    #[command(flatten)]
    platform: Named,
    /// Why, for those whom the lock will be in the way
    #[arg(long, value_name = "TEXT")]
    reason: Option<OptionValue>,
}

impl Lock {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let path = format!("{}/lock", self.platform.path());
        let reason = self.reason;
        let locked: Platform = client.post(&path, &NewLock { reason }).await?;
        tell(screen, &locked, "takes no new sites; those on it stay.")
    }
}

/// `kolga platform unlock`
pub(super) async fn unlock(
    platform: Named,
    client: &Client,
    screen: &Screen,
) -> Result<(), Trouble> {
    let path = format!("{}/lock", platform.path());
    let unlocked: Platform = client.act(Method::DELETE, &path).await?;
    tell(screen, &unlocked, "takes new sites again.")
}

fn tell(screen: &Screen, platform: &Platform, words: &str) -> Result<(), Trouble> {
    if screen.is_json() {
        return Ok(screen.json(platform)?);
    }
    let (name, server) = (&platform.name, &platform.server);
    Ok(screen.line(&format!("Platform {name} on {server} {words}"))?)
}
