//! Step `make_snapshot`: the site's folder and what was gathered besides become one snapshot of the backups, which
//! names this run.
//!
//! Undo needs the run: the snapshot that names it is forgotten, or, while the host that it lies on is away, counts for
//! nothing until it can be. What it had brought along is in nobody's way and goes when the repository is pruned.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use kolga_protocol::id::Run;
use serde::{Deserialize, Serialize};

use super::stage_backup::{DUMP, MANIFEST};
use crate::cx::Cx;
use crate::files::{Dir, MARK, mounted_below};
use crate::layout;
use crate::process::was_stopped;
use crate::services::database::Dumped;
use crate::services::restic::{Brief, Made, Mark, Wanted};
use crate::site::Site;
use crate::step::{Step, UndoError};

/// What the steps of a backup learn for each other and for the result.
#[derive(Default)]
pub struct Kept {
    /// The database as a file.
    pub dump: OnceLock<Dumped>,
    /// The manifest's text.
    pub manifest: OnceLock<Vec<u8>>,
    /// The snapshot.
    pub made: OnceLock<Made>,
    /// Its whole name, once it was read back.
    pub id: OnceLock<String>,
    /// Of a task that makes a backup before it does something else: what is said first when there comes none of it.
    pub unless: Option<String>,
}

impl Kept {
    /// Says what it means for the task that there is no backup.
    ///
    /// # Errors
    /// The same, with that before it.
    pub fn explain<T>(&self, result: anyhow::Result<T>) -> anyhow::Result<T> {
        match (&self.unless, result) {
            (Some(unless), Err(error)) if !was_stopped(&error) => {
                Err(error.context(unless.clone()))
            }
            (_, result) => result,
        }
    }
}

/// Makes a snapshot.
pub struct MakeSnapshot {
    /// Of which site.
    pub site: Arc<Site>,
    /// What it is made of, and where the other steps learn of it.
    pub kept: Arc<Kept>,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    run: Run,
    /// Where the repository stood, for an undo that need not ask it.
    #[serde(default)]
    before: Option<Mark>,
}

impl Step for MakeSnapshot {
    const NAME: &'static str = "make_snapshot";
    type Record = Record;

    async fn ready(&self, cx: &Cx) -> anyhow::Result<()> {
        let possible = cx.spoke.supervision.need_confinement();
        let possible = possible.context("restic is run confined or not at all");
        self.kept.explain(possible)
    }

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        self.kept.explain(self.look(cx))
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        self.kept.explain(self.make(cx, record).await)
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        let forgotten = match cx.spoke.need_backups() {
            Ok(restic) => restic.take_back(cx, record.run, record.before).await,
            Err(error) => Err(error),
        };
        forgotten.map_err(|error| {
            let left = format!("the snapshot with the tag run={}", record.run);
            UndoError::leaves(left, error)
        })
    }
}

impl MakeSnapshot {
    fn look(&self, cx: &Cx) -> anyhow::Result<Record> {
        let restic = cx.spoke.need_backups()?;
        let sites = layout::sites(&cx.spoke.config)?;
        let host = self.site.host.as_str();
        let folder = sites.dir(host).context("there is nothing to back up")?;
        self.one_file_system(&sites, &folder)?;
        Ok(Record {
            run: cx.run,
            before: restic.mark(),
        })
    }

    /// restic stays on the file system of the site's folder, and would leave out what is on another without a word.
    fn one_file_system(&self, sites: &Dir, folder: &Dir) -> anyhow::Result<()> {
        // One that is made of two (overlay) may tell another device of a folder than of the files in it.
        let host = self.site.host.as_str();
        if let (Some(outer), Some(inner)) = (sites.identity(host)?, folder.identity(MARK)?) {
            anyhow::ensure!(
                outer.dev == inner.dev,
                "the files in {} are not on the file system of their folder, so restic would leave them out: put {} on a \
                 file system of its own (on an overlay, mount it with xino=on)",
                folder.path().display(),
                sites.path().display()
            );
        }
        let exclude = self.exclude()?;
        let mounted = mounted_below(folder.path())?.into_iter();
        let mut mounted = mounted.map(|place| self.site.folder.join(place));
        let missed = mounted.find(|place| !exclude.iter().any(|it| place.starts_with(it)));
        if let Some(missed) = missed {
            anyhow::bail!(
                "another file system is mounted at {}, and a backup would leave it out: unmount it, or name the place under \
                 [backup] exclude in a profile of your own and keep it in another way",
                missed.display()
            );
        }
        Ok(())
    }

    async fn make(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let restic = cx.spoke.need_backups()?;
        let stage = layout::backup_stage(record.run);
        let mut gathered = vec![MANIFEST];
        let dump = self.kept.dump.get();
        gathered.extend(dump.map(|_| DUMP));
        let wanted = Wanted {
            run: record.run,
            host: self.site.host.clone(),
            folder: self.site.folder.clone(),
            brief: Brief {
                profile: self.site.profile.manifest.name.clone(),
                platform: self.site.platform.clone(),
                folder: self.site.folder.display().to_string(),
                dump: dump.map(|dump| (self.site.engine, dump.bytes)),
            },
            stage: cx.spoke.config.state_dir.join(stage),
            gathered,
            exclude: self.exclude()?,
        };
        let made = restic.back_up(cx, wanted).await?;
        cx.log.info(format!(
            "backup {}: {} files, {} bytes, {} of them new",
            made.id, made.files, made.bytes, made.bytes_added
        ));
        self.kept.made.get_or_init(|| made);
        Ok(())
    }

    /// What the profile leaves out, and the settings with what a task keeps beside them while it writes them.
    fn exclude(&self) -> anyhow::Result<Vec<PathBuf>> {
        let places = &self.site.profile.manifest.backup.exclude;
        let places = places.iter().map(|place| self.site.folder.join(place));
        let mut exclude: Vec<_> = places.collect();
        if let Some(settings) = self.site.settings_path() {
            let name = settings.file_name().context("settings have a name")?;
            let beside = format!(".{}.*", name.to_string_lossy());
            exclude.extend([settings.with_file_name(beside), settings]);
        }
        Ok(exclude)
    }
}
