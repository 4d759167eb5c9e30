//! Step `create_database_user`: the site's own account at the database server, with rights on the site's
//! own database and nothing else.
//!
//! Undo needs the name. That the account was not there before is what the record stands for; the site's
//! lock keeps other tasks away from the name.

use std::sync::Arc;

use anyhow::Context as _;
use kolga_protocol::names::DatabaseName;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::site::Site;
use crate::step::{Step, UndoError};
use kolga_protocol::fault;

/// Makes a database user.
pub struct CreateDatabaseUser {
    /// Whose secrets hold the password.
    pub site: Arc<Site>,
    /// The user, and the database of the same name.
    pub name: DatabaseName,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    name: DatabaseName,
}

impl Step for CreateDatabaseUser {
    const NAME: &'static str = "create_database_user";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        let mariadb = cx.spoke.need_mariadb()?;
        anyhow::ensure!(
            !mariadb.has_user(&self.name).await?,
            "there is a database user {} already, and not this task's",
            self.name
        );
        // Or the new user would be given rights on somebody else's data.
        anyhow::ensure!(
            !mariadb.has_database(&self.name).await?,
            "there is a database {} already, and not this task's",
            self.name
        );
        Ok(Record {
            name: self.name.clone(),
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let mariadb = cx.spoke.need_mariadb()?;
        let password = cx
            .spoke
            .secrets
            .load(&self.site.host)?
            .and_then(|secrets| secrets.database_password)
            .context("the site's secrets hold no password for the database")?;
        mariadb.create_user(&record.name, &password).await?;
        fault::point("create_database_user:created");
        mariadb.grant(&record.name).await?;
        cx.log
            .info(format!("made the database user {}", record.name));
        Ok(())
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        let dropped = match cx.spoke.need_mariadb() {
            Ok(mariadb) => mariadb.drop_user(&record.name).await,
            Err(error) => Err(error),
        };
        dropped
            .map_err(|error| UndoError::leaves(format!("the database user {}", record.name), error))
    }
}
