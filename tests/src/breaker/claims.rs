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
    /// Steps that have met a full disk, whatever the task.
    full: BTreeSet<String>,
    /// Names of the hub's points.
    at_hub: BTreeSet<String>,
}

/// What nobody in this run has tried before.
#[derive(Default)]
pub(super) struct New {
    /// Steps whose undo has not failed yet.
    pub(super) undos: BTreeSet<String>,
    /// Steps that have not met a full disk yet.
    pub(super) full: BTreeSet<String>,
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
            full: BTreeSet::new(),
            at_hub: BTreeSet::new(),
        }
    }

    /// Takes what is left of a scenario's undos and of the hub's points; of its steps on a full disk too, where it
    /// has disks that can be filled.
    pub(super) fn take(
        &mut self,
        task: &str,
        points: &[Point],
        hub_points: &[Point],
        has_disks: bool,
    ) -> New {
        let all = steps(points, "intended:");
        let unknown = all.iter().filter(|step| !self.knows_step(task, step));
        let mostly = all.is_empty() || unknown.count() * 2 > all.len();
        let full = all.iter().filter(|_| has_disks);
        let full = full
            .filter(|step| self.full.insert((*step).clone()))
            .cloned()
            .collect();
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
            full,
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
        let new = claims.take("t", &points, &hub, false);
        assert!(new.mostly && new.undos.len() == 2 && new.at_hub.len() == 1);
        assert!(new.full.is_empty(), "no disk of its was full");
        for point in &points {
            claims.claim("t", point);
        }
        let more = names(&["intended:a", "intended:b", "intended:c"]);
        let new = claims.take("t", &more, &hub, true);
        assert!(!new.mostly && new.at_hub.is_empty());
        assert!(new.undos.iter().eq(["c"]));
        assert!(new.full.iter().eq(["a", "b", "c"]));
        assert!(claims.take("other", &more, &hub, true).mostly);
        assert_eq!(claims.known("t", &points[0]), Some(true));
        assert_eq!(claims.known("other", &points[0]), Some(false));
        assert_eq!(claims.known("t", &more[2]), None);
    }
}
