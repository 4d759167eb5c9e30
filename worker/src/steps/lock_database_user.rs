//! Final step `lock_database_user`: nobody gets into a database any more that lies in the trash.

use kolga_protocol::names::DatabaseName;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::step::FinalStep;

/// Keeps a database user out.
pub struct LockDatabaseUser(pub DatabaseName);

/// What finishing needs.
#[derive(Serialize, Deserialize)]
pub struct Record {
    name: DatabaseName,
}

impl FinalStep for LockDatabaseUser {
    const NAME: &'static str = "lock_database_user";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        cx.spoke.need_mariadb()?;
        Ok(Record {
            name: self.0.clone(),
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
