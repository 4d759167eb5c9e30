//! Kills the worker at every point; and once more, and again and again, while it recovers from that.

use std::collections::BTreeSet;

use super::Breaker;
use super::points::{self, Point};
use crate::scenario::SERVER;
use crate::worker::Worker;

/// Pairs of a kill and a second one during recovery, where not all are wanted; and where most was tried already.
const PAIRS: usize = 3;
const FEWER_PAIRS: usize = 1;
/// The longest chain of kills: a recovery that passes more points than this makes no progress.
const LONGEST: usize = 500;

/// A try in which the worker died.
pub(super) struct Fallen {
    /// Where, each time.
    deaths: Vec<String>,
    /// What the last worker passed until the task had ended.
    recovery: Vec<Point>,
}

impl Breaker {
    /// Kills the worker at the points that were chosen, then at some again during recovery.
    ///
    /// # Panics
    /// When anything is left, or a point was never reached.
    pub(super) async fn kill_everywhere(&mut self) {
        let chosen = self.chosen.clone();
        let mut fallen = Vec::new();
        for point in &chosen {
            match self.kill(&point.kill(), point, |_| None).await {
                Some(first) => fallen.push((point.clone(), first.recovery)),
                None => {
                    assert!(point.is_beside(), "never came to {point:?}");
                    self.table.missed();
                }
            }
        }
        let names: BTreeSet<&String> = fallen.iter().map(|(point, _)| &point.name).collect();
        let all = self.points.iter().map(|point| &point.name);
        let of: BTreeSet<&String> = all.collect();
        println!("killed at {} of {} names", names.len(), of.len());
        assert!(!names.is_empty(), "the worker was never killed");
        self.kill_again(&fallen).await;
        self.kill_again_and_again().await;
    }

    /// Kills once more at a point of the recovery that follows.
    async fn kill_again(&mut self, fallen: &[(Point, Vec<Point>)]) {
        let pairs: Vec<(Point, Point)> = fallen
            .iter()
            .flat_map(|(first, recovery)| {
                recovery
                    .iter()
                    .map(move |point| (first.clone(), point.clone()))
            })
            .collect();
        let most = if self.new.mostly { PAIRS } else { FEWER_PAIRS };
        let named = |(first, second): &(Point, Point)| first.kill() + &second.kill();
        for (first, second) in self.choice.some("pairs of kills", &pairs, most, named) {
            let order = second.kill();
            let again = |deaths: usize| (deaths == 1).then(|| order.clone());
            if self
                .kill(&first.kill(), &first, again)
                .await
                .is_none_or(|f| f.deaths.len() < 2)
            {
                self.table.missed();
            }
        }
    }

    /// Kills at the last effect, then at the first point of the recovery, then at a later one of the recovery
    /// of that, and so on, until one comes through.
    async fn kill_again_and_again(&mut self) {
        let (stride, from) = match self.choice.is_all() {
            true => (1, 0),
            false => (4, self.choice.below("chain", 4)),
        };
        let last = |wanted: fn(&Point) -> bool| self.points.iter().rfind(|point| wanted(point));
        let starts = [
            last(|point| point.name.starts_with("applied:")),
            last(|point| point.name == "committed"),
        ];
        let starts: Vec<Point> = starts.into_iter().flatten().cloned().collect();
        let most = if self.new.mostly { starts.len() } else { 1 };
        for start in self
            .choice
            .some("chains of kills", &starts, most, Point::kill)
        {
            let again = |deaths: usize| Some(format!("kill@{}", 1 + from + (deaths - 1) * stride));
            let fallen = self.kill(&start.kill(), &start, again).await;
            let deaths = fallen.map_or(0, |fallen| fallen.deaths.len());
            assert!(deaths > 1, "it was killed {deaths} times");
        }
    }

    /// One try: dies by the first order, then by those that `again` gives after each death. `None` when it did
    /// not come to the first.
    pub(super) async fn kill(
        &mut self,
        order: &str,
        point: &Point,
        again: impl Fn(usize) -> Option<String>,
    ) -> Option<Fallen> {
        let before = self.begin().await;
        self.hand.give(order);
        let task = self.hub.ask(&self.request()).await;
        let mut deaths: Vec<String> = Vec::new();
        let (recovery, shown) = loop {
            while self.worker_dies(&task).await {
                assert!(
                    self.worker.was_killed(),
                    "{order}: {:?}",
                    self.worker.ended()
                );
                deaths.push(self.hand.killed_at().expect("it notes where it dies"));
                assert!(deaths.len() < LONGEST, "{order}: no progress: {deaths:?}");
                match again(deaths.len()) {
                    Some(next) => self.hand.give(&next),
                    None => self.hand.calm(),
                }
                self.worker = Worker::spawn(&self.stack, SERVER, &self.hand.orders());
            }
            let recovery = points::read(&self.hand.passed());
            self.hand.calm();
            let shown = self.hub.show(&task).await;
            // A heartbeat may have been on its way to its point.
            if self.worker.ended().is_none() {
                break (recovery, shown);
            }
        };
        let wanted: &[&str] = match deaths.is_empty() || point.is_past_return() {
            true => &["succeeded"],
            false => &["succeeded", "interrupted"],
        };
        let fault = format!("killed at {}", deaths.join(", then at "));
        self.judge(&fault, &shown, before, wanted).await;
        let state = shown["state"].as_str().unwrap_or_default();
        let fault = match deaths.as_slice() {
            [] => return None,
            [one] => format!("worker killed at {one}"),
            [one, two] => format!("worker killed at {one}, recovery at {two}"),
            [one, more @ ..] => format!("worker killed at {one}, recovery {} times", more.len()),
        };
        self.table.fired(&point.step, &fault, state);
        Some(Fallen { deaths, recovery })
    }
}
