//! Step `unlock_database_user`: a database that lay in the trash can be used again.
//!
//! Undo needs the name and the server: the user was locked, since only then is there anything to do here.

use kolga_protocol::names::{DatabaseName, Engine};
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::services::postgresql::functions::LET_IN;
use crate::step::{Step, UndoError};

/// Lets a database user in again.
pub struct UnlockDatabaseUser {
    /// Which, and the database of the same name.
    pub name: DatabaseName,
    /// The run that made the database.
    pub owner: String,
    /// In which server that is.
    pub engine: Engine,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    name: DatabaseName,
    #[serde(default)]
    engine: Engine,
}

impl Step for UnlockDatabaseUser {
    const NAME: &'static str = "unlock_database_user";
    type Record = Record;

    async fn ready(&self, cx: &Cx) -> anyhow::Result<()> {
        cx.spoke.database(self.engine)?.needs(&[LET_IN]).await
    }

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        let service = cx.spoke.database(self.engine)?;
        anyhow::ensure!(
            service.comment_of(&self.name).await?.as_ref() == Some(&self.owner),
            "the database {} is gone, or is another than the one of this site",
            self.name
        );
        anyhow::ensure!(
            service.has_user(&self.name).await?,
            "the database user {} is gone",
            self.name
        );
        Ok(Record {
            name: self.name.clone(),
            engine: self.engine,
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let service = cx.spoke.database(record.engine)?;
        service.lock_user(&record.name, false).await
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        let locked = match cx.spoke.database(record.engine) {
            Ok(service) => service.lock_user(&record.name, true).await,
            Err(error) => Err(error),
        };
        locked.map_err(|error| {
            UndoError::leaves(
                format!("the database user {}, who is let in", record.name),
                error,
            )
        })
    }
}
