//! Step `create_database_user`: the site's own account at the database server, with rights on the site's
//! own database and nothing else.
//!
//! Undo needs the name, the server and the run. That the account was not there before is what the record stands for; the
//! site's lock keeps other tasks away from the name. A PostgreSQL notes besides whose it is, and another's stays.

use std::sync::Arc;

use anyhow::Context as _;
use kolga_protocol::names::{DatabaseName, Engine};
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::services::postgresql::functions::{DROP_ROLE, MAKE_ROLE};
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
    #[serde(default)]
    engine: Engine,
    /// The run; a journal of an older release does not tell.
    #[serde(default)]
    owner: Option<String>,
}

impl Step for CreateDatabaseUser {
    const NAME: &'static str = "create_database_user";
    type Record = Record;

    async fn ready(&self, cx: &Cx) -> anyhow::Result<()> {
        let service = cx.spoke.database(self.site.engine)?;
        service.needs(&[MAKE_ROLE, DROP_ROLE]).await
    }

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        let service = cx.spoke.database(self.site.engine)?;
        anyhow::ensure!(
            !service.has_user(&self.name).await?,
            "there is a database user {} already, and not this task's",
            self.name
        );
        // Or the new user would be given rights on somebody else's data.
        anyhow::ensure!(
            !service.has_database(&self.name).await?,
            "there is a database {} already, and not this task's",
            self.name
        );
        Ok(Record {
            name: self.name.clone(),
            engine: self.site.engine,
            owner: Some(cx.run.to_string()),
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let service = cx.spoke.database(record.engine)?;
        let password = cx
            .spoke
            .secrets
            .load(&self.site.host)?
            .and_then(|secrets| secrets.database_password)
            .context("the site's secrets hold no password for the database")?;
        service
            .create_user(&record.name, &password, &cx.run.to_string())
            .await?;
        fault::point("create_database_user:created");
        service.grant(&record.name).await?;
        cx.log
            .info(format!("made the database user {}", record.name));
        Ok(())
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        let dropped = match cx.spoke.database(record.engine) {
            Ok(service) => {
                let owner = record.owner.as_deref();
                service.drop_user_of(&record.name, owner).await
            }
            Err(error) => Err(error),
        };
        dropped
            .map_err(|error| UndoError::leaves(format!("the database user {}", record.name), error))
    }
}
