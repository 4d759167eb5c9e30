//! Step `close_database`: a site cannot get at its database while a copy of it is made that is to take its place, so that
//! nothing can be written that would be lost.
//!
//! Undo needs the name, the server, and whether the user was kept out before.

use std::sync::Arc;

use anyhow::Context as _;
use kolga_protocol::names::{DatabaseName, Engine};
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::services::postgresql::functions::LET_IN;
use crate::site::Site;
use crate::step::{Step, UndoError};

/// Keeps a site out of its database.
pub struct CloseDatabase {
    /// Whose secrets hold the password.
    pub site: Arc<Site>,
    /// The database, and the user of the same name.
    pub name: DatabaseName,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    name: DatabaseName,
    was_closed: bool,
    #[serde(default)]
    engine: Engine,
}

impl Step for CloseDatabase {
    const NAME: &'static str = "close_database";
    type Record = Record;

    async fn ready(&self, cx: &Cx) -> anyhow::Result<()> {
        cx.spoke.database(self.site.engine)?.needs(&[LET_IN]).await
    }

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        let service = cx.spoke.database(self.site.engine)?;
        Ok(Record {
            name: self.name.clone(),
            was_closed: service.is_locked(&self.name).await?,
            engine: self.site.engine,
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        if record.was_closed {
            return Ok(());
        }
        let password = cx.spoke.secrets.load(&self.site.host)?;
        let password = password
            .and_then(|secrets| secrets.database_password)
            .context("the site's secrets hold no password for the database")?;
        let service = cx.spoke.database(record.engine)?;
        let ended = service.close_to_user(&record.name, &password).await?;
        cx.log.info(format!(
            "the site is kept out of {}; {ended} connections were open",
            record.name
        ));
        Ok(())
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        if record.was_closed {
            return Ok(());
        }
        let opened = match cx.spoke.database(record.engine) {
            Ok(service) => service.lock_user(&record.name, false).await,
            Err(error) => Err(error),
        };
        opened.map_err(|error| {
            UndoError::leaves(
                format!("the database user {}, who is kept out", record.name),
                error,
            )
        })
    }
}
