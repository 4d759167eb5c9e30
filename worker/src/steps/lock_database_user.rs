//! Final step `lock_database_user`: nobody gets into a database any more that lies in the trash.

use kolga_protocol::names::DatabaseName;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::step::FinalStep;

/// Keeps a database's user out, who has its name.
pub struct LockDatabaseUser {
    /// Which.
    pub name: DatabaseName,
    /// The run that made it.
    pub owner: String,
}

/// What finishing needs.
#[derive(Serialize, Deserialize)]
pub struct Record {
    name: DatabaseName,
}

impl FinalStep for LockDatabaseUser {
    const NAME: &'static str = "lock_database_user";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        // Another's is refused here as it would be where it is dropped at once.
        let comment = cx.spoke.need_mariadb()?.comment_of(&self.name).await?;
        anyhow::ensure!(
            comment.is_none_or(|comment| comment == self.owner),
            "the database {} is not the one that was made for this site: its comment names another run",
            self.name
        );
        Ok(Record {
            name: self.name.clone(),
        })
    }

    async fn finish(cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let mariadb = cx.spoke.need_mariadb()?;
        mariadb.lock_user(&record.name, true).await?;
        cx.log
            .info(format!("the database {} is kept for a while", record.name));
        Ok(())
    }
}
