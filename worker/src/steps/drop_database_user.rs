//! Final step `drop_database_user`: the site's account at the database server.

use kolga_protocol::names::{DatabaseName, Engine};
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::services::postgresql::functions::DROP_ROLE;
use crate::step::FinalStep;

/// Drops a site's database user.
pub struct DropDatabaseUser {
    /// Which.
    pub name: DatabaseName,
    /// The run that made it.
    pub owner: String,
    /// In which server it is.
    pub engine: Engine,
}

/// What finishing needs.
#[derive(Serialize, Deserialize)]
pub struct Record {
    name: DatabaseName,
    #[serde(default)]
    engine: Engine,
    /// A journal of an older release does not tell.
    #[serde(default)]
    owner: Option<String>,
}

impl FinalStep for DropDatabaseUser {
    const NAME: &'static str = "drop_database_user";
    type Record = Record;

    async fn ready(&self, cx: &Cx) -> anyhow::Result<()> {
        cx.spoke.database(self.engine)?.needs(&[DROP_ROLE]).await
    }

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        cx.spoke.database(self.engine)?;
        Ok(Record {
            name: self.name.clone(),
            engine: self.engine,
            owner: Some(self.owner.clone()),
        })
    }

    async fn finish(cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let service = cx.spoke.database(record.engine)?;
        let owner = record.owner.as_deref();
        service.drop_user_of(&record.name, owner).await?;
        cx.log
            .info(format!("dropped the database user {}", record.name));
        Ok(())
    }
}
