//! Final step `empty_item`: destroys one item of the trash.

use kolga_protocol::id::Run;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::services::postgresql::functions::DROP_ROLE;
use crate::step::FinalStep;
use crate::trash;

/// Destroys what that run has put into the trash.
pub struct EmptyItem(pub Run);

/// What finishing needs.
#[derive(Serialize, Deserialize)]
pub struct Record {
    run: Run,
}

impl FinalStep for EmptyItem {
    const NAME: &'static str = "empty_item";
    type Record = Record;

    async fn ready(&self, cx: &Cx) -> anyhow::Result<()> {
        let items = cx.spoke.trash.list()?.into_iter();
        let entry = items.map(|item| (item.run, item.entry));
        let entry = entry.filter(|(run, entry)| *run == self.0 && entry.database.is_some());
        for (_, entry) in entry {
            cx.spoke.database(entry.engine)?.needs(&[DROP_ROLE]).await?;
        }
        Ok(())
    }

    async fn inspect(&self, _cx: &Cx) -> anyhow::Result<Record> {
        Ok(Record { run: self.0 })
    }

    async fn finish(cx: &Cx, record: &Record) -> anyhow::Result<()> {
        trash::destroy(cx, record.run).await.map(drop)
    }
}
