//! What the scenarios of one run have in common: what one of them has tried, the others try less.
//!
//! Tests run side by side in one process, so this is theirs together. Who comes first tries it whole.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::points::{Point, steps};

/// What was chosen by scenarios of this run.
#[derive(Default)]
pub(super) struct Claims {
    /// Task, name of the point, step.
    places: BTreeSet<(String, String, String)>,
    /// Steps whose failing undo is tried, whatever the task.
    undos: BTreeSet<String>,
    /// Names of the hub's points.
    at_hub: BTreeSet<String>,
}

/// What nobody in this run has tried before.
#[derive(Default)]
pub(super) struct New {
    /// Steps whose undo has not failed yet.
    pub(super) undos: BTreeSet<String>,
    /// Names of the hub's points.
    pub(super) at_hub: BTreeSet<String>,
    /// Whether most of its steps were not broken in this task yet.
    pub(super) mostly: bool,
}

/// Those of all scenarios of this process.
pub(super) fn claims() -> MutexGuard<'static, Claims> {
    static ALL: Mutex<Claims> = Mutex::new(Claims::new());
    // A scenario that failed has claimed what it has.
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Claims {
    const fn new() -> Self {
        Self {
            places: BTreeSet::new(),
            undos: BTreeSet::new(),
            at_hub: BTreeSet::new(),
        }
    }

    /// Takes what is left of a scenario's undos and of the hub's points.
    pub(super) fn take(&mut self, task: &str, points: &[Point], hub_points: &[Point]) -> New {
        let all = steps(points, "intended:");
        let unknown = all.iter().filter(|step| !self.knows_step(task, step));
        let mostly = all.is_empty() || unknown.count() * 2 > all.len();
        let undos = all.into_iter();
        let undos = undos
            .filter(|step| self.undos.insert(step.clone()))
            .collect();
        let names = hub_points.iter().map(|point| &point.name);
        let at_hub = names
            .filter(|name| self.at_hub.insert((*name).clone()))
            .cloned()
            .collect();
        New {
            undos,
            at_hub,
            mostly,
        }
    }

    pub(super) fn claim(&mut self, task: &str, point: &Point) {
        let (name, step) = point.place();
        let place = (task.to_owned(), name.to_owned(), step.to_owned());
        self.places.insert(place);
    }

    /// Whether a place was chosen for the same task already (true), for another (false), for none.
    pub(super) fn known(&self, task: &str, point: &Point) -> Option<bool> {
        let (name, step) = point.place();
        let mut known = None;
        for (of, its_name, its_step) in &self.places {
            if its_name == name && its_step == step {
                if of == task {
                    return Some(true);
                }
                known = Some(false);
            }
        }
        known
    }

    /// Whether a step was broken in another scenario of the same task.
    pub(super) fn knows_step(&self, task: &str, step: &str) -> bool {
        let mut all = self.places.iter();
        all.any(|(of, _, its_step)| of == task && its_step == step)
    }
}

#[cfg(test)]
mod tests {
    use super::super::points::read;
    use super::*;

    #[test]
    fn who_comes_first_takes_all_and_who_comes_next_what_is_left() {
        let names = |names: &[&str]| -> Vec<Point> {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            read(&names)
        };
        let mut claims = Claims::default();
        let points = names(&["inspect:a", "intended:a", "inspect:b", "intended:b"]);
        let hub = names(&["inbox:acked", "inbox:acked"]);
        let new = claims.take("t", &points, &hub);
        assert!(new.mostly && new.undos.len() == 2 && new.at_hub.len() == 1);
        for point in &points {
            claims.claim("t", point);
        }
        let more = names(&["intended:a", "intended:b", "intended:c"]);
        let new = claims.take("t", &more, &hub);
        assert!(!new.mostly && new.at_hub.is_empty());
        assert!(new.undos.iter().eq(["c"]));
        assert!(claims.take("other", &more, &hub).mostly);
        assert_eq!(claims.known("t", &points[0]), Some(true));
        assert_eq!(claims.known("other", &points[0]), Some(false));
        assert_eq!(claims.known("t", &more[2]), None);
    }
}
