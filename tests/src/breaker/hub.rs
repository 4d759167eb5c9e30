//! Kills the hub at its points: before and after each commit, each publish, each ack. Whatever it had
//! promised is kept, the task ends as it should, and the worker does its work once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde_json::Value;

use super::Breaker;
use super::points::Point;
use crate::hub::TASK;
use crate::wait::{HUB, until};

impl Breaker {
    /// Kills the hub at each of its points, and once again at its next start.
    ///
    /// # Panics
    /// When a task is lost, or ends in another way, or is done twice.
    pub(super) async fn kill_hub_everywhere(&mut self) {
        let mut by_name: BTreeMap<String, Vec<Point>> = BTreeMap::new();
        for point in self.hub_points.clone() {
            by_name.entry(point.name.clone()).or_default().push(point);
        }
        let mut killed = BTreeSet::new();
        let chosen = self.choice.hub(&by_name, &self.new.at_hub);
        for (name, passes) in &chosen {
            for point in passes {
                match self.kill_hub(&[point.kill()]).await {
                    0 => self.table.missed(),
                    _ => drop(killed.insert(name.clone())),
                }
            }
            // How many batches there are depends on who is faster; one there always is.
            if !killed.contains(name) && self.kill_hub(&[format!("kill@{name}")]).await > 0 {
                killed.insert(name.clone());
            }
        }
        let missed: Vec<&String> = chosen
            .keys()
            .filter(|name| !killed.contains(*name))
            .collect();
        assert!(missed.is_empty(), "the hub was never killed at {missed:?}");
        assert!(
            by_name.len() >= 7 && !killed.is_empty(),
            "only {killed:?} of {by_name:?}"
        );
        let points: Vec<Point> = by_name.into_values().flatten().collect();
        for point in self
            .choice
            .some("pairs of kills of the hub", &points, 1, Point::kill)
        {
            let again = 1 + self.choice.below(&point.kill(), 6);
            self.kill_hub(&[point.kill(), format!("kill@{again}")])
                .await;
        }
    }

    /// One try: it dies by these orders, one after the other. How often it did.
    async fn kill_hub(&mut self, orders: &[String]) -> usize {
        let before = self.begin().await;
        self.hand.calm();
        let newest = self.hub.newest_task().await;
        let mut orders = orders.iter();
        let mut deaths = Vec::new();
        self.hub_hand.give(orders.next().expect("an order"));
        let request = self.request();
        let task = loop {
            if let Some(task) = self.hub.try_ask(&request).await {
                break task;
            }
            self.hub_again(&mut deaths, orders.next()).await;
            // What was committed before it died is there, and is not asked for again.
            let now = loop {
                match self.hub.try_newest_task().await {
                    Some(now) => break now,
                    // It did answer, and came to its second order after that.
                    None => self.hub_again(&mut deaths, None).await,
                }
            };
            if now != newest {
                break now.expect("a task");
            }
        };
        while self.hub_dies(&task).await {
            self.hub_again(&mut deaths, orders.next()).await;
        }
        self.hub_hand.calm();
        let path = format!("/v1/tasks/{task}");
        let shown = loop {
            match self.hub.try_request("GET", &path, None).await {
                Some((_, shown)) => break shown,
                // It was on its way to its point still.
                None => self.hub_again(&mut deaths, None).await,
            }
        };
        assert_eq!(shown["attempt"], 1, "hub killed at {deaths:?}: {shown:#}");
        let passed = self.hand.passed();
        for effect in passed
            .iter()
            .filter(|name| name.starts_with("intended:") || *name == "end")
        {
            let times = passed.iter().filter(|name| *name == effect).count();
            // A task may have a step twice.
            let unbroken = self.points.iter().filter(|point| point.name == *effect);
            assert_eq!(
                times,
                unbroken.count(),
                "hub killed at {deaths:?}: {effect} came {times} times"
            );
        }
        let fault = format!("hub killed at {}", deaths.join(", then at "));
        self.judge(&fault, &shown, before, &["succeeded"]).await;
        if !deaths.is_empty() {
            self.table.fired("", &fault, "succeeded");
        }
        deaths.len()
    }

    /// Starts it again after a death.
    async fn hub_again(&mut self, deaths: &mut Vec<String>, next: Option<&String>) {
        until("the hub is dead", TASK, async || {
            self.hub.was_killed().then_some(())
        })
        .await;
        deaths.push(self.hub_hand.killed_at().expect("it notes where it dies"));
        match next {
            Some(order) => self.hub_hand.give(order),
            None => self.hub_hand.calm(),
        }
        // The second order may be that it dies before it answers.
        if !self.hub.try_start_again().await {
            deaths.push(self.hub_hand.killed_at().expect("it notes where it dies"));
            self.hub_hand.calm();
            self.hub.start_again().await;
        }
    }

    /// Waits until it dies (true), or the task has ended and everything about it is acked.
    async fn hub_dies(&mut self, task: &str) -> bool {
        let path = format!("/v1/tasks/{task}");
        let (mut finished, mut asked) = (false, Instant::now());
        until("the hub dies or the task ends", TASK, async || {
            if self.hub.was_killed() {
                return Some(true);
            }
            if !finished && asked.elapsed() >= HUB {
                asked = Instant::now();
                let shown = self.hub.try_request("GET", &path, None).await;
                finished = shown.is_some_and(|(_, shown)| shown["finished"] == true);
            }
            let rests = |status: Value| status["spooled"] == 0;
            if !finished || !self.worker.status().is_some_and(rests) {
                return None;
            }
            let passed = self.hub_hand.passed();
            let times = |wanted: &str| passed.iter().filter(|name| *name == wanted).count();
            (times("inbox:delivered") == times("inbox:acked")).then_some(false)
        })
        .await
    }
}
