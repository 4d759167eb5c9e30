//! Final step `lock_database_user`: nobody gets into a database any more that lies in the trash.

use kolga_protocol::names::{DatabaseName, Engine};
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::services::postgresql::functions::LET_IN;
use crate::step::FinalStep;

/// Keeps a database's user out, who has its name.
pub struct LockDatabaseUser {
    /// Which.
    pub name: DatabaseName,
    /// The run that made it.
    pub owner: String,
    /// In which server that is.
    pub engine: Engine,
}

/// What finishing needs.
#[derive(Serialize, Deserialize)]
pub struct Record {
    name: DatabaseName,
    #[serde(default)]
    engine: Engine,
}

impl FinalStep for LockDatabaseUser {
    const NAME: &'static str = "lock_database_user";
    type Record = Record;

    async fn ready(&self, cx: &Cx) -> anyhow::Result<()> {
        cx.spoke.database(self.engine)?.needs(&[LET_IN]).await
    }

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        // Another's is refused here as it would be where it is dropped at once.
        let service = cx.spoke.database(self.engine)?;
        let comment = service.comment_of(&self.name).await?;
        anyhow::ensure!(
            comment.is_none_or(|comment| comment == self.owner),
            "the database {} is not the one that was made for this site: its comment names another run",
            self.name
        );
        Ok(Record {
            name: self.name.clone(),
            engine: self.engine,
        })
    }

    async fn finish(cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let service = cx.spoke.database(record.engine)?;
        service.lock_user(&record.name, true).await?;
        cx.log
            .info(format!("the database {} is kept for a while", record.name));
        Ok(())
    }
}
