//! Starts an operation: its set of servers, sites or platforms is chosen at one moment, and is the operation's from then on,
//! whatever comes and goes later. [`super::preparing`] writes it down.

use std::sync::Arc;

use kolga_protocol::task::{Kind, Params};
use serde_json::{Map, Value};

use super::super::tx::Refusal;
use super::super::{Store, StoreError};
use super::preparing::{Begin, GoOn, Plan};
use super::select::choose;
use crate::selector::Selector;
use crate::wire::{Each, OperationId, Target};

/// Items of one operation at most.
const MOST: usize = 100_000;
/// Tasks of one operation that may be open at once.
pub const MOST_PARALLEL: u32 = 1000;

/// Starts an operation, or only says what it would be carried out on.
#[derive(Clone, Debug)]
pub struct Start {
    /// Its tasks, without what each is about.
    pub work: Work,
    /// Which servers, sites or platforms.
    pub select: Selector,
    /// Tasks that are open at once, at most.
    pub parallel: u32,
    /// The same, on one server.
    pub per_server: Option<u32>,
    /// Failures after which no more tasks are made; 0 for none.
    pub stop_after: u32,
    /// Only say what it would be carried out on.
    pub dry_run: bool,
    /// Who asks.
    pub requested_by: String,
}

/// Tasks that differ in nothing but what each is about.
#[derive(Clone, Debug)]
pub struct Work {
    pub(super) kind: Kind,
    pub(super) params: Map<String, Value>,
    pub(super) each: Each,
}

impl Work {
    /// From what somebody wrote.
    ///
    /// # Errors
    /// [`Refusal`] when there is no such kind, it cannot be done to many, or its parameters are wrong.
    pub fn new(
        kind: &str,
        params: Map<String, Value>,
        each: Option<Each>,
    ) -> Result<Self, Refusal> {
        let wrong = |error: &dyn std::error::Error| {
            let reason = error
                .source()
                .map(|it| format!(": {it}"))
                .unwrap_or_default();
            Refusal::invalid("bad_task", format!("{error}{reason}"), None)
        };
        let known: Kind = kind.parse().map_err(|error| wrong(&error))?;
        let Some(each) = about(known)
            .iter()
            .copied()
            .find(|&one| each.is_none_or(|wanted| wanted == one))
        else {
            return Err(unfit(kind, each));
        };
        let (one, its_own) = its_own(known, each);
        if let Some(name) = its_own.iter().find(|name| params.contains_key(**name)) {
            return Err(Refusal::invalid(
                "bad_task",
                format!("{name} is for one {one}, and cannot be said of many {kind} tasks"),
                format!("leave it out: an operation names the {one} of each of its tasks itself"),
            ));
        }
        let work = Self {
            kind: known,
            params,
            each,
        };
        // What is wrong with the parameters is told now, not once for each of the sites.
        work.for_one(match each {
            Each::Server => About::Server,
            Each::Site => About::Site("example.org"),
            Each::Platform => About::Platform("example"),
        })
        .map_err(|error| wrong(&error))?;
        Ok(work)
    }

    /// The parameters of one of its tasks.
    pub(super) fn for_one(
        &self,
        about: About<'_>,
    ) -> Result<Params, kolga_protocol::task::PayloadError> {
        params_for(self.kind.as_str(), &self.params, about)
    }
}

/// Parameters that fit one only, and one what: which it is, and the name that it is to have (`site.migrate`); what lies in
/// one server's trash.
fn its_own(kind: Kind, each: Each) -> (&'static str, &'static [&'static str]) {
    match each {
        Each::Platform => ("platform", &["platform"]),
        Each::Server if kind == Kind::TrashEmpty => ("server", &["item"]),
        Each::Server | Each::Site => ("site", &["site", "host"]),
    }
}

/// What tasks of a kind can be about, many at once. None for those that make something, which has to be named, and
/// for those whose parameters fit one site only; a new kind is of these until somebody has thought about it.
fn about(kind: Kind) -> &'static [Each] {
    match kind {
        Kind::Ping
        | Kind::ServerVerify
        | Kind::ServerPrint
        | Kind::ServerInventory
        | Kind::BackupList
        | Kind::TrashList
        | Kind::TrashEmpty
        | Kind::RecipeList => &[Each::Server],
        Kind::SiteVerify
        | Kind::SiteBackup
        | Kind::SiteEnable
        | Kind::SiteDisable
        | Kind::SiteRun
        | Kind::SiteHttps
        | Kind::SitePool
        | Kind::SiteMigrate
        | Kind::SiteDelete => &[Each::Site],
        Kind::PlatformVerify | Kind::PlatformDelete => &[Each::Platform],
        Kind::RecipeRun => &[Each::Server, Each::Site],
        _ => &[],
    }
}

fn unfit(kind: &str, each: Option<Each>) -> Refusal {
    let about = match each {
        Some(Each::Server) => " about servers",
        Some(Each::Site) => " about sites",
        Some(Each::Platform) => " about platforms",
        None => "",
    };
    Refusal::invalid(
        "bad_task",
        format!("an operation cannot be made of {kind} tasks{about}"),
        "its tasks are of one kind, about servers, or about sites or platforms that are there"
            .to_owned(),
    )
}

/// What one task is about.
#[derive(Clone, Copy)]
pub(super) enum About<'a> {
    Server,
    Site(&'a str),
    Platform(&'a str),
}

/// The parameters of one of the tasks of an operation.
pub(super) fn params_for(
    kind: &str,
    shared: &Map<String, Value>,
    about: About<'_>,
) -> Result<Params, kolga_protocol::task::PayloadError> {
    let mut params = shared.clone();
    match about {
        About::Server => {}
        About::Site(host) => drop(params.insert("site".to_owned(), host.into())),
        About::Platform(name) => drop(params.insert("platform".to_owned(), name.into())),
    }
    Params::from_json(kind, params.into())
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Started {
    /// The operation, unless it was only asked what it would be.
    pub id: Option<OperationId>,
    /// What it is carried out on.
    pub targets: Vec<Target>,
}

impl Store {
    /// Starts an operation, or only says what it would be carried out on. The set is chosen in one reading of the lists;
    /// then it is written down piece by piece, and nobody sees the operation before all of it is.
    ///
    /// # Errors
    /// [`StoreError`]: the selector is wrong, nothing is meant, nothing of it could succeed, or the database failed.
    pub async fn start(&self, start: Start) -> Result<Started, StoreError> {
        if !(1..=MOST_PARALLEL).contains(&start.parallel) || start.per_server == Some(0) {
            return Err(Refusal::invalid(
                "bad_count",
                format!(
                    "between 1 and {MOST_PARALLEL} tasks can be open at once, and at least 1 on each server"
                ),
                None,
            )
            .into());
        }
        let mut reading = self.reads.begin().await?;
        let chosen = choose(&mut reading, &start.select, start.work.each).await?;
        reading.rollback().await?;
        let chosen = chosen?;
        if chosen.targets.len() > MOST {
            return Err(Refusal::invalid(
                "too_many",
                format!(
                    "{} are meant; one operation is of {MOST} at most",
                    chosen.targets.len()
                ),
                "make several, of some servers each: --on 'web1*'".to_owned(),
            )
            .into());
        }
        let id = (!start.dry_run).then(OperationId::generate);
        let plan = Arc::new(Plan { id, start, chosen });
        let mut written = self.write(Begin(Arc::clone(&plan))).await?;
        while id.is_some() && written < plan.chosen.targets.len() {
            let plan = Arc::clone(&plan);
            written = self.write(GoOn { plan, written }).await?;
        }
        Ok(Started {
            id,
            targets: plan.chosen.targets.clone(),
        })
    }
}
