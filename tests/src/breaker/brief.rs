//! What is broken of a scenario that differs from another profile's in a few steps only: those steps. `KOLGA_PAIRS=all`
//! breaks it as every other.

use kolga_protocol::task::Kind;

use super::Breaker;
use super::points::{Point, Sort, steps};

/// Kills in them all, and one in each at least.
const KILLS: usize = 2;
/// The same of a task that is so broken with two profiles, where the steps' code is one.
const KILLS_OF_ONE: usize = 1;

impl Breaker {
    /// Whether no more is broken of this one.
    pub(super) fn is_brief(&self) -> bool {
        !self.scenario.differs_in().is_empty() && !self.choice.is_all()
    }

    /// Lets the last of those steps fail, and the last of all, so that every step is undone, twice; and kills the worker within
    /// each.
    ///
    /// # Panics
    /// When anything is left, or one of them did nothing.
    pub(super) async fn break_a_little(&mut self) {
        let differs = self.scenario.differs_in();
        let all = steps(&self.points, "intended:");
        let own = all.iter().rfind(|step| differs.contains(&step.as_str()));
        let own = own.unwrap_or_else(|| panic!("none of {differs:?} is among {all:?}"));
        let last = all.last().expect("it has steps");
        for step in [own.clone(), last.clone()] {
            self.fail(&step, "applied").await;
        }
        for step in differs {
            let effects = self.points.iter();
            let effects: Vec<Point> = effects
                .filter(|point| point.step == *step && point.sort() == Sort::Effect)
                .cloned()
                .collect();
            let kills = match self.scenario.kind {
                Kind::SiteImport => KILLS_OF_ONE,
                _ => KILLS,
            };
            let kills = kills.div_ceil(differs.len());
            let chosen = self
                .choice
                .some("effects of what differs", &effects, kills, Point::kill);
            assert!(!chosen.is_empty(), "{step} has effects");
            for point in chosen {
                let fallen = self.kill(&point.kill(), &point, |_| None).await;
                assert!(fallen.is_some(), "never came to {point:?}");
            }
        }
    }
}
