//! Step `try_face`: whether visitors of a site get what they are to get. Where they do not, that is told, and the task
//! goes on: whoever is to mend the site has to have it first.
//!
//! It only looks, so undo has nothing to do.

use std::sync::{Arc, Mutex};

use super::check_face::CheckFace;
use crate::cx::Cx;
use crate::face::Face;
use crate::site::Site;
use crate::step::{Step, UndoError};

/// Asks a site for its page.
pub struct TryFace {
    /// Which site.
    pub site: Arc<Site>,
    /// What it is to show.
    pub face: Face,
    /// Where it is told that it does not.
    pub problems: Arc<Mutex<Vec<String>>>,
}

impl Step for TryFace {
    const NAME: &'static str = "try_face";
    type Record = ();

    async fn inspect(&self, _cx: &Cx) -> anyhow::Result<()> {
        Ok(())
    }

    async fn apply(&self, cx: &Cx, (): &()) -> anyhow::Result<()> {
        let check = CheckFace {
            site: Arc::clone(&self.site),
            face: self.face,
        };
        let Err(error) = Step::apply(&check, cx, &()).await else {
            return Ok(());
        };
        cx.stop.check()?;
        let problem = format!("{error:#}");
        cx.log.warn(&problem);
        let mut problems = self
            .problems
            .lock()
            .expect("nobody panics while holding it");
        problems.push(problem);
        Ok(())
    }

    async fn undo(_cx: &Cx, (): &()) -> Result<(), UndoError> {
        Ok(())
    }
}
