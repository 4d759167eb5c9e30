//! Final step `drop_aside`: what steps left aside for their undos goes, now that nothing is undone any more.

use kolga_protocol::id::Run;
use serde::{Deserialize, Serialize};

use crate::aside::Aside;
use crate::cx::Cx;
use crate::step::FinalStep;

/// Takes away what this run has left aside.
pub struct DropAside(pub Vec<Aside>);

/// What finishing needs.
#[derive(Serialize, Deserialize)]
pub struct Record {
    run: Run,
    asides: Vec<Aside>,
}

impl FinalStep for DropAside {
    const NAME: &'static str = "drop_aside";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        Ok(Record {
            run: cx.run,
            asides: self.0.clone(),
        })
    }

    async fn finish(cx: &Cx, record: &Record) -> anyhow::Result<()> {
        record
            .asides
            .iter()
            .try_for_each(|aside| aside.drop_of(cx, record.run))
    }
}
