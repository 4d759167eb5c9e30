//! Snapshots of everything that a task could leave behind on a spoke, so that *before* and *after* can be
//! compared line by line.
//!
//! One file a sort of thing: [`tree`] (files with mode, owner, ACL, extended attributes and hash),
//! [`databases`] and [`mod@postgresql`] (with tables, users and grants), [`web`] (what the running web server answers),
//! [`backups`], [`processes`] (with their control groups, and the worker's open files), [`temporary`] files, and [`queues`]
//! at the broker. [`names`] puts one name in place of those that differ from run to run; [`compare`] says what differs; [`clear()`] makes a spoke empty.

mod backups;
mod clear;
mod compare;
mod databases;
mod names;
mod postgresql;
mod processes;
mod queues;
mod temporary;
mod tree;
mod web;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::spent::Spent;
use crate::stack::Stack;

pub use backups::{SNAPSHOTS, cheapen, repository};
pub use clear::clear;
pub use compare::Difference;
pub use databases::maria;
pub use postgresql::{offer_tls, postgresql};
pub use web::reload_web;

/// What there is: a name for each thing, and what is to be known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct World(BTreeMap<String, Thing>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Thing {
    /// What must be the same in every run: kind, mode, owner.
    shape: String,
    /// What may differ between two runs that both did right, such as a file with a password in it.
    content: String,
}

impl World {
    /// Looks at a spoke once. `hosts` are names whose answers over HTTP belong to the picture.
    pub async fn of(stack: &Stack, server: &str, hosts: &[&str]) -> Self {
        Watcher::new(stack, server, hosts).look().await
    }

    /// Only what has to be the same in every run.
    #[must_use]
    pub fn shape(&self) -> Self {
        self.each(|name, thing| {
            let shape = thing.shape.clone();
            let content = String::new();
            Some((name.to_owned(), Thing { shape, content }))
        })
    }

    /// The same with another name in place of one that differs between two tries.
    #[must_use]
    pub fn renamed(&self, from: &str, to: &str) -> Self {
        self.each(|name, thing| Some((name.replace(from, to), thing.clone())))
    }

    /// The same with one name in place of every run that a name holds: two tries are two runs.
    #[must_use]
    pub fn without_runs(&self) -> Self {
        self.each(|name, thing| Some((names::without_runs(name), thing.clone())))
    }

    /// The same with one name in place of every file that is named by a hash of what is in it, as a repository of
    /// backups names all of its own.
    #[must_use]
    pub fn without_hashes(&self) -> Self {
        self.each(|name, thing| Some((names::without_hashes(name), thing.clone())))
    }

    /// The same with a number in place of the digits at the end of the name of every database of a site: which run made
    /// it is told by them. Two that differ in nothing else are still two.
    #[must_use]
    pub fn without_databases(&self) -> Self {
        let mut known: BTreeMap<String, std::collections::BTreeSet<&str>> = BTreeMap::new();
        for name in self.0.keys() {
            for (at, stem) in names::databases(name) {
                known
                    .entry(stem)
                    .or_default()
                    .insert(names::digits(name, at));
            }
        }
        self.each(|name, thing| {
            let mut changed = name.to_owned();
            for (at, stem) in names::databases(name).into_iter().rev() {
                let digits = names::digits(name, at);
                let number = known[&stem].iter().position(|other| *other == digits);
                let range = at..at + digits.len();
                changed.replace_range(range, &number.unwrap_or_default().to_string());
            }
            Some((changed, thing.clone()))
        })
    }

    /// Only the things whose name is wanted.
    #[must_use]
    pub fn only(&self, wanted: impl Fn(&str) -> bool) -> Self {
        self.each(|name, thing| wanted(name).then(|| (name.to_owned(), thing.clone())))
    }

    /// How many things there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn each(&self, change: impl Fn(&str, &Thing) -> Option<(String, Thing)>) -> Self {
        let changed = self
            .0
            .iter()
            .filter_map(|(name, thing)| change(name, thing));
        Self(changed.collect())
    }

    fn note(&mut self, name: String, shape: String, content: String) {
        self.0.insert(name, Thing { shape, content });
    }

    /// So many of a sort.
    fn counted(&mut self, counts: BTreeMap<String, usize>) {
        for (name, count) in counts {
            self.note(name, format!("×{count}"), String::new());
        }
    }
}

/// How long what is on its way out may take: a connection that is being closed, a report that is being
/// confirmed. Files, databases and users have to be right at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// Looks at one spoke again and again, and remembers the hashes of files that have not changed.
pub struct Watcher {
    stack: Stack,
    server: String,
    hosts: Vec<String>,
    uid: u32,
    hashes: tree::Hashes,
    databases: databases::Databases,
    postgresql: postgresql::Postgresql,
    broker: queues::Broker,
    client: reqwest::Client,
    /// What its looks took.
    spent: Spent,
}

impl Watcher {
    /// Has seen nothing yet.
    ///
    /// # Panics
    /// When there is no HTTP client.
    #[must_use]
    pub fn new(stack: &Stack, server: &str, hosts: &[&str]) -> Self {
        Self {
            stack: stack.clone(),
            server: server.to_owned(),
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            uid: stack.uid(),
            hashes: tree::Hashes::default(),
            databases: databases::Databases::default(),
            postgresql: postgresql::Postgresql::default(),
            broker: queues::Broker::default(),
            client: web::client(),
            spent: Spent::default(),
        }
    }

    /// Everything, as it is now.
    pub async fn look(&mut self) -> World {
        let mut world = World::default();
        let began = Instant::now();
        self.files(&mut world);
        self.spent.since("files", began);
        let began = Instant::now();
        processes::note(&mut world, &self.stack, &self.server, self.uid);
        temporary::note(&mut world, &self.stack, self.uid);
        self.spent.since("processes", began);
        let began = Instant::now();
        let (databases, postgresql, web, queues) = tokio::join!(
            self.databases.look(&self.stack),
            self.postgresql.look(&self.stack),
            web::look(&self.client, &self.stack, &self.server, &self.hosts),
            self.broker.look(&self.stack, &self.server),
        );
        self.spent.since("services", began);
        for part in [databases, postgresql, web, queues] {
            world.0.extend(part.0);
        }
        world
    }

    /// What its looks took since this was last asked.
    pub fn spent(&mut self) -> Spent {
        std::mem::take(&mut self.spent)
    }

    /// Looks until `judge` finds nothing, or what it finds is not of the sort that goes away by itself. What
    /// was seen last, and what is wrong with it.
    pub async fn settle(
        &mut self,
        judge: impl Fn(&World) -> Vec<Difference>,
    ) -> (World, Vec<Difference>) {
        let began = Instant::now();
        loop {
            let world = self.look().await;
            let wrong = judge(&world);
            let may_go = !wrong.is_empty() && wrong.iter().all(Difference::is_passing);
            if !may_go || began.elapsed() > PATIENCE {
                return (world, wrong);
            }
            // Nothing here could wake us: it is other processes that come to rest.
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// The world when nothing passes any more: two looks that show the same.
    ///
    /// # Panics
    /// When it does not come to rest.
    pub async fn rest(&mut self) -> World {
        let first = std::cell::RefCell::new(self.look().await);
        let (world, moving) = self
            .settle(|now| {
                let moved = first.borrow().compare(now);
                first.replace(now.clone());
                moved
            })
            .await;
        assert!(
            moving.is_empty(),
            "the spoke does not come to rest: {moving:#?}"
        );
        world
    }

    fn files(&mut self, world: &mut World) {
        for folder in folders(&self.stack, &self.server) {
            tree::note(world, &mut self.hashes, &folder);
        }
        backups::note(world, &self.stack, &self.server);
    }
}

/// Every folder that a spoke has in a stack, but for those of nginx, PHP, its pools and restic themselves: what a task makes a new place
/// for is looked at without being named here.
fn folders(stack: &Stack, server: &str) -> Vec<std::path::PathBuf> {
    let config = stack.spoke(server, "config");
    let home = config.parent().expect("a folder");
    let entries = std::fs::read_dir(home).expect("the spoke's folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let others = ["nginx", "php", "pools", "backups"];
    paths
        .filter(|path| path.is_dir() && !others.iter().any(|name| path.ends_with(name)))
        .collect()
}
