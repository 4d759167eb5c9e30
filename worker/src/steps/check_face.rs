//! Step `check_face`: visitors of a site get what they are to get: the site itself, healthy, or the page that
//! stands in for it.
//!
//! It only looks, so undo has nothing to do.

use std::sync::Arc;

use super::check_site::CheckSite;
use crate::cx::Cx;
use crate::face::Face;
use crate::services::nginx::Answer;
use crate::site::Site;
use crate::step::{Step, UndoError};

/// With which status the pages in a site's place answer.
const UNAVAILABLE: u16 = 503;

/// Asks a site for its page.
pub struct CheckFace {
    /// Which site.
    pub site: Arc<Site>,
    /// What it is to show.
    pub face: Face,
}

impl Step for CheckFace {
    const NAME: &'static str = "check_face";
    type Record = ();

    async fn inspect(&self, _cx: &Cx) -> anyhow::Result<()> {
        Ok(())
    }

    async fn apply(&self, cx: &Cx, (): &()) -> anyhow::Result<()> {
        if self.face == Face::Site {
            return Step::apply(&CheckSite(Arc::clone(&self.site)), cx, &()).await;
        }
        let judge = |answer: &Answer| {
            anyhow::ensure!(
                answer.status == UNAVAILABLE,
                "the answer is {} instead of {UNAVAILABLE}: visitors do not get {}",
                answer.status,
                self.face.name()
            );
            Ok(())
        };
        let nginx = &cx.spoke.nginx;
        for door in self.site.covered_doors(&cx.spoke) {
            let asked = nginx.check_door(cx, door, self.site.main(), "/", judge);
            asked.await?;
        }
        cx.log
            .info(format!("{} shows {}", self.site.url, self.face.name()));
        Ok(())
    }

    async fn undo(_cx: &Cx, (): &()) -> Result<(), UndoError> {
        Ok(())
    }
}
