//! Step `read_repository`: which repository the backups of this spoke lie in.
//!
//! It only looks, so undo has nothing to do.

use std::sync::{Arc, OnceLock};

use crate::cx::Cx;
use crate::step::{Step, UndoError};

/// Asks the backups who they are; the recipe learns it here.
pub struct ReadRepository(pub Arc<OnceLock<String>>);

impl Step for ReadRepository {
    const NAME: &'static str = "read_repository";
    type Record = ();

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<()> {
        cx.spoke.need_backups().map(drop)
    }

    async fn apply(&self, cx: &Cx, (): &()) -> anyhow::Result<()> {
        let identity = cx.spoke.need_backups()?.identity(cx).await?;
        self.0.get_or_init(|| identity);
        Ok(())
    }

    async fn undo(_cx: &Cx, (): &()) -> Result<(), UndoError> {
        Ok(())
    }
}
