//! Step `write_settings`: the file with which the application finds its database, in a folder that nginx
//! does not serve, readable by the worker and the web server's user only.
//!
//! Undo needs the host, the run and the path: the file goes, when the folder is this run's.

use std::sync::Arc;

use anyhow::Context as _;
use kolga_protocol::id::Run;
use kolga_protocol::names::HostName;
use serde::{Deserialize, Serialize};

use super::make_site_folders::split;
use crate::cx::Cx;
use crate::layout;
use crate::profile::manifest::SettingsFile;
use crate::profile::template::{self, Settings};
use crate::site::Site;
use crate::step::{Step, UndoError};

/// Writes a site's settings.
pub struct WriteSettings {
    /// Whose.
    pub site: Arc<Site>,
    /// Which file.
    pub file: SettingsFile,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    host: HostName,
    run: Run,
    path: String,
}

impl Step for WriteSettings {
    const NAME: &'static str = "write_settings";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        Ok(Record {
            host: self.site.host.clone(),
            run: cx.run,
            path: self.file.path.as_str().to_owned(),
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let text = text(&self.site, &self.file, cx)?;
        let top = layout::sites(&cx.spoke.config)?.dir(record.host.as_str())?;
        let (folder, name) = split(&top, self.file.path.as_ref())?;
        folder.write_new(name, text.as_bytes(), self.file.mode.0)
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        (|| {
            let sites = layout::sites(&cx.spoke.config)?;
            if sites.owner_of(record.host.as_str())? == Some(record.run.to_string()) {
                let top = sites.dir(record.host.as_str())?;
                let (folder, name) = split(&top, record.path.as_ref())?;
                folder.remove_file(name)?;
            }
            anyhow::Ok(())
        })()
        .map_err(|error| {
            let left = layout::site(&cx.spoke.config, &record.host).join(&record.path);
            UndoError::leaves(left.display().to_string(), error)
        })
    }
}

/// What a site's settings say: its database is `site.database`, the user has the same name, and the secrets
/// are those that the spoke holds of it now.
pub(super) fn text(site: &Site, file: &SettingsFile, cx: &Cx) -> anyhow::Result<String> {
    let secrets = cx
        .spoke
        .secrets
        .load(&site.host)?
        .context("the site's secrets are gone")?;
    let database = match &site.database {
        None => None,
        Some(name) => {
            let password = secrets.database_password;
            let password =
                password.context("the site's secrets hold no password for the database")?;
            let service = cx.spoke.database(site.engine)?;
            Some(service.settings(name, &password))
        }
    };
    let expose = |(name, secret): (_, crate::secrets::Secret)| (name, secret.expose().to_owned());
    let values = Settings {
        public: site.public_values()?,
        database,
        secrets: secrets.values.into_iter().map(expose).collect(),
    };
    let source = site.profile.text(&file.template)?;
    let text = template::settings(file.template.as_str(), source, &values)?;
    template::refuse_without_authority(&text, values.database.as_ref())?;
    Ok(text)
}
