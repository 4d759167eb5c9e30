//! Breaks one task at every place where it can be broken, and judges what is left each time.
//!
//! The places are not listed here: a run in which nothing breaks notes every numbered point that the
//! worker passes (`protocol/src/fault.rs`), and the steps are read off that.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::hub::{Hub, TASK};
use crate::scenario::{SERVER, Scenario, platform_name};
use crate::stack::Stack;
use crate::wait::until;
use crate::worker::{Orders, Worker, command, trace};
use crate::world::World;

/// A system in which things are broken.
pub struct Breaker<'a> {
    stack: &'a Stack,
    hub: &'a Hub,
    scenario: Scenario,
    /// How the world looks when the task has done what it should.
    finished: World,
    /// Every point that an unbroken run passes.
    points: Vec<String>,
    /// What fired how often, and what came of it.
    table: BTreeMap<(String, String), usize>,
    tries: usize,
}

impl<'a> Breaker<'a> {
    /// Runs the scenario once with nothing broken.
    ///
    /// # Panics
    /// When even that does not work.
    pub async fn new(stack: &'a Stack, hub: &'a Hub, scenario: Scenario) -> Self {
        let calm = Worker::start(stack, SERVER, &Orders::default()).await;
        scenario.prepare(hub).await;
        scenario.before(hub).await;
        calm.stop().await;
        let note = trace_file();
        let orders = Orders {
            trace: Some(note.clone()),
            ..Orders::default()
        };
        let worker = Worker::start(stack, SERVER, &orders).await;
        let task = scenario.ask(hub, stack, 0).await;
        hub.succeeds(&task).await;
        scenario.after(hub, stack, 0).await;
        // Only now: the first task of all makes folders that stay.
        let task = scenario.ask(hub, stack, 1).await;
        hub.succeeds(&task).await;
        let world = World::of(stack, SERVER, &[scenario.host()]).await;
        let finished = finished_shape(&world, 1);
        scenario.after(hub, stack, 1).await;
        worker.stop().await;
        let points = trace(&note)
            .iter()
            .filter_map(|line| line.split_once(' ').map(|(_, name)| name.to_owned()))
            .collect();
        Self {
            stack,
            hub,
            scenario,
            finished,
            points,
            table: BTreeMap::new(),
            tries: 1,
        }
    }

    /// The steps that can be undone, in their order.
    ///
    /// # Panics
    /// When there is none: then nothing would be proven.
    #[must_use]
    pub fn steps(&self) -> Vec<String> {
        let steps = self.named("intended:");
        assert!(!steps.is_empty(), "{} has no steps", self.scenario.name());
        steps
    }

    /// The steps past the point of no return.
    #[must_use]
    pub fn finals(&self) -> Vec<String> {
        self.named("finish:")
    }

    /// What stands behind a prefix among the points of the scenario's own task, each once, in order.
    fn named(&self, prefix: &str) -> Vec<String> {
        let mut seen = BTreeSet::new();
        // The first task's points only: tidying up passes others.
        let own = self.points.iter().take_while(|name| *name != "ended");
        own.filter_map(|name| name.strip_prefix(prefix))
            .filter(|name| seen.insert((*name).to_owned()))
            .map(str::to_owned)
            .collect()
    }

    /// Kills the worker at point 1, 2, 3 … until a run completes; then at every point that has a name and
    /// was not among those.
    ///
    /// # Panics
    /// When anything is left, or a point was never reached.
    pub async fn kill_everywhere(&mut self) {
        let mut killed_at = BTreeSet::new();
        for number in 1.. {
            match self.kill(&format!("kill@{number}")).await {
                Some(point) => killed_at.insert(point),
                None => break,
            };
        }
        let own: BTreeSet<String> = self
            .points
            .iter()
            .take_while(|n| *n != "ended")
            .cloned()
            .collect();
        for name in own.difference(&killed_at.clone()) {
            if let Some(point) = self.kill(&format!("kill@{name}")).await {
                killed_at.insert(point);
            }
        }
        let missed: Vec<&String> = own.difference(&killed_at).collect();
        assert!(missed.is_empty(), "never killed at {missed:?}");
        assert!(killed_at.len() > 10, "only {} points", killed_at.len());
    }

    /// One try; the point at which the worker died.
    async fn kill(&mut self, order: &str) -> Option<String> {
        let number = self.next_try();
        let before = self.world_before().await;
        let note = trace_file();
        let orders = Orders {
            faults: Some(order.to_owned()),
            trace: Some(note.clone()),
            ..Orders::default()
        };
        let mut worker = Worker::start(self.stack, SERVER, &orders).await;
        let task = self.scenario.ask(self.hub, self.stack, number).await;
        let died = until("the worker dies or the task ends", TASK, async || {
            if worker.ended().is_some() {
                return Some(true);
            }
            (self.hub.show(&task).await["finished"] == true).then_some(false)
        })
        .await;
        if !died {
            let shown = self.hub.show(&task).await;
            assert_eq!(shown["state"], "succeeded", "{order}: {shown:#}");
            // Not told to stop: its point may be just ahead.
            worker.kill().await;
            let calm = Worker::start(self.stack, SERVER, &Orders::default()).await;
            self.scenario.after(self.hub, self.stack, number).await;
            calm.stop().await;
            return None;
        }
        assert!(
            worker.was_killed(),
            "{order}: the worker ended by itself: {:?}",
            worker.ended()
        );
        let point = trace(&note)
            .iter()
            .find_map(|line| Some(line.split_once(" KILLED ")?.1.to_owned()))
            .expect("it notes where it dies");
        let calm = Worker::start(self.stack, SERVER, &Orders::default()).await;
        let shown = self.hub.ended(&task).await;
        let state = shown["state"].as_str().unwrap_or_default().to_owned();
        self.judge(
            &format!("killed at {point}"),
            &state,
            &before,
            &["succeeded", "interrupted"],
        )
        .await;
        if state == "succeeded" {
            self.scenario.after(self.hub, self.stack, number).await;
        }
        calm.stop().await;
        Some(point)
    }

    /// Makes each step fail where it looks, before it acts and after it acted, with every undo run twice.
    ///
    /// # Panics
    /// When anything is left, or the wrong step failed.
    pub async fn fail_everywhere(&mut self) {
        for step in self.steps() {
            for at in ["inspect", "apply", "applied"] {
                let order = format!("fail@{at}:{step}");
                let shown = self
                    .try_failing(&format!("{order},twice@undo"), &["failed"])
                    .await;
                assert_eq!(
                    shown["failure"]["step"],
                    step.as_str(),
                    "{order}: {shown:#}"
                );
            }
        }
        for step in self.finals() {
            let order = format!("fail@inspect:{step}");
            self.try_failing(&format!("{order},twice@undo"), &["failed"])
                .await;
        }
    }

    /// One try in which something fails; the task as the hub shows it then.
    async fn try_failing(&mut self, order: &str, wanted: &[&str]) -> serde_json::Value {
        let number = self.next_try();
        let before = self.world_before().await;
        let note = trace_file();
        let orders = Orders {
            faults: Some(order.to_owned()),
            trace: Some(note.clone()),
            ..Orders::default()
        };
        let worker = Worker::start(self.stack, SERVER, &orders).await;
        let task = self.scenario.ask(self.hub, self.stack, number).await;
        let shown = self.hub.ended(&task).await;
        assert!(
            trace(&note).iter().any(|line| line.starts_with("FAILED ")),
            "{order} never fired: {shown:#}"
        );
        let state = shown["state"].as_str().unwrap_or_default();
        self.judge(order, state, &before, wanted).await;
        worker.stop().await;
        shown
    }

    /// Lets the undo of each step fail: the task is stuck, its object locked, others go on; a restart
    /// changes nothing of that; and `retry-undo` ends it with nothing left.
    ///
    /// # Panics
    /// When it does not.
    pub async fn fail_every_undo(&mut self) {
        let steps = self.steps();
        let last = steps.last().expect("steps").clone();
        for step in steps {
            let order = format!("fail@applied:{last},fail@undo:{step}");
            let number = self.next_try();
            let before = self.world_before().await;
            let orders = Orders {
                faults: Some(order.clone()),
                ..Orders::default()
            };
            let worker = Worker::start(self.stack, SERVER, &orders).await;
            let task = self.scenario.ask(self.hub, self.stack, number).await;
            let shown = self.hub.reaches(&task, "stuck").await;
            assert_eq!(
                shown["failure"]["step"],
                step.as_str(),
                "{order}: {shown:#}"
            );
            let left = shown["failure"]["left_behind"]
                .as_array()
                .map_or(0, Vec::len);
            assert!(left > 0, "{order}: what is left is named: {shown:#}");
            let ping = self.hub.task(SERVER, "ping", serde_json::json!({})).await;
            self.hub.succeeds(&ping).await;
            worker.stop().await;
            let calm = Worker::start(self.stack, SERVER, &Orders::default()).await;
            assert_eq!(self.hub.show(&task).await["state"], "stuck", "{order}");
            let told = command(self.stack, SERVER, &["journal", "retry-undo", &task]);
            assert!(told.status.success(), "{order}: {told:?}");
            let shown = self.hub.ended(&task).await;
            let state = shown["state"].as_str().unwrap_or_default().to_owned();
            self.judge(&order, &state, &before, &["failed"]).await;
            calm.stop().await;
        }
    }

    fn next_try(&mut self) -> usize {
        self.tries += 1;
        self.tries
    }

    async fn world_before(&self) -> World {
        World::of(self.stack, SERVER, &[self.scenario.host()]).await
    }

    /// Compares the world with the one before the task, or with the one after it.
    async fn judge(&mut self, fault: &str, state: &str, before: &World, wanted: &[&str]) {
        assert!(wanted.contains(&state), "{fault}: the task is {state}");
        let after = World::of(self.stack, SERVER, &[self.scenario.host()]).await;
        let left = if state == "succeeded" {
            self.finished
                .difference(&finished_shape(&after, self.tries))
        } else {
            before.difference(&after)
        };
        assert!(
            left.is_empty(),
            "{}: {fault}, {state}, and the world differs:\n{}",
            self.scenario.name(),
            left.join("\n")
        );
        let kind = fault
            .split([':', ' '])
            .take(3)
            .collect::<Vec<_>>()
            .join(" ");
        *self.table.entry((kind, state.to_owned())).or_default() += 1;
    }

    /// Prints how often each fault fired and what came of it.
    ///
    /// # Panics
    /// When none did.
    pub fn report(&self) {
        let fired: usize = self.table.values().sum();
        println!("{}: {fired} faults fired", self.scenario.name());
        for ((fault, outcome), times) in &self.table {
            println!("  {times:>4} × {fault:<40} → {outcome}");
        }
        assert!(fired > 0, "nothing was broken, so nothing is proven");
    }
}

/// What has to be the same after every try that succeeded: each makes a platform of another name.
fn finished_shape(world: &World, number: usize) -> World {
    world.shape().renamed(&platform_name(number), "this-try")
}

/// A new file that the worker's user can write.
fn trace_file() -> PathBuf {
    let path = std::env::temp_dir().join(format!("kolga-trace-{}", uuid::Uuid::now_v7()));
    std::fs::write(&path, "").expect("a file");
    let anybody = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(&path, anybody).expect("given to the worker");
    path
}
