//! The JSON of the hub's HTTP API, as types: what `api` answers and what `cli` reads.
//!
//! Times are milliseconds since 1970 (UTC). Fields are only ever added, so readers ignore what they do
//! not know; requests are strict, so that a misspelt field is an error and not a silent nothing.
//! What comes from a spoke (logs, failures, outputs) is passed on as it came: whoever shows it makes it
//! harmless first ([`kolga_protocol::message::printable`]).

mod operation;
mod standing;
mod task;

use std::collections::BTreeMap;

use kolga_protocol::id::{TaskId, UnixMillis};
use kolga_protocol::message::{Deferral, Mood};
use kolga_protocol::names::{
    HostName, OptionName, OptionValue, ParamName, ParamValue, PlatformName, PlatformSource,
    ProfileName, ServerName, SiteAlias, SpokePath,
};
use kolga_protocol::naming::Https;
use serde::{Deserialize, Serialize};

use crate::selector::{LabelChange, Labels, Selector};

pub use operation::{
    CancelOperation, Counts, Each, Item, ItemState, MOVE, NewMove, NewOperation, Operation,
    OperationAnswer, OperationId, OperationState, Resume, Stage, Target, Targets,
};
pub use standing::{Drift, Verified};
pub use task::{
    AttemptDetail, Event, LogEntry, NewTask, NewTasks, StateEntry, StepEntry, Task, TaskAnswer,
    TaskDetail, output_json,
};

/// `GET /v1/health`, the one answer that needs no token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `ok`; anything else is a sentence about what is wrong.
    pub status: String,
    /// The hub's version.
    pub version: String,
}

/// A part of a longer list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The entries: objects by name, tasks newest first, log lines oldest first.
    pub items: Vec<T>,
    /// What to give as `before` (tasks) or `after` (all else) to get the next part; none at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// A list that was asked for with a limit; `key` is what the next part comes after.
    #[must_use]
    pub fn of(items: Vec<T>, limit: u32, key: impl Fn(&T) -> String) -> Self {
        let full = items.len() >= limit as usize;
        let next = items.last().filter(|_| full).map(key);
        Self { items, next }
    }
}

/// A spoke.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Its name.
    pub name: ServerName,
    /// When it was added.
    pub created_at: UnixMillis,
    /// Whether its worker can be heard.
    pub presence: Presence,
    /// When the hub last heard it, by the hub's clock.
    pub seen_at: Option<UnixMillis>,
    /// What its worker said about itself then.
    pub worker: Option<WorkerStatus>,
    /// Tasks for it that have not ended.
    pub open_tasks: u64,
    /// What it is marked with.
    #[serde(default)]
    pub labels: Labels,
}

/// Whether a worker can be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// No heartbeat has ever come.
    NeverSeen,
    /// It sends heartbeats.
    Online,
    /// It did, and has stopped (`tasks.silent_seconds`).
    Silent,
}

/// What a worker says in its heartbeats: [`kolga_protocol::message::Heartbeat`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// The worker's version.
    pub version: String,
    /// What it does with its queue.
    pub mood: Mood,
    /// Attempts running or rolling back.
    pub running: u32,
    /// Attempts accepted and waiting.
    pub waiting: u32,
    /// Attempts stuck.
    pub stuck: u32,
    /// Reports that the broker has not confirmed yet.
    pub spooled: u64,
    /// The load average over one minute, in thousandths.
    pub load_milli: u32,
    /// Free bytes where sites lie.
    pub disk_free: u64,
    /// Why tasks wait there that could begin otherwise.
    pub deferring: Option<Deferral>,
}

/// `POST /v1/servers`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewServer {
    /// Its name: that of its queue and, after `kolga-`, of its broker user.
    pub name: ServerName,
}

/// The answer to `DELETE /v1/servers/{name}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedServer {
    /// What it was called.
    pub name: ServerName,
    /// Whether its queues are gone as well; they stay where the broker cannot be reached.
    pub queues_removed: bool,
}

/// `GET /v1/tasks/{id}/inventory`: what a `server.inventory` found, beside the hub's lists as they are now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// Where it was taken.
    pub server: ServerName,
    /// By which task.
    pub task: TaskId,
    /// When, by the server's clock.
    pub at: Option<UnixMillis>,
    /// What was found.
    pub found: kolga_protocol::task::server_inventory::Output,
    /// Where the hub's lists, the server's book and its disk differ.
    pub differences: Vec<Difference>,
}

/// One thing that is not the same everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// `platform`, `site`, or `stray` for what is neither.
    pub what: String,
    /// Its name, or where it lies.
    pub name: String,
    /// A sentence about it.
    pub difference: String,
}

/// How far a platform or a site is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// A task that makes it has not ended.
    Pending,
    /// It is there.
    Ready,
    /// A task that removes it has not ended.
    Removing,
    /// The last task that should have made it did not succeed; nothing of it is on the spoke, unless
    /// that task is stuck.
    Failed,
}

/// A lock that an operator has put on something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locked {
    /// Since when.
    pub at: UnixMillis,
    /// Who locked it.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
}

impl std::fmt::Display for Locked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "locked by {}", self.by)?;
        match self.reason.as_str() {
            "" => Ok(()),
            reason => write!(f, ": {reason}"),
        }
    }
}

/// `POST /v1/platforms/{server}/{name}/lock`, `POST /v1/sites/{host}/lock`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewLock {
    /// Why, for those whom the lock will be in the way.
    #[serde(default)]
    pub reason: Option<OptionValue>,
}

/// `POST /v1/platforms/locks`; the answer is [`Targets`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewLocks {
    /// Which platforms.
    pub select: Selector,
    /// Whether they are to be locked, or their locks to be taken off.
    pub locked: bool,
    /// Why, for those whom the lock will be in the way.
    #[serde(default)]
    pub reason: Option<OptionValue>,
    /// Only say which are meant.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// Code that sites share, on one server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// Its name, unique on its server.
    pub name: PlatformName,
    /// Where it is.
    pub server: ServerName,
    /// The kind of sites that it is for.
    pub profile: ProfileName,
    /// Where its code came from: a path on the spoke, or `git+URL#COMMIT`.
    pub source: PlatformSource,
    /// How far it is.
    pub condition: Condition,
    /// The application's version, once built and where the profile knows how to tell.
    pub version: Option<String>,
    /// Where it lies on the spoke, once built.
    pub path: Option<String>,
    /// That it takes no new sites, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked: Option<Locked>,
    /// What it is marked with.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// The last task that was asked for it.
    pub task: Option<TaskId>,
    /// When it was asked for.
    pub created_at: UnixMillis,
}

/// `POST /v1/servers/{name}/labels`, `POST /v1/sites/{host}/labels`, `POST /v1/platforms/{server}/{name}/labels`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewLabels {
    /// What is set, and what is removed.
    pub changes: Vec<LabelChange>,
}

/// `POST /v1/platforms`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPlatform {
    /// Its name, unique on its server.
    pub name: PlatformName,
    /// Where to build it.
    pub server: ServerName,
    /// The kind of sites that it is for.
    pub profile: ProfileName,
    /// Where the code is: a folder or an archive on the spoke, or `git+URL#COMMIT`.
    pub source: PlatformSource,
    /// Whether the packages that its `composer.lock` names are installed in it.
    #[serde(default)]
    pub composer: bool,
}

/// The answer to `POST /v1/platforms`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlatformAnswer {
    /// What there will be.
    pub platform: Platform,
    /// The task that makes it.
    pub task: Task,
}

/// A site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// Its name in DNS, unique over all servers.
    pub host: HostName,
    /// Where it is.
    pub server: ServerName,
    /// The kind of site.
    pub profile: ProfileName,
    /// The code that it shares with others.
    pub platform: Option<PlatformName>,
    /// What visitors are sent to, where that is not its name in DNS.
    #[serde(default)]
    pub main: Option<HostName>,
    /// Other names that serve it.
    pub aliases: Vec<SiteAlias>,
    /// Names that lead to the main one.
    #[serde(default)]
    pub redirects: Vec<SiteAlias>,
    /// How it answers over HTTPS.
    #[serde(default)]
    pub https: Https,
    /// What was chosen at its installation.
    pub options: BTreeMap<OptionName, OptionValue>,
    /// How far it is.
    pub condition: Condition,
    /// Whether visitors get the site itself, or the page that says that it is switched off.
    pub enabled: bool,
    /// Set while no task may change it.
    #[serde(default)]
    pub locked: Option<Locked>,
    /// What it was found to be when it was last verified.
    #[serde(default)]
    pub verified: Option<Verified>,
    /// What it is marked with.
    #[serde(default)]
    pub labels: Labels,
    /// Where it answers, once installed.
    pub url: Option<String>,
    /// The last task that was asked for it.
    pub task: Option<TaskId>,
    /// When it was asked for.
    pub created_at: UnixMillis,
}

/// `POST /v1/sites`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewSite {
    /// Its name in DNS.
    pub host: HostName,
    /// Where to install it.
    pub server: ServerName,
    /// The kind of site.
    pub profile: ProfileName,
    /// The code that it shares with others, where the profile wants a platform.
    #[serde(default)]
    pub platform: Option<PlatformName>,
    /// Other names that it answers to.
    #[serde(default)]
    pub aliases: Vec<SiteAlias>,
    /// What the profile lets an operator choose.
    #[serde(default)]
    pub options: BTreeMap<OptionName, OptionValue>,
}

/// `POST /v1/sites/{host}/tasks`: a task on a site that is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewSiteTask {
    /// Its type, `site.disable`.
    pub kind: String,
    /// The parameters of that kind, but for `site`.
    #[serde(default)]
    pub params: serde_json::Map<String, serde_json::Value>,
}

/// `POST /v1/sites/{host}/import`: a site that its server holds and the hub does not know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewImport {
    /// Where it is.
    pub server: ServerName,
    /// The folder on it that the site is to be made of; it is one that Kolga has made without.
    #[serde(default)]
    pub from: Option<SpokePath>,
    /// The kind of site; found out by the files in that folder without.
    #[serde(default)]
    pub profile: Option<ProfileName>,
    /// The code that it is to share with others, where its profile wants a platform.
    #[serde(default)]
    pub platform: Option<PlatformName>,
    /// What the profile lets an operator choose.
    #[serde(default)]
    pub options: BTreeMap<OptionName, OptionValue>,
    /// Leave it switched off, with no page of it on the web.
    #[serde(default)]
    pub disabled: bool,
    /// Only say what would come of it.
    #[serde(default)]
    pub check: bool,
}

/// The body of `POST /v1/servers/{name}/recipes/{recipe}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRecipeRun {
    /// The site that it works on, for a recipe that has such a parameter.
    #[serde(default)]
    pub site: Option<HostName>,
    /// Values for its other parameters, as text.
    #[serde(default)]
    pub params: BTreeMap<ParamName, ParamValue>,
}

/// The answer to `POST /v1/sites`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SiteAnswer {
    /// What there will be.
    pub site: Site,
    /// The task that makes it.
    pub task: Task,
}

/// The body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What is wrong.
    pub error: Error,
}

/// What is wrong, for programs and for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// A name that stays, such as `site_exists`.
    pub code: String,
    /// A sentence: what happened, to what.
    pub message: String,
    /// What to do next, where the hub knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// `GET /v1/doctor`: what the hub finds when it looks at itself and at what it depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doctor {
    /// The hub's version.
    pub version: String,
    /// The database as configured, without passwords, such as `SQLite 3.50.2, WAL, synchronous=FULL`.
    pub database: String,
    /// The broker as configured, without passwords, such as `RabbitMQ 3.10.8 at 127.0.0.1:5672/kolga,
    /// quorum queues`.
    pub broker: String,
    /// Each probe: database, broker link, outbox, history, and a heartbeat and a queue for each server.
    pub checks: Vec<DoctorCheck>,
}

/// One probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoctorCheck {
    /// What was probed, such as `broker link` or `server web1`.
    pub name: String,
    /// What came of it.
    pub status: CheckStatus,
    /// What was found.
    pub detail: String,
    /// What to do, for all but [`CheckStatus::Ok`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What came of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// All is well.
    Ok,
    /// It works, and somebody should look at it.
    Warn,
    /// It does not work.
    Fail,
}
