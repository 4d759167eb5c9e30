//! Kills the worker at every point; and once more, and again and again, while it recovers from that.

use std::collections::BTreeSet;

use super::Breaker;
use super::points::{self, Point};
use crate::scenario::SERVER;
use crate::worker::Worker;

/// Pairs of a kill and a second one during recovery, where not all are wanted.
const PAIRS: usize = 3;
/// The longest chain of kills: a recovery that passes more points than this makes no progress.
const LONGEST: usize = 500;

/// A try in which the worker died.
struct Fallen {
    /// Where, each time.
    deaths: Vec<String>,
    /// What the last worker passed until the task had ended.
    recovery: Vec<Point>,
}

impl Breaker {
    /// Kills the worker at each of its points, then at some again during recovery.
    ///
    /// # Panics
    /// When anything is left, or a point was never reached.
    pub(super) async fn kill_everywhere(&mut self) {
        let like_another = self.is_like_another();
        let all = self.points.clone();
        // What a profile has of its own: an installer, and links to the platform's code.
        let its_own = |point: &Point| point.step == "run_installer";
        let chosen = self.choice.points(&all, like_another, its_own);
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
        let of = all.iter().map(|point| &point.name).collect::<BTreeSet<_>>();
        println!("killed at {} of {} names", names.len(), of.len());
        assert!(names.len() > 5, "only {names:?}");
        self.kill_again(&fallen).await;
        self.kill_again_and_again(&chosen).await;
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
        for (first, second) in self.choice.some(&pairs, PAIRS) {
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
    async fn kill_again_and_again(&mut self, chosen: &[Point]) {
        let (stride, from) = match self.choice.is_all() {
            true => (1, 0),
            false => (4, self.choice.below(4)),
        };
        let last = |wanted: fn(&Point) -> bool| chosen.iter().rfind(|point| wanted(point));
        let starts = [
            last(|point| point.name.starts_with("applied:")),
            last(|point| point.name == "committed"),
        ];
        for start in starts.into_iter().flatten() {
            let again = |deaths: usize| Some(format!("kill@{}", 1 + from + (deaths - 1) * stride));
            let fallen = self.kill(&start.kill(), start, again).await;
            let deaths = fallen.map_or(0, |fallen| fallen.deaths.len());
            assert!(deaths > 1, "it was killed {deaths} times");
        }
    }

    /// One try: dies by the first order, then by those that `again` gives after each death. `None` when it did
    /// not come to the first.
    async fn kill(
        &mut self,
        order: &str,
        point: &Point,
        again: impl Fn(usize) -> Option<String>,
    ) -> Option<Fallen> {
        let before = self.begin().await;
        self.hand.give(order);
        let task = self.hub.ask(&self.request()).await;
        let mut deaths: Vec<String> = Vec::new();
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
        let shown = self.hub.show(&task).await;
        let wanted: &[&str] = match deaths.is_empty() || point.is_past_return() {
            true => &["succeeded"],
            false => &["succeeded", "interrupted"],
        };
        let fault = format!("killed at {}", deaths.join(", then at "));
        self.hand.calm();
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
