//! Final step `drop_restored`: the folder into which a backup was restored is empty by now, and goes.

use kolga_protocol::id::Run;
use serde::{Deserialize, Serialize};

use super::restore_snapshot::remove_restored;
use crate::cx::Cx;
use crate::step::FinalStep;

/// Removes what is left of a restore.
pub struct DropRestored;

/// What finishing needs.
#[derive(Serialize, Deserialize)]
pub struct Record {
    run: Run,
}

impl FinalStep for DropRestored {
    const NAME: &'static str = "drop_restored";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        Ok(Record { run: cx.run })
    }

    async fn finish(cx: &Cx, record: &Record) -> anyhow::Result<()> {
        remove_restored(cx, record.run).await
    }
}
