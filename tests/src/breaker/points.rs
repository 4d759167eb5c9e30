//! The points of a task, as a run in which nothing breaks passes them, and which of them are tried.

use std::collections::{BTreeMap, BTreeSet};

/// Before the point comes to which step?
const OF_A_STEP: &[&str] = &[
    "inspect:",
    "intend:",
    "intended:",
    "applied:",
    "finish:",
    "finished:",
    "undo:",
    "undone:",
];

/// One pass of a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) name: String,
    /// Which time that name is passed, from 1.
    pub(super) pass: usize,
    /// The step during which it is passed; empty before the first and after the last.
    pub(super) step: String,
}

impl Point {
    /// The order to die there.
    pub(super) fn kill(&self) -> String {
        format!("kill@{}#{}", self.name, self.pass)
    }

    /// What stands beside the steps: when it is passed depends on who is faster.
    pub(super) fn is_beside(&self) -> bool {
        self.name.starts_with("journal:") || self.name.starts_with("publish")
    }

    /// Whether the task can only succeed when the worker dies here.
    pub(super) fn is_past_return(&self) -> bool {
        ["committed", "ended"].contains(&self.name.as_str())
            || self.name.starts_with("finish:")
            || self.name.starts_with("finished:")
    }
}

/// The points behind these names.
pub(super) fn read(names: &[String]) -> Vec<Point> {
    let mut passes: BTreeMap<&str, usize> = BTreeMap::new();
    let mut step = String::new();
    let mut points = Vec::with_capacity(names.len());
    for name in names {
        if let Some(of) = OF_A_STEP
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix))
        {
            of.clone_into(&mut step);
        }
        if ["end", "commit"].contains(&name.as_str()) {
            step.clear();
        }
        let pass = passes.entry(name).or_default();
        *pass += 1;
        points.push(Point {
            name: name.clone(),
            pass: *pass,
            step: step.clone(),
        });
    }
    points
}

/// What stands behind a prefix among the points, each once, in order.
pub(super) fn steps(points: &[Point], prefix: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    points
        .iter()
        .filter_map(|point| point.name.strip_prefix(prefix))
        .filter(|name| seen.insert((*name).to_owned()))
        .map(str::to_owned)
        .collect()
}

/// What is tried and what is left for another time.
pub(super) struct Choice {
    seed: u64,
    all: bool,
}

impl Choice {
    /// From the environment: `KOLGA_PAIRS=all` for everything, `KOLGA_SEED` for the same as before.
    pub(super) fn new() -> Self {
        let now = std::time::UNIX_EPOCH.elapsed().expect("a time").as_secs();
        let seed = std::env::var("KOLGA_SEED").ok();
        let seed = seed.map_or(now, |text| text.parse().expect("KOLGA_SEED is a number"));
        let all = std::env::var("KOLGA_PAIRS").is_ok_and(|text| text == "all");
        println!(
            "KOLGA_SEED={seed}{}",
            if all { " KOLGA_PAIRS=all" } else { "" }
        );
        Self { seed, all }
    }

    pub(super) fn is_all(&self) -> bool {
        self.all
    }

    /// The next number below `bound` (splitmix64).
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let number = (mixed ^ (mixed >> 31)) % (bound.max(1) as u64);
        usize::try_from(number).unwrap_or(0)
    }

    /// Some of them, in their order; all of them when everything is wanted.
    pub(super) fn some<T: Clone>(&mut self, items: &[T], most: usize) -> Vec<T> {
        if self.all || items.len() <= most {
            return items.to_vec();
        }
        let mut chosen = BTreeSet::new();
        while chosen.len() < most {
            chosen.insert(self.below(items.len()));
        }
        chosen.into_iter().map(|at| items[at].clone()).collect()
    }

    /// The points at which the worker is killed. Each name within each step once, and what stands beside the
    /// steps once; of the rest a few. Where another scenario passes nearly all of them (`thinned`), those
    /// that are `its_own` and a part of the others.
    pub(super) fn points(
        &mut self,
        points: &[Point],
        thinned: bool,
        its_own: impl Fn(&Point) -> bool,
    ) -> Vec<Point> {
        if self.all {
            return points.to_vec();
        }
        let mut seen = BTreeSet::new();
        let (first, rest): (Vec<Point>, Vec<Point>) = points.iter().cloned().partition(|point| {
            let step = if point.is_beside() { "" } else { &point.step };
            seen.insert((point.name.clone(), step.to_owned()))
        });
        let (mut chosen, others): (Vec<Point>, Vec<Point>) = first
            .into_iter()
            .partition(|point| !thinned || its_own(point));
        chosen.extend(self.some(&others, others.len().div_ceil(3)));
        chosen.extend(self.some(&rest, 3));
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Vec<Point> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        read(&names)
    }

    #[test]
    fn a_point_is_told_by_its_name_its_pass_and_its_step() {
        let points = named(&[
            "delivered",
            "inspect:a",
            "files:written",
            "applied:a",
            "inspect:b",
            "files:written",
            "end",
            "ended",
        ]);
        assert_eq!(points[0].step, "");
        assert_eq!((points[2].pass, points[2].step.as_str()), (1, "a"));
        assert_eq!((points[5].pass, points[5].step.as_str()), (2, "b"));
        assert_eq!(points[5].kill(), "kill@files:written#2");
        assert_eq!(points[7].step, "");
        assert_eq!(steps(&points, "inspect:"), ["a", "b"]);
    }

    #[test]
    fn every_name_within_every_step_is_chosen_and_the_same_seed_chooses_the_same() {
        let points = named(&[
            "inspect:a",
            "files:written",
            "files:written",
            "inspect:b",
            "files:written",
            "publish",
            "publish",
            "publish",
            "publish",
            "publish",
            "end",
            "ended",
        ]);
        let choice = || Choice {
            seed: 7,
            all: false,
        };
        let chosen = choice().points(&points, false, |_| false);
        for wanted in [0, 1, 3, 4, 5, 10, 11] {
            assert!(chosen.contains(&points[wanted]), "{:?}", points[wanted]);
        }
        assert_eq!(chosen, choice().points(&points, false, |_| false));
        let thinned = choice().points(&points, true, |point| point.step == "b");
        assert!(thinned.contains(&points[3]) && thinned.contains(&points[4]));
        assert!(thinned.len() < chosen.len());
    }
}
