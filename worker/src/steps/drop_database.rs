//! Final step `drop_database`: the site's database, when its comment still names the run that made it.

use kolga_protocol::names::{DatabaseName, Engine};
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::step::FinalStep;

/// Drops a site's database.
pub struct DropDatabase {
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
    owner: String,
    #[serde(default)]
    engine: Engine,
}

impl FinalStep for DropDatabase {
    const NAME: &'static str = "drop_database";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        let service = cx.spoke.database(self.engine)?;
        let comment = service.comment_of(&self.name).await?;
        anyhow::ensure!(
            comment.is_none_or(|comment| comment == self.owner),
            "the database {} is not the one that was made for this site: its comment names another run",
            self.name
        );
        Ok(Record {
            name: self.name.clone(),
            owner: self.owner.clone(),
            engine: self.engine,
        })
    }

    async fn finish(cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let service = cx.spoke.database(record.engine)?;
        if service
            .drop_database_of(&record.name, &record.owner)
            .await?
        {
            cx.log.info(format!("dropped the database {}", record.name));
        }
        Ok(())
    }
}
