//! Step `swap_pool`: the spoke's book says in which pool a site's PHP runs now. Which one that is was found by an earlier step of
//! the task; all else is [`super::swap_entry`]'s.

use std::sync::Arc;

use super::swap_entry::{self, SwapEntry};
use crate::cx::Cx;
use crate::registry::SiteEntry;
use crate::site::Site;
use crate::step::{Step, UndoError};

/// Notes a site's pool.
pub struct SwapPool {
    /// The site as it is to be.
    pub site: Arc<Site>,
    /// What the book says now; nothing when it does not know the site.
    pub before: Option<SiteEntry>,
    /// What it is to say, but for the pool.
    pub after: SiteEntry,
}

impl Step for SwapPool {
    const NAME: &'static str = "swap_pool";
    type Record = swap_entry::Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Self::Record> {
        let mut after = self.after.clone();
        after.pool = self.site.pool()?.map(|pool| pool.user.clone());
        self.entry(after).inspect(cx).await
    }

    async fn apply(&self, cx: &Cx, record: &Self::Record) -> anyhow::Result<()> {
        // What is to be written is in the record.
        Step::apply(&self.entry(self.after.clone()), cx, record).await
    }

    async fn undo(cx: &Cx, record: &Self::Record) -> Result<(), UndoError> {
        <SwapEntry as Step>::undo(cx, record).await
    }
}

impl SwapPool {
    fn entry(&self, after: SiteEntry) -> SwapEntry {
        SwapEntry {
            before: self.before.clone(),
            after,
        }
    }
}
