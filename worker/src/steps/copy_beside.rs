//! Step `copy_beside`: a site's folder once more, beside it, in a folder that nobody else can enter: all of it is the worker's
//! own there, and lets in whom the site is to let in. [`super::swap_folders`] gives it the site's place.
//!
//! Undo needs the run, whose folder it is.

use std::sync::{Arc, OnceLock};

use kolga_protocol::fault;
use kolga_protocol::id::Run;
use serde::{Deserialize, Serialize};

use super::copy_site_files::Copying;
use super::restore_snapshot::remove_restored;
use super::settle_restored::SITE;
use crate::cx::Cx;
use crate::files::{Copied, blocking};
use crate::layout;
use crate::site::Site;
use crate::step::{Step, UndoError};

/// Copies a site's folder.
pub struct CopyBeside {
    /// The site as it is.
    pub from: Arc<Site>,
    /// The run that its folder is marked with; the copy is marked so too.
    pub owner: String,
    /// The site as it is to be.
    pub site: Arc<Site>,
    /// Where the recipe learns what was copied.
    pub copied: Arc<OnceLock<Copied>>,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    run: Run,
}

impl Step for CopyBeside {
    const NAME: &'static str = "copy_beside";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        let sites = layout::sites(&cx.spoke.config)?;
        let name = layout::restored(cx.run);
        anyhow::ensure!(
            sites.kind(&name)?.is_none(),
            "{} is there already: move it away",
            sites.path().join(name).display()
        );
        anyhow::ensure!(
            sites.owner_of(self.from.host.as_str())?.as_ref() == Some(&self.owner),
            "{} is not the folder that was made for this site: move it away",
            self.from.folder.display()
        );
        Ok(Record { run: cx.run })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let sites = layout::sites(&cx.spoke.config)?;
        let source = sites.dir(self.from.host.as_str())?;
        let beside = layout::restored(record.run);
        let beside = sites.make_owned_dir(beside, 0o700, &record.run.to_string())?;
        fault::point("copy_beside:made");
        let target = beside.make_owned_dir(SITE, 0o700, &self.owner)?;
        let copying = Copying::new(&self.from, &self.site, cx)?;
        let log = cx.log.clone();
        let copied =
            blocking(move || copying.copy(&source, &target, &|line| log.warn(line))).await?;
        cx.log.info(format!(
            "copied {} files and links, {} bytes",
            copied.files, copied.bytes
        ));
        self.copied.get_or_init(|| copied);
        Ok(())
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        let removed = remove_restored(cx, record.run).await;
        removed.map_err(|error| {
            let left = cx
                .spoke
                .config
                .sites
                .root
                .join(layout::restored(record.run));
            UndoError::leaves(left.display().to_string(), error)
        })
    }
}
