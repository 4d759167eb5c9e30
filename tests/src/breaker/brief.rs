//! What is broken of a scenario that differs from another profile's in one thing only: the scripts of its profile, which run
//! on a copied database. `KOLGA_PAIRS=all` breaks it as every other.

use super::Breaker;
use super::points::{Point, Sort, steps};

/// The step that runs them.
const SCRIPTS: &str = "run_upgrade";
/// Kills while they run.
const KILLS: usize = 2;

impl Breaker {
    /// Whether no more is broken of this one.
    pub(super) fn is_brief(&self) -> bool {
        self.scenario.is_brief() && !self.choice.is_all()
    }

    /// Lets that step fail, and the last one, so that every step is undone, twice; and kills the worker while scripts run.
    ///
    /// # Panics
    /// When anything is left, or no script ran.
    pub(super) async fn break_a_little(&mut self) {
        let all = steps(&self.points, "intended:");
        assert!(all.iter().any(|step| step == SCRIPTS), "{all:?}");
        let last = all.last().cloned().expect("it has steps");
        for step in [SCRIPTS, &last] {
            self.fail(step, "applied").await;
        }
        let effects = self.points.iter();
        let effects: Vec<Point> = effects
            .filter(|point| point.step == SCRIPTS && point.sort() == Sort::Effect)
            .cloned()
            .collect();
        let chosen = self
            .choice
            .some("effects of scripts", &effects, KILLS, Point::kill);
        assert!(!chosen.is_empty(), "a script has effects");
        for point in chosen {
            let fallen = self.kill(&point.kill(), &point, |_| None).await;
            assert!(fallen.is_some(), "never came to {point:?}");
        }
    }
}
