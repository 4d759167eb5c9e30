//! Step `write_site_files`: the files that the profile gives every site, such as a first page. They hold
//! no secret.
//!
//! Undo needs nothing: they lie in the folder that [`super::make_site_folders`] made and removes.

use std::sync::Arc;

use super::make_site_folders::split;
use crate::cx::Cx;
use crate::layout;
use crate::profile::template;
use crate::site::Site;
use crate::step::{Step, UndoError};

/// Writes a site's ordinary files.
pub struct WriteSiteFiles(pub Arc<Site>);

impl Step for WriteSiteFiles {
    const NAME: &'static str = "write_site_files";
    type Record = ();

    async fn inspect(&self, _cx: &Cx) -> anyhow::Result<()> {
        Ok(())
    }

    async fn apply(&self, cx: &Cx, (): &()) -> anyhow::Result<()> {
        let site = &self.0;
        let top = layout::sites(&cx.spoke.config)?.dir(site.host.as_str())?;
        let values = site.public_values()?;
        for file in &site.profile.manifest.files {
            let source = site.profile.text(&file.template)?;
            let text = template::public_file(file.template.as_str(), source, &values)?;
            let (folder, name) = split(&top, file.path.as_ref())?;
            folder.write_new(name, text.as_bytes(), file.mode.0)?;
        }
        Ok(())
    }

    async fn undo(_cx: &Cx, (): &()) -> Result<(), UndoError> {
        Ok(())
    }
}
