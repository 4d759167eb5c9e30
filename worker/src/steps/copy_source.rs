//! Step `copy_source`: a site's folder out of a folder that Kolga has not made. The profile's folders are made with their
//! rights, what there is to take is copied into them and gets these, and what of the platform's the source has no other of
//! is linked. The source is only read.
//!
//! Undo needs the host and the run: the mark in the folder says whether the one of that name is this run's.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use kolga_protocol::fault;
use kolga_protocol::id::Run;
use kolga_protocol::names::{HostName, SpokePath};
use serde::{Deserialize, Serialize};

use super::make_site_folders::{free, make_folders, take_away};
use super::mend_site::mend_one;
use crate::cx::{Cx, Stop};
use crate::files::{Dir, Taken, blocking};
use crate::import::Source;
use crate::layout;
use crate::site::Site;
use crate::step::{Step, UndoError};
use crate::survey::survey;
use crate::web::Web;

/// Copies a site's files.
pub struct CopySource {
    /// The site that is to be.
    pub site: Arc<Site>,
    /// Where they lie.
    pub from: SpokePath,
    /// What there was when it was looked at.
    pub weighed: Taken,
    /// Where the recipe learns what it came to.
    pub copied: Arc<OnceLock<Taken>>,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    host: HostName,
    run: Run,
}

impl Step for CopySource {
    const NAME: &'static str = "copy_source";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        free(&self.site, cx)?;
        Ok(Record {
            host: self.site.host.clone(),
            run: cx.run,
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let config = &cx.spoke.config;
        let work = Work {
            site: Arc::clone(&self.site),
            // Opened anew: it may be another folder by now, and then that one is judged.
            source: Source::open(config, &self.from)?,
            weighed: self.weighed,
            sites: layout::sites(config)?,
            owner: record.run.to_string(),
            web: self.site.web(&cx.spoke)?,
            stop: cx.stop.clone(),
        };
        let platforms = config.sites.platforms.clone();
        let (taken, problems) = blocking(move || work.copy(&platforms)).await?;
        for problem in problems {
            cx.log.warn(problem);
        }
        cx.log.info(format!(
            "copied {} files and {} links, {} bytes, to {}",
            taken.files,
            taken.links,
            taken.bytes,
            self.site.folder.display()
        ));
        self.copied.get_or_init(|| taken);
        Ok(())
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        take_away(cx, &record.host, record.run).await
    }
}

struct Work {
    site: Arc<Site>,
    source: Source,
    weighed: Taken,
    sites: Dir,
    owner: String,
    web: Web,
    stop: Stop,
}

impl Work {
    fn copy(&self, platforms: &Path) -> anyhow::Result<(Taken, Vec<String>)> {
        let Self { site, stop, .. } = self;
        let top = make_folders(site, &self.sites, &self.owner, self.web, stop)?;
        fault::point("copy_source:folders");
        let taken = self.source.copy_to(site, &top, self.weighed, stop)?;
        fault::point("copy_source:copied");
        let found = survey(site, &top, self.web, platforms)?;
        for mend in &found.mends {
            mend_one(&top, mend, None, stop)?;
        }
        top.sync_file_system()?;
        Ok((taken, found.problems))
    }
}
