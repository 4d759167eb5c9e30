//! Breaks one task at every place where it can be broken, and judges what is left each time.
//!
//! The places are not listed here: a run in which nothing breaks notes every point that worker and hub pass
//! (`protocol/src/fault.rs`), and the [`points`] and steps are read off that. Which of them are broken in this run
//! is a [`choice`] by a seed, which leaves out what other scenarios of the run have tried ([`mod@claims`]). One file a
//! way of breaking: [`kill`] the worker, and again while it recovers; kill the [`hub`]; [`fail`] a step, with each
//! undo run twice, or fail an undo; find a [`full`] disk; put [`strangers`] in the way. Of those that are another profile's once
//! more, [`brief`] breaks what differs. [`table`] says what came of it.

mod brief;
mod choice;
mod claims;
mod fail;
mod full;
mod hub;
mod kill;
mod points;
mod strangers;
mod table;

use std::time::Instant;

use kolga_protocol::object::Lane;
use serde_json::Value;

use crate::cell::Cell;
use crate::hub::{Hub, Settings, TASK};
use crate::neighbours;
use crate::orders::Hand;
use crate::scenario::{SERVER, Scenario, foreign, platform_name};
use crate::small_disks::SmallDisks;
use crate::spent::Spent;
use crate::stack::Stack;
use crate::wait::{HUB, until};
use crate::worker::Worker;
use crate::world::{Difference, Watcher, World, clear};
use choice::Choice;
use claims::{New, claims};
use points::Point;
use table::Table;

/// A system in which things are broken.
pub struct Breaker {
    scenario: Scenario,
    stack: Stack,
    hub: Hub,
    hub_hand: Hand,
    worker: Worker,
    hand: Hand,
    watcher: Watcher,
    /// How the world looks when the task has done what it should.
    finished: World,
    /// How it looks before a try, when the last one has left nothing.
    before: Option<World>,
    /// Every point that an unbroken run passes, in the worker and in the hub.
    points: Vec<Point>,
    hub_points: Vec<Point>,
    /// Those at which the worker is killed in this run.
    chosen: Vec<Point>,
    /// What no other scenario of this run has tried.
    new: New,
    table: Table,
    choice: Choice,
    tries: usize,
    /// Where the time goes.
    spent: Spent,
    /// When the try began.
    began: Instant,
    /// What can be filled, where the scenario is to meet a full disk.
    disks: Option<SmallDisks>,
    /// The last to be dropped: by then hub and worker are gone.
    cell: Cell,
}

impl Breaker {
    /// Runs the scenario twice with nothing broken: the first task of all makes folders that stay, the second
    /// shows which points there are and how the world should look.
    ///
    /// # Panics
    /// When even that does not work.
    pub async fn new(scenario: Scenario) -> Self {
        let cell = Cell::take();
        let mut spent = Spent::default();
        let began = Instant::now();
        let stack = cell.stack().clone();
        clear(&stack, SERVER).await;
        let disks = scenario
            .meets_a_full_disk()
            .then(|| SmallDisks::mount(&stack, SERVER));
        spent.since("clearing", began);
        let began = Instant::now();
        // An undo that was told to fail fails each time, and one that was not may not fail even once.
        let stack = stack.with_setting(SERVER, "limits", "undo_patience_seconds", 0.into());
        let keep_days = if scenario.keeps_trash() { 14 } else { 0 };
        let stack = stack.with_setting(SERVER, "trash", "keep_days", keep_days.into());
        // Where databases are changes nothing of what has to hold.
        let stack = match std::env::var("KOLGA_DATABASE").is_ok_and(|place| place == "remote") {
            true => stack.with_remote_database(SERVER),
            false => stack,
        };
        // Sites' regular work would come in between.
        let stack = stack.with_setting(SERVER, "cron", "enabled", false.into());
        let imports = foreign::imports(&stack);
        // A server that is verified wants what it is configured for.
        std::fs::create_dir_all(&imports).expect("a folder");
        let imports = imports.display().to_string();
        let stack = stack.with_setting(SERVER, "sites", "import_from", vec![imports].into());
        let (mut hand, mut hub_hand) = (Hand::new(), Hand::new());
        hand.calm();
        hub_hand.calm();
        let settings = Settings {
            orders: hub_hand.orders(),
            ..Settings::default()
        };
        let hub = Hub::with_servers(&stack, &settings, &[SERVER]).await;
        let worker = Worker::start(&stack, SERVER, &hand.orders()).await;
        spent.since("starting", began);
        let began = Instant::now();
        neighbours::plant(&stack, &hub, scenario).await;
        spent.since("planting neighbours", began);
        let began = Instant::now();
        scenario.prepare(&hub, &stack).await;
        spent.since("preparing", began);
        let host = scenario.host();
        let new = scenario.new_host();
        let hosts = neighbours::HOSTS.iter().copied().chain([&*host]);
        let hosts: Vec<&str> = hosts.chain(new.as_deref()).collect();
        let mut breaker = Self {
            watcher: Watcher::new(&stack, SERVER, &hosts),
            choice: Choice::new(&scenario.name()),
            scenario,
            stack,
            hub,
            hub_hand,
            worker,
            hand,
            finished: World::default(),
            before: None,
            points: Vec::new(),
            hub_points: Vec::new(),
            chosen: Vec::new(),
            new: New::default(),
            table: Table::default(),
            tries: 0,
            spent,
            began: Instant::now(),
            disks,
            cell,
        };
        breaker.succeed().await;
        breaker.succeed().await;
        breaker.choose();
        breaker
    }

    /// Takes what no other scenario of this run has taken, and some of the rest.
    fn choose(&mut self) {
        // One that is brief breaks little, so what it passes is still others' to try.
        if self.is_brief() {
            return;
        }
        let task = self.scenario.kind.to_string();
        let mut claims = claims();
        self.new = claims.take(&task, &self.points, &self.hub_points, self.disks.is_some());
        self.chosen = self.choice.points(&task, &self.points, &mut claims);
    }

    /// One run that nothing breaks.
    async fn succeed(&mut self) {
        let before = self.begin().await;
        self.hand.calm();
        self.hub_hand.calm();
        let task = self.hub.ask(&self.request()).await;
        self.hub.succeeds(&task).await;
        self.worker.rests().await;
        let passed = self.hand.passed();
        // What has no step has ended where it is accepted.
        let last = match self.scenario.kind.lane() {
            Lane::Instant => "accepted",
            Lane::Light | Lane::Heavy | Lane::Urgent => "ended",
        };
        assert!(passed.contains(&last.to_owned()), "{passed:?}");
        self.points = points::read(&passed);
        self.hub_points = points::read(&self.hub_hand.passed());
        let world = self.watcher.rest().await;
        let harmed = self.foreign(&before).difference(&self.foreign(&world));
        // The first task of all makes folders that stay.
        let harmless = harmed.is_empty() || self.tries == 1;
        assert!(harmless, "{}: {harmed:#?}", self.scenario.name());
        self.finished = self.own_shape(&world);
        self.tidy_up().await;
    }

    /// Every fault that this scenario has to bear; `KOLGA_PHASE` names one way of breaking alone.
    ///
    /// # Panics
    /// When anything is left, lost or done twice, or nothing was broken.
    pub async fn break_everything(mut self) {
        let only = std::env::var("KOLGA_PHASE").ok();
        let brief = self.is_brief();
        let wanted = |phase: &str| !brief && only.as_deref().is_none_or(|only| only == phase);
        if brief {
            self.timed("what differs", Self::break_a_little).await;
        }
        if wanted("fail") {
            self.timed("steps that fail", Self::fail_everywhere).await;
        }
        if wanted("kill") {
            self.timed("worker killed", Self::kill_everywhere).await;
        }
        if wanted("undo") {
            self.timed("undos that fail", Self::fail_every_undo).await;
        }
        if wanted("full") {
            self.timed("disks that are full", Self::fill_everywhere)
                .await;
        }
        if wanted("hub") {
            self.timed("hub killed", Self::kill_hub_everywhere).await;
        }
        if wanted("strangers") {
            self.timed("strangers", Self::meet_strangers).await;
        }
        let name = self.scenario.name();
        self.table.print(&name);
        self.choice.print();
        let file = format!("{}/log/faults.tsv", Stack::load().text("/dir"));
        self.table.append(file.as_ref(), &name);
        assert!(
            self.table.total() > 0,
            "nothing was broken, so nothing is proven"
        );
        self.worker.stop().await;
        drop(self.disks);
        drop(self.cell);
    }

    async fn timed(&mut self, what: &str, phase: impl AsyncFnOnce(&mut Self)) {
        let (began, fired) = (std::time::Instant::now(), self.table.total());
        phase(self).await;
        let (took, fired) = (began.elapsed(), self.table.total() - fired);
        println!(
            "{}: {what}: {fired} in {:.1} s",
            self.scenario.name(),
            took.as_secs_f64()
        );
        println!("  {}", std::mem::take(&mut self.spent));
        println!("  looks: {}", self.watcher.spent());
    }

    /// The next try: everything rests. The world as it is before it.
    async fn begin(&mut self) -> World {
        self.tries += 1;
        let began = Instant::now();
        self.worker.rests().await;
        self.spent.since("waiting for rest", began);
        let began = Instant::now();
        let before = match self.before.take() {
            Some(before) => before,
            None => self.watcher.rest().await,
        };
        self.spent.since("looking before", began);
        self.began = Instant::now();
        before
    }

    fn request(&self) -> crate::hub::Request {
        self.scenario.request(&self.stack, self.tries)
    }

    /// Makes everything ready again after a try that succeeded.
    async fn tidy_up(&mut self) {
        self.hand.calm();
        self.hub_hand.calm();
        let began = Instant::now();
        self.scenario
            .after(&self.hub, &self.stack, self.tries)
            .await;
        self.spent.since("tidying up", began);
    }

    /// Compares the world with the one before the task, or with the one after it; and makes ready for the
    /// next try.
    async fn judge(&mut self, fault: &str, shown: &Value, before: World, wanted: &[&str]) {
        let state = shown["state"].as_str().unwrap_or_default();
        assert!(
            wanted.contains(&state),
            "{fault}: the task is {state}: {shown:#}"
        );
        let succeeded = state == "succeeded";
        // Both are read while the watcher looks.
        let (finished, foreign) = (self.finished.clone(), self.foreign(&before));
        let (scenario, tries) = (self.scenario, self.tries);
        let judged = |now: &World| -> Vec<Difference> {
            if !succeeded {
                return before.compare(now);
            }
            let mut wrong = finished.compare(&own_shape(scenario, tries, now));
            wrong.extend(foreign.compare(&foreign_of(scenario, now)));
            wrong
        };
        self.spent.since("tries", self.began);
        let began = Instant::now();
        let (_, wrong) = self.watcher.settle(judged).await;
        self.spent.since("looking after", began);
        let lines: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        assert!(
            lines.is_empty(),
            "{}: {fault}, {state}, and the world differs:\n{}\nthe worker noted: {:?}",
            self.scenario.name(),
            lines.join("\n"),
            self.hand.noted(),
        );
        if succeeded {
            self.tidy_up().await;
        } else {
            self.before = Some(before);
        }
    }

    fn own_shape(&self, world: &World) -> World {
        own_shape(self.scenario, self.tries, world)
    }

    fn foreign(&self, world: &World) -> World {
        foreign_of(self.scenario, world)
    }

    /// Waits until the worker dies (true), or the task has ended and everything about it is told.
    async fn worker_dies(&mut self, task: &str) -> bool {
        let (mut finished, mut asked) = (false, Instant::now());
        until("the worker dies or the task ends", TASK, async || {
            if self.worker.ended().is_some() {
                return Some(true);
            }
            if !finished && asked.elapsed() >= HUB {
                finished = self.hub.show(task).await["finished"] == true;
                asked = Instant::now();
            }
            let rests = |status: Value| status["spooled"] == 0 && status["mood"] == "consuming";
            (finished && self.worker.status().is_some_and(rests)).then_some(false)
        })
        .await
    }
}

/// What is the task's, without what differs between two that both did right: passwords, runs, and the name of
/// the platform, which is another one each time.
fn own_shape(scenario: Scenario, number: usize, world: &World) -> World {
    world
        .only(scenario.owns())
        .shape()
        .renamed(&platform_name(number), "this-try")
        .without_runs()
        .without_databases()
        .without_hashes()
}

/// What is not the task's and must be as it was.
fn foreign_of(scenario: Scenario, world: &World) -> World {
    let owns = scenario.owns();
    world.only(|name| !owns(name))
}
