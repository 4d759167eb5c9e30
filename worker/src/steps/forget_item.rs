//! Final step `forget_item`: what was brought back is in the trash no more.

use kolga_protocol::id::Run;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::step::FinalStep;

/// Forgets what that run had put into the trash.
pub struct ForgetItem(pub Run);

/// What finishing needs.
#[derive(Serialize, Deserialize)]
pub struct Record {
    run: Run,
}

impl FinalStep for ForgetItem {
    const NAME: &'static str = "forget_item";
    type Record = Record;

    async fn inspect(&self, _cx: &Cx) -> anyhow::Result<Record> {
        Ok(Record { run: self.0 })
    }

    async fn finish(cx: &Cx, record: &Record) -> anyhow::Result<()> {
        cx.spoke.trash.forget(record.run)
    }
}
