//! Step `mend_database_user`: a site's account at the database server is there again, with all rights on the
//! site's own database.
//!
//! Undo needs the name, the server and what was missing: only that is taken away again.

use std::sync::Arc;

use anyhow::Context as _;
use kolga_protocol::fault;
use kolga_protocol::names::{DatabaseName, Engine};
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::site::Site;
use crate::step::{Step, UndoError};

/// Mends a database user.
pub struct MendDatabaseUser {
    /// Whose secrets hold the password.
    pub site: Arc<Site>,
    /// The user, and the database of the same name.
    pub name: DatabaseName,
    /// What it lacks.
    pub missing: Missing,
}

/// What a database user lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// It is not there.
    User,
    /// Rights on its own database.
    Rights,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    name: DatabaseName,
    missing: Missing,
    #[serde(default)]
    engine: Engine,
}

impl Step for MendDatabaseUser {
    const NAME: &'static str = "mend_database_user";
    type Record = Record;

    async fn inspect(&self, _cx: &Cx) -> anyhow::Result<Record> {
        Ok(Record {
            name: self.name.clone(),
            missing: self.missing,
            engine: self.site.engine,
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let service = cx.spoke.database(record.engine)?;
        if record.missing == Missing::User {
            let password = cx
                .spoke
                .secrets
                .load(&self.site.host)?
                .and_then(|secrets| secrets.database_password)
                .context("the site's secrets hold no password for the database")?;
            let owner = cx.run.to_string();
            service.create_user(&record.name, &password, &owner).await?;
            fault::point("mend_database_user:created");
        }
        service.grant(&record.name).await
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        let undone = async {
            let service = cx.spoke.database(record.engine)?;
            match record.missing {
                Missing::User => {
                    let owner = cx.run.to_string();
                    service.drop_user_of(&record.name, Some(&owner)).await
                }
                Missing::Rights => service.revoke(&record.name).await,
            }
        };
        undone
            .await
            .map_err(|error| UndoError::leaves(format!("the database user {}", record.name), error))
    }
}
