//! Final step `drop_former_user`: forgets what [`super::mend_database_user`] has kept, in MariaDB, of how a site's user was let
//! in before.

use kolga_protocol::id::Run;
use kolga_protocol::names::{DatabaseName, Engine};
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::step::FinalStep;

/// Drops the user in which that is kept.
pub struct DropFormerUser {
    /// The user that was mended.
    pub name: DatabaseName,
    /// In which server it is.
    pub engine: Engine,
}

/// What finishing needs.
#[derive(Serialize, Deserialize)]
pub struct Record {
    name: DatabaseName,
    run: Run,
    engine: Engine,
}

impl FinalStep for DropFormerUser {
    const NAME: &'static str = "drop_former_user";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        Ok(Record {
            name: self.name.clone(),
            run: cx.run,
            engine: self.engine,
        })
    }

    async fn finish(cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let service = cx.spoke.database(record.engine)?;
        let run = record.run.to_string();
        service.forget_former(&record.name, &run).await
    }
}
