//! Step `import_database`: what a run has dumped ([`super::dump_database`]) comes into a database that an earlier step has
//! made, as the database's own user.
//!
//! Undo needs nothing: the database goes with the step that made it.

use std::sync::Arc;

use anyhow::Context as _;
use kolga_protocol::names::DatabaseName;

use super::dump_database;
use crate::cx::Cx;
use crate::site::Site;
use crate::step::{Step, UndoError};

/// Fills a database.
pub struct ImportDatabase {
    /// Whose secrets hold the password.
    pub site: Arc<Site>,
    /// Which.
    pub name: DatabaseName,
}

impl Step for ImportDatabase {
    const NAME: &'static str = "import_database";
    type Record = ();

    async fn inspect(&self, _cx: &Cx) -> anyhow::Result<()> {
        Ok(())
    }

    async fn apply(&self, cx: &Cx, (): &()) -> anyhow::Result<()> {
        let password = cx.spoke.secrets.load(&self.site.host)?;
        let password = password
            .and_then(|secrets| secrets.database_password)
            .context("the site's secrets hold no password for the database")?;
        let (folder, file) = dump_database::place(cx, cx.run)?;
        let service = cx.spoke.database(self.site.engine)?;
        service
            .import(cx, &self.name, &password, &folder, file)
            .await
    }

    async fn undo(_cx: &Cx, (): &()) -> Result<(), UndoError> {
        Ok(())
    }
}
