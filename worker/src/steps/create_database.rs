//! Step `create_database`: the site's own database, which names in its comment the run that made it.
//!
//! Undo needs the name, the server and the run: a database whose comment names another stays.

use kolga_protocol::id::Run;
use kolga_protocol::names::{DatabaseName, Engine};
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::step::{Step, UndoError};

/// Makes a database.
pub struct CreateDatabase {
    /// Which.
    pub name: DatabaseName,
    /// In which server.
    pub engine: Engine,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    name: DatabaseName,
    run: Run,
    #[serde(default)]
    engine: Engine,
}

impl Step for CreateDatabase {
    const NAME: &'static str = "create_database";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        anyhow::ensure!(
            !cx.spoke
                .database(self.engine)?
                .has_database(&self.name)
                .await?,
            "there is a database {} already, and not this task's",
            self.name
        );
        Ok(Record {
            name: self.name.clone(),
            run: cx.run,
            engine: self.engine,
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let service = cx.spoke.database(record.engine)?;
        service
            .create_database(&record.name, &record.run.to_string())
            .await?;
        cx.log.info(format!("made the database {}", record.name));
        Ok(())
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        let owner = record.run.to_string();
        let dropped = match cx.spoke.database(record.engine) {
            Ok(service) => service
                .drop_database_of(&record.name, &owner)
                .await
                .map(drop),
            Err(error) => Err(error),
        };
        dropped.map_err(|error| UndoError::leaves(format!("the database {}", record.name), error))
    }
}
