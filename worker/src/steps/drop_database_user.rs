//! Final step `drop_database_user`: the site's account at the database server.

use kolga_protocol::names::DatabaseName;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::step::FinalStep;

/// Drops a site's database user.
pub struct DropDatabaseUser(pub DatabaseName);

/// What finishing needs.
#[derive(Serialize, Deserialize)]
pub struct Record {
    name: DatabaseName,
}

impl FinalStep for DropDatabaseUser {
    const NAME: &'static str = "drop_database_user";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        cx.spoke.need_mariadb()?;
        Ok(Record {
            name: self.0.clone(),
        })
    }

    async fn finish(cx: &Cx, record: &Record) -> anyhow::Result<()> {
        cx.spoke.need_mariadb()?.drop_user(&record.name).await?;
        cx.log
            .info(format!("dropped the database user {}", record.name));
        Ok(())
    }
}
