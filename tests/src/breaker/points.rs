//! The points of a task, as a run in which nothing breaks passes them.

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

/// What sort of place it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// The same code for every task: what accepts, journals, commits and tells.
    Engine,
    /// Between two things that the engine does with a step.
    Boundary,
    /// Between two effects of a step's own.
    Effect,
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

    /// Of which sort it is.
    pub(super) fn sort(&self) -> Sort {
        if self.boundary().is_some() {
            Sort::Boundary
        } else if self.is_beside() || self.step.is_empty() {
            Sort::Engine
        } else {
            Sort::Effect
        }
    }

    /// What the engine does with a step here; only of a boundary.
    pub(super) fn boundary(&self) -> Option<&'static str> {
        OF_A_STEP
            .iter()
            .copied()
            .find(|prefix| self.name.starts_with(prefix))
    }

    /// Which place this is one pass of.
    pub(super) fn place(&self) -> (&str, &str) {
        let step = if self.is_beside() { "" } else { &self.step };
        (&self.name, step)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_told_by_its_name_its_pass_and_its_step() {
        let names = [
            "delivered",
            "inspect:a",
            "files:written",
            "publish",
            "applied:a",
            "inspect:b",
            "files:written",
            "end",
            "ended",
        ];
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let points = read(&names);
        assert_eq!(points[0].step, "");
        assert_eq!((points[2].pass, points[2].step.as_str()), (1, "a"));
        assert_eq!((points[6].pass, points[6].step.as_str()), (2, "b"));
        assert_eq!(points[6].kill(), "kill@files:written#2");
        assert_eq!(points[8].step, "");
        assert_eq!(steps(&points, "inspect:"), ["a", "b"]);
        let sorts: Vec<Sort> = points.iter().map(Point::sort).collect();
        assert_eq!(sorts[..3], [Sort::Engine, Sort::Boundary, Sort::Effect]);
        assert_eq!((sorts[3], sorts[8]), (Sort::Engine, Sort::Engine));
        assert_eq!(points[3].place(), ("publish", ""));
    }
}
