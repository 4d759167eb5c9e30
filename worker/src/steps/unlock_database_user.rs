//! Step `unlock_database_user`: a database that lay in the trash can be used again.
//!
//! Undo needs the name: the user was locked, since only then is there anything to do here.

use kolga_protocol::names::DatabaseName;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::step::{Step, UndoError};

/// Lets a database user in again.
pub struct UnlockDatabaseUser {
    /// Which, and the database of the same name.
    pub name: DatabaseName,
    /// The run that made the database.
    pub owner: String,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    name: DatabaseName,
}

impl Step for UnlockDatabaseUser {
    const NAME: &'static str = "unlock_database_user";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        let mariadb = cx.spoke.need_mariadb()?;
        anyhow::ensure!(
            mariadb.comment_of(&self.name).await?.as_ref() == Some(&self.owner),
            "the database {} is gone, or is another than the one of this site",
            self.name
        );
        anyhow::ensure!(
            mariadb.has_user(&self.name).await?,
            "the database user {} is gone",
            self.name
        );
        Ok(Record {
            name: self.name.clone(),
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let mariadb = cx.spoke.need_mariadb()?;
        mariadb.lock_user(&record.name, false).await
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        let locked = match cx.spoke.need_mariadb() {
            Ok(mariadb) => mariadb.lock_user(&record.name, true).await,
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
