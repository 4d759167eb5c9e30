//! Final step `clear_stage`: what a backup gathered besides the site's folder is in the backup, and goes.

use kolga_protocol::id::Run;
use serde::{Deserialize, Serialize};

use super::stage_backup;
use crate::cx::Cx;
use crate::step::FinalStep;

/// Removes what this run gathered.
pub struct ClearStage;

/// What finishing needs.
#[derive(Serialize, Deserialize)]
pub struct Record {
    run: Run,
}

impl FinalStep for ClearStage {
    const NAME: &'static str = "clear_stage";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        Ok(Record { run: cx.run })
    }

    async fn finish(cx: &Cx, record: &Record) -> anyhow::Result<()> {
        stage_backup::remove(cx, record.run)
    }
}
