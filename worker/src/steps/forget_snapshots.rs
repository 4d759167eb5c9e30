//! Final step `forget_snapshots`: backups go for good, and what no other needs goes out of the repository.
//!
//! It may be done again at any point: what is gone already is passed over, and a repository is whole wherever restic was
//! stopped. A host that is away then keeps nobody waiting: what was decided is noted as owed, counts for nothing from then on,
//! and is done when the host answers; the task's result says of how many that is true.

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
        let restic = cx.spoke.need_backups()?;
        restic.forget_or_owe(cx, &record.ids, record.wholly).await
    }
}
