//! Final step `drop_old_settings`: removes the settings that [`super::swap_settings`] kept for going back.
//! They lie in the site's folder, so a task that moves it away has them there.

use kolga_protocol::id::Run;
use kolga_protocol::names::HostName;
use serde::{Deserialize, Serialize};

use super::make_site_folders::split;
use super::swap_settings::kept;
use crate::cx::Cx;
use crate::layout;
use crate::profile::Place;
use crate::step::FinalStep;

/// Removes a site's former settings.
pub struct DropOldSettings {
    /// Whose.
    pub host: HostName,
    /// Where the settings lie, below the site's folder.
    pub path: Place,
}

/// What finishing needs.
#[derive(Serialize, Deserialize)]
pub struct Record {
    host: HostName,
    run: Run,
    path: String,
}

impl FinalStep for DropOldSettings {
    const NAME: &'static str = "drop_old_settings";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        Ok(Record {
            host: self.host.clone(),
            run: cx.run,
            path: self.path.as_str().to_owned(),
        })
    }

    async fn finish(cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let sites = layout::sites(&cx.spoke.config)?;
        if sites.kind(record.host.as_str())?.is_none() {
            return Ok(());
        }
        let top = sites.dir(record.host.as_str())?;
        let (folder, name) = split(&top, record.path.as_ref())?;
        folder.remove_file(kept(&name, record.run))
    }
}
