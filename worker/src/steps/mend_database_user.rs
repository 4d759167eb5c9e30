//! Step `mend_database_user`: a site's account at the database server is there again and let in, with the site's password and
//! all rights on the site's own database, where nobody has any by being anybody.
//!
//! Undo needs the name, the server and the run. A PostgreSQL does it all at once, and keeps itself what was there for as long
//! as the run might take it back. A MariaDB does it in several statements; what was there is in the record, but for the old
//! password, which it keeps itself until [`super::drop_former_user`]: so no old password leaves a server.

use std::sync::Arc;

use anyhow::Context as _;
use kolga_protocol::names::{DatabaseName, Engine, HostName};
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::secrets::Secret;
use crate::services::database::Service;
use crate::services::mariadb::Former;
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
    /// The first thing.
    missing: Missing,
    #[serde(default)]
    engine: Engine,
    /// Whose secrets hold the password; a journal of an older release does not tell.
    #[serde(default)]
    host: Option<HostName>,
    /// What a user of MariaDB's was; an older release did not ask.
    #[serde(default)]
    former: Option<Former>,
}

impl Step for MendDatabaseUser {
    const NAME: &'static str = "mend_database_user";
    type Record = Record;

    async fn ready(&self, cx: &Cx) -> anyhow::Result<()> {
        let service = cx.spoke.database(self.site.engine)?;
        service.needs(&[MEND, UNMEND]).await
    }

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        let missing = self.lacks.missing.first();
        let service = cx.spoke.database(self.site.engine)?;
        Ok(Record {
            name: self.name.clone(),
            missing: *missing.context("the database user lacks nothing")?,
            engine: self.site.engine,
            host: Some(self.site.host.clone()),
            former: service.former(&self.name).await?,
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let wants = |missing: &Missing| matches!(missing, Missing::User | Missing::Password);
        let password = match self.lacks.missing.iter().any(wants) {
            true => Some(
                password_of(cx, &self.site.host)?
                    .context("the site's secrets hold no password for the database")?,
            ),
            false => None,
        };
        let (name, mark, run) = (&record.name, &self.lacks.mark, cx.run.to_string());
        match cx.spoke.database(record.engine)? {
            Service::Mariadb(it) => {
                let former = record.former.as_ref();
                let former = former.context("nothing says what the database user was")?;
                it.mend(name, password.as_ref(), mark, &run, former).await
            }
            Service::Postgresql(it) => it.mend(name, password.as_ref(), mark, &run).await,
        }
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        let (name, run) = (&record.name, cx.run.to_string());
        let undone = async {
            match (cx.spoke.database(record.engine)?, &record.former) {
                (Service::Mariadb(it), Some(former)) => {
                    let host = record.host.as_ref();
                    let password = host.map(|host| password_of(cx, host)).transpose()?;
                    let password = password.flatten();
                    it.unmend(name, password.as_ref(), &run, former).await
                }
                (Service::Mariadb(it), None) => match record.missing {
                    Missing::User => it.drop_user(name).await,
                    _ => it.revoke(name).await,
                },
                (Service::Postgresql(it), _) => it.unmend(name, &run).await,
            }
        };
        undone
            .await
            .map_err(|error| UndoError::leaves(format!("the database user {}", record.name), error))
    }
}

fn password_of(cx: &Cx, host: &HostName) -> anyhow::Result<Option<Secret>> {
    let secrets = cx.spoke.secrets.load(host)?;
    Ok(secrets.and_then(|secrets| secrets.database_password))
}
