//! Step `open_repository`: the backups can be reached; where there are none yet, their repository is made, and stays, since it
//! is not one site's alone. A step of its own, so that what cannot be reached has nothing to be undone in.
//!
//! Undo needs the run, which a repository that was made by half is named by.

use std::sync::Arc;

use kolga_protocol::id::Run;
use serde::{Deserialize, Serialize};

use super::make_snapshot::Kept;
use crate::cx::Cx;
use crate::step::{Step, UndoError};

/// Opens the backups.
pub struct OpenRepository(pub Arc<Kept>);

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    run: Run,
}

impl Step for OpenRepository {
    const NAME: &'static str = "open_repository";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        self.0.explain(cx.spoke.need_backups().map(drop))?;
        Ok(Record { run: cx.run })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let restic = cx.spoke.need_backups()?;
        let made = restic.make_repository(cx, record.run).await;
        self.0.explain(made)
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        let removed = match cx.spoke.need_backups() {
            Ok(restic) => restic.remove_aside(record.run),
            Err(error) => Err(error),
        };
        removed.map_err(|error| {
            let left = format!("a repository made by half, named by {}", record.run);
            UndoError::leaves(left, error)
        })
    }
}
