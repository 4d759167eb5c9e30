//! Final step `empty_trash`: removes for good what this run moved aside: a site's folder
//! ([`super::trash_site`]) and its secrets ([`super::swap_secrets`]).

use kolga_protocol::id::Run;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::step::FinalStep;
use crate::steps::trash_site;

/// Removes what this run has put into the trash.
pub struct EmptyTrash;

/// What finishing needs.
#[derive(Serialize, Deserialize)]
pub struct Record {
    run: Run,
}

impl FinalStep for EmptyTrash {
    const NAME: &'static str = "empty_trash";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        Ok(Record { run: cx.run })
    }

    async fn finish(cx: &Cx, record: &Record) -> anyhow::Result<()> {
        trash_site::empty(cx, record.run).await?;
        cx.spoke.trash.forget(record.run)
    }
}
