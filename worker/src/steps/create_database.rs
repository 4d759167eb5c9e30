//! Step `create_database`: the site's own database, which names in its comment the run that made it.
//!
//! Undo needs the name and the run: a database whose comment names another stays.

use kolga_protocol::id::Run;
use kolga_protocol::names::DatabaseName;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::step::{Step, UndoError};

/// Makes a database.
pub struct CreateDatabase(pub DatabaseName);

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    name: DatabaseName,
    run: Run,
}

impl Step for CreateDatabase {
    const NAME: &'static str = "create_database";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        anyhow::ensure!(
            !cx.spoke.need_mariadb()?.has_database(&self.0).await?,
            "there is a database {} already, and not this task's",
            self.0
        );
        Ok(Record {
            name: self.0.clone(),
            run: cx.run,
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let mariadb = cx.spoke.need_mariadb()?;
        mariadb
            .create_database(&record.name, &record.run.to_string())
            .await?;
        cx.log.info(format!("made the database {}", record.name));
        Ok(())
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        let owner = record.run.to_string();
        let dropped = match cx.spoke.need_mariadb() {
            Ok(mariadb) => mariadb
                .drop_database_of(&record.name, &owner)
                .await
                .map(drop),
            Err(error) => Err(error),
        };
        dropped.map_err(|error| UndoError::leaves(format!("the database {}", record.name), error))
    }
}
