//! Final step `forget_snapshots`: backups go for good, and what no other needs goes out of the repository.
//!
//! It may be done again at any point: what is gone already is passed over, and a repository is whole wherever restic was
//! stopped.

use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::step::FinalStep;

/// Forgets backups.
pub struct ForgetSnapshots {
    /// Their whole names.
    pub ids: Vec<String>,
    /// Whether nothing of them may stay, whatever that costs; otherwise as much as restic thinks is worth while.
    pub wholly: bool,
}

/// What finishing needs.
#[derive(Serialize, Deserialize)]
pub struct Record {
    ids: Vec<String>,
    wholly: bool,
}

impl FinalStep for ForgetSnapshots {
    const NAME: &'static str = "forget_snapshots";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        cx.spoke.need_backups()?;
        Ok(Record {
            ids: self.ids.clone(),
            wholly: self.wholly,
        })
    }

    async fn finish(cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let unused = if record.wholly { "0" } else { "5%" };
        let restic = cx.spoke.need_backups()?;
        restic.forget_for_good(cx, &record.ids, unused).await
    }
}
