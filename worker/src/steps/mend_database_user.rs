//! Step `mend_database_user`: a site's account at the database server is there again, with all rights on the
//! site's own database; in PostgreSQL with the site's password, too.
//!
//! Undo needs the name, the server and what was missing: in MariaDB only that is taken away again. A PostgreSQL does it all at
//! once, and keeps itself what was there for as long as the run might take it back, so that no old password leaves it.

use std::sync::Arc;

use anyhow::Context as _;
use kolga_protocol::fault;
use kolga_protocol::names::{DatabaseName, Engine};
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::services::database::Service;
use crate::services::postgresql::functions::{MEND, UNMEND};
use crate::site::Site;
use crate::step::{Step, UndoError};

/// Mends a database user.
pub struct MendDatabaseUser {
    /// Whose secrets hold the password.
    pub site: Arc<Site>,
    /// The user, and the database of the same name.
    pub name: DatabaseName,
    /// What it lacks.
    pub lacks: Lacks,
}

/// What a database user lacks, and whose its database is.
#[derive(Clone, Debug)]
pub struct Lacks {
    /// One thing at least.
    pub missing: Vec<Missing>,
    /// The mark of the database.
    pub mark: String,
}

/// What a database user lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// It is not there.
    User,
    /// Rights on its own database.
    Rights,
    /// The site's password.
    Password,
    /// That it may log in.
    Login,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    name: DatabaseName,
    /// The first thing, which in MariaDB is the only one.
    missing: Missing,
    #[serde(default)]
    engine: Engine,
}

impl Step for MendDatabaseUser {
    const NAME: &'static str = "mend_database_user";
    type Record = Record;

    async fn ready(&self, cx: &Cx) -> anyhow::Result<()> {
        let service = cx.spoke.database(self.site.engine)?;
        service.needs(&[MEND, UNMEND]).await
    }

    async fn inspect(&self, _cx: &Cx) -> anyhow::Result<Record> {
        let missing = self.lacks.missing.first();
        Ok(Record {
            name: self.name.clone(),
            missing: *missing.context("the database user lacks nothing")?,
            engine: self.site.engine,
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let lacks = |missing| self.lacks.missing.contains(&missing);
        let password = || {
            let secrets = cx.spoke.secrets.load(&self.site.host)?;
            let password = secrets.and_then(|secrets| secrets.database_password);
            password.context("the site's secrets hold no password for the database")
        };
        match cx.spoke.database(record.engine)? {
            Service::Mariadb(it) => {
                if lacks(Missing::User) {
                    it.create_user(&record.name, &password()?).await?;
                    fault::point("mend_database_user:created");
                }
                it.grant(&record.name).await
            }
            Service::Postgresql(it) => {
                let password = match lacks(Missing::User) || lacks(Missing::Password) {
                    true => Some(password()?),
                    false => None,
                };
                let run = cx.run.to_string();
                it.mend(&record.name, password.as_ref(), &self.lacks.mark, &run)
                    .await
            }
        }
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        let undone = async {
            match cx.spoke.database(record.engine)? {
                Service::Mariadb(it) => match record.missing {
                    Missing::User => it.drop_user(&record.name).await,
                    _ => it.revoke(&record.name).await,
                },
                Service::Postgresql(it) => it.unmend(&record.name, &cx.run.to_string()).await,
            }
        };
        undone
            .await
            .map_err(|error| UndoError::leaves(format!("the database user {}", record.name), error))
    }
}
