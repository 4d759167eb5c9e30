//! Options that choose many sites, servers or platforms, and bound how fast an operation goes over them. Commands flatten them
//! beside their own, and hand them to [`Many::start`].

use clap::Args;
use kolga_protocol::names::{HostName, PlatformName, ProfileName, ServerName};
use kolga_protocol::task::Kind;
use serde_json::{Map, Value};

use super::client::Client;
use super::follow::Follow;
use super::op::progress;
use super::screen::Screen;
use super::table::Table;
use super::trouble::Trouble;
use crate::selector::{Glob, LabelWant, Selector};
use crate::wire::{Each, NewOperation, OperationAnswer, Targets};

/// The options of which one must be there where nothing is named.
pub(super) const CHOOSERS: [&str; 5] = ["all", "on", "platform", "profile", "labels"];

/// Which of many, and how many at once.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Many at once, as one operation (see kolga op)")]
pub(super) struct Many {
    /// All of them, but for what the options below say
    #[arg(long)]
    all: bool,

    /// Only on this server; may be given again, and be a pattern: 'web*'
    #[arg(long, value_name = "SERVER")]
    on: Vec<Glob>,

    /// Only sites on this platform; where platforms are meant, those of this name
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<PlatformName>,

    /// Only sites of this kind, or platforms for them
    #[arg(long, value_name = "PROFILE")]
    profile: Option<ProfileName>,

    /// Only with this label: env=test, env!=test, env or !env; may be given again
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<LabelWant>,

    /// Tasks that are open at once, at most [default: 4]
    #[arg(long, value_name = "N")]
    at_once: Option<u32>,

    /// The same, on one server
    #[arg(long, value_name = "N")]
    per_server: Option<u32>,

    /// Make no more tasks after so many did not succeed [default: go on]
    #[arg(long, value_name = "N")]
    stop_after: Option<u32>,

    /// Only list what would be chosen
    #[arg(long)]
    dry_run: bool,
}

/// What is to be done to each.
pub(super) struct Work {
    /// The type of the tasks.
    pub(super) kind: String,
    /// Their parameters, but for the site.
    pub(super) params: Map<String, Value>,
    /// What each is about, where the type leaves that open.
    pub(super) each: Option<Each>,
    /// Sites by name, instead of options that choose.
    pub(super) sites: Vec<HostName>,
}

impl Work {
    /// To whatever the options choose.
    pub(super) fn of(kind: Kind, params: Map<String, Value>) -> Self {
        Self {
            kind: kind.as_str().to_owned(),
            params,
            each: None,
            sites: Vec::new(),
        }
    }
}

impl Many {
    /// Whether nothing of it was said.
    pub(super) fn is_unsaid(&self) -> bool {
        self.says_only_where() && self.on.is_empty()
    }

    /// The server, where one is named and nothing else is said.
    pub(super) fn one_server(&self) -> Option<ServerName> {
        match self.on.as_slice() {
            [one] if self.says_only_where() => one.exact()?.parse().ok(),
            _ => None,
        }
    }

    /// Whether some are chosen, and not only told how to go over them.
    pub(super) fn chooses(&self) -> bool {
        self.all
            || !self.on.is_empty()
            || self.platform.is_some()
            || self.profile.is_some()
            || !self.labels.is_empty()
    }

    /// Platforms of this name, of what the options choose.
    pub(super) fn with_platform(mut self, name: Option<PlatformName>) -> Self {
        self.platform = self.platform.or(name);
        self
    }

    /// These servers, besides what the options say.
    pub(super) fn with_servers(mut self, names: Vec<Glob>) -> Self {
        self.on.extend(names);
        self
    }

    /// Whether nothing but `--on` was said.
    fn says_only_where(&self) -> bool {
        !self.all
            && self.platform.is_none()
            && self.profile.is_none()
            && self.labels.is_empty()
            && self.at_once.is_none()
            && self.per_server.is_none()
            && self.stop_after.is_none()
            && !self.dry_run
    }

    /// What is chosen, for what needs no tasks; and whether it is only to be listed. `what` needs none.
    pub(super) fn without_tasks(self, what: &str) -> Result<(Selector, bool), Trouble> {
        let paced = [
            ("--at-once", self.at_once),
            ("--per-server", self.per_server),
            ("--stop-after", self.stop_after),
        ];
        if let Some((option, _)) = paced.iter().find(|(_, said)| said.is_some()) {
            return Err(Trouble::Usage {
                message: format!(
                    "{option} is for tasks, and {what} is done by the hub alone, to all of them at once"
                ),
                hint: format!("Leave {option} out."),
            });
        }
        let dry_run = self.dry_run;
        Ok((self.into_selector(Vec::new()), dry_run))
    }

    fn into_selector(self, sites: Vec<HostName>) -> Selector {
        Selector {
            all: self.all,
            sites,
            on: self.on,
            platform: self.platform,
            profile: self.profile,
            labels: self.labels,
        }
    }

    /// Starts an operation over the sites that are named, or over what the options choose.
    pub(super) async fn start(
        self,
        work: Work,
        follow: Follow,
        client: &Client,
        screen: &Screen,
    ) -> Result<(), Trouble> {
        let (parallel, per_server) = (self.at_once, self.per_server);
        let (stop_after, dry_run) = (self.stop_after, self.dry_run);
        let wish = NewOperation {
            kind: work.kind,
            params: work.params,
            each: work.each,
            select: self.into_selector(work.sites),
            parallel,
            per_server,
            stop_after,
            dry_run,
        };
        if wish.dry_run {
            let chosen: Targets = client.post("/v1/operations", &wish).await?;
            return list(screen, &chosen);
        }
        let answer: OperationAnswer = client.post("/v1/operations", &wish).await?;
        progress::conclude(follow, client, screen, &answer).await
    }
}

/// Shows what would be chosen.
pub(super) fn list(screen: &Screen, chosen: &Targets) -> Result<(), Trouble> {
    if screen.is_json() {
        return Ok(screen.json(chosen)?);
    }
    let of_platforms = chosen.targets.iter().any(|it| it.platform.is_some());
    let mut table = Table::headed(["SERVER", if of_platforms { "PLATFORM" } else { "SITE" }]);
    for target in &chosen.targets {
        let site = target.site.as_ref().map(AsRef::as_ref);
        let what: Option<&str> = site.or(target.platform.as_ref().map(AsRef::as_ref));
        table.row([
            target.server.as_str().into(),
            what.unwrap_or_default().into(),
        ]);
    }
    table.show(screen)?;
    let number = chosen.targets.len();
    Ok(screen.line(&format!("{number} would be chosen; nothing was started."))?)
}
