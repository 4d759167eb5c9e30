//! Step `stage_backup`: what a backup holds besides the site's folder, gathered in a folder of the worker's own: the
//! database's dump, and a manifest that says what the site is. Neither holds credentials.
//!
//! Undo needs the run, which the folder names.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use kolga_protocol::fault;
use kolga_protocol::id::{Run, UnixMillis};
use kolga_protocol::names::{
    DatabaseName, Engine, HostName, OptionName, OptionValue, PlatformName, ProfileName, ServerName,
    SiteAlias,
};
use kolga_protocol::naming::Names;
use serde::{Deserialize, Serialize};

use super::make_snapshot::Kept;
use crate::cx::Cx;
use crate::files::Dir;
use crate::layout;
use crate::services::database::Dumped;
use crate::services::restic::Brief;
use crate::site::Site;
use crate::step::{Step, UndoError};

/// The database, in a backup: statements, or, of a PostgreSQL, what pg_restore reads.
pub(super) const DUMP: &str = "database.sql";
/// What the site is, in a backup.
pub(crate) const MANIFEST: &str = "manifest.json";

/// Gathers what a backup holds.
pub struct StageBackup {
    /// Of which site.
    pub site: Arc<Site>,
    /// Where the other steps learn of it.
    pub kept: Arc<Kept>,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    run: Run,
}

/// What a backup says of its site: all that installing one like it would ask for, and what is in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Of this file.
    pub format: u32,
    /// The worker's release.
    pub kolga: String,
    /// When.
    pub at: UnixMillis,
    /// By which spoke.
    pub server: ServerName,
    /// The site.
    pub host: HostName,
    /// Its other names that serve it.
    pub aliases: Vec<SiteAlias>,
    /// All of its other names, and what they do.
    #[serde(default)]
    pub names: Names,
    /// Its kind.
    pub profile: ProfileName,
    /// Whose code it uses.
    pub platform: Option<PlatformName>,
    /// The version of that code.
    pub platform_version: Option<String>,
    /// The operator's choices.
    pub options: BTreeMap<OptionName, OptionValue>,
    /// Its folder, with which the files in the backup begin.
    pub folder: String,
    /// Its database.
    pub database: Option<DatabaseName>,
    /// In which server that is: a dump of one is nothing for another.
    #[serde(default)]
    pub engine: Engine,
    /// How long the dump is.
    pub dump_bytes: Option<u64>,
    /// Of the dump, in hexadecimal digits.
    pub dump_sha256: Option<String>,
    /// Of whom the access lists of the files speak; manifests of older releases do not tell.
    #[serde(default)]
    pub users: Option<Users>,
}

/// Users by their numbers, which another machine may have given to others.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Users {
    /// The web server's.
    pub nginx: u32,
    /// PHP's.
    pub php: u32,
    /// The worker's.
    pub worker: u32,
}

impl Manifest {
    /// Of this release.
    const FORMAT: u32 = 1;

    /// From the text that a backup holds.
    ///
    /// # Errors
    /// When it is of another release's format, or no manifest.
    pub fn read(text: &[u8]) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let Format { format } =
            serde_json::from_slice(text).context("the backup's manifest cannot be read")?;
        anyhow::ensure!(
            format == Self::FORMAT,
            "the backup's manifest has format {format}, and this release reads {}: restore it with the release that \
             made it, or with restic alone",
            Self::FORMAT
        );
        serde_json::from_slice(text).context("the backup's manifest cannot be read")
    }
}

impl Manifest {
    /// What the tags of its snapshot say.
    #[must_use]
    pub fn brief(&self) -> Brief {
        let dump = self.database.as_ref().and(self.dump_bytes);
        Brief {
            profile: self.profile.clone(),
            platform: self.platform.clone(),
            folder: self.folder.clone(),
            dump: dump.map(|bytes| (self.engine, bytes)),
        }
    }
}

/// Refuses when the folder of this run's own for dumps is there already. Gives the folder in which it is to be.
///
/// # Errors
/// Names what is there.
pub(super) fn free(cx: &Cx) -> anyhow::Result<Dir> {
    let own = Dir::open(&cx.spoke.config.state_dir)?;
    let name = layout::backup_stage(cx.run);
    anyhow::ensure!(
        own.kind(&name)?.is_none(),
        "{} is there already: move it away",
        own.path().join(name).display()
    );
    Ok(own)
}

/// Takes away what a run has put into that folder, and the folder; it need not be there.
///
/// # Errors
/// Names what is left.
pub(super) fn undo(cx: &Cx, run: Run) -> Result<(), UndoError> {
    remove(cx, run).map_err(|error| {
        let left = layout::backup_stage(run);
        let left = cx.spoke.config.state_dir.join(left);
        UndoError::leaves(left.display().to_string(), error)
    })
}

impl Step for StageBackup {
    const NAME: &'static str = "stage_backup";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        free(cx)?;
        Ok(Record { run: cx.run })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        self.kept.explain(self.gather(cx, record).await)
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        undo(cx, record.run)
    }
}

impl StageBackup {
    async fn gather(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let own = Dir::open(&cx.spoke.config.state_dir)?;
        let name = layout::backup_stage(record.run);
        let stage = own.make_owned_dir(name, 0o700, &record.run.to_string())?;
        fault::point("stage_backup:made");
        let mut dumped = None;
        if let Some(database) = &self.site.database {
            let service = cx.spoke.database(self.site.engine)?;
            let without = &self.site.profile.manifest.backup.without_rows;
            let dump = service.dump(cx, database, without, &stage, DUMP).await?;
            cx.log
                .info(format!("dumped {database}: {} bytes", dump.bytes));
            dumped = Some(self.kept.dump.get_or_init(|| dump));
        }
        fault::point("stage_backup:dumped");
        let manifest = serde_json::to_vec_pretty(&self.manifest(cx, dumped)?)?;
        stage.write_new(MANIFEST, &manifest, 0o600)?;
        self.kept.manifest.get_or_init(|| manifest);
        Ok(())
    }

    fn manifest(&self, cx: &Cx, dumped: Option<&Dumped>) -> anyhow::Result<Manifest> {
        let site = &self.site;
        let web = site.web(&cx.spoke)?;
        let platform = match &site.platform {
            Some(name) => cx.spoke.registry.platforms.load(name)?,
            None => None,
        };
        Ok(Manifest {
            format: Manifest::FORMAT,
            kolga: env!("CARGO_PKG_VERSION").to_owned(),
            at: UnixMillis::now(),
            server: cx.spoke.config.server.clone(),
            host: site.host.clone(),
            aliases: site.names.aliases.clone(),
            names: site.names.clone(),
            profile: site.profile.manifest.name.clone(),
            platform: site.platform.clone(),
            platform_version: platform.and_then(|platform| platform.version),
            options: site.options.clone(),
            folder: site.folder.display().to_string(),
            database: site.database.clone(),
            engine: site.engine,
            dump_bytes: dumped.map(|dump| dump.bytes),
            dump_sha256: dumped.map(|dump| dump.sha256.clone()),
            users: Some(Users {
                nginx: web.nginx,
                php: web.php,
                worker: rustix::process::geteuid().as_raw(),
            }),
        })
    }
}

/// Removes what this run gathered; it need not be there.
pub(super) fn remove(cx: &Cx, run: Run) -> anyhow::Result<()> {
    let own = Dir::open(&cx.spoke.config.state_dir)?;
    own.remove_owned_dir(layout::backup_stage(run), &run.to_string())
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::testing::{site, site_context};
    use crate::testing::Scratch;

    fn scene(scratch: &Scratch) -> (Cx, StageBackup, Dir) {
        let cx = site_context(scratch);
        let own = Dir::open(&cx.spoke.config.state_dir).expect("there");
        let step = StageBackup {
            site: site(&cx),
            kept: Arc::default(),
        };
        (cx, step, own)
    }

    #[tokio::test]
    async fn undo_is_right_when_it_never_ran_ran_by_half_and_ran_whole() {
        let scratch = Scratch::new();
        let (cx, step, own) = scene(&scratch);
        cx.spoke.registry.sites.list().expect("its folder is made");
        cx.spoke.registry.platforms.list().expect("this one too");
        let before = own.names().expect("read");
        let record = Step::inspect(&step, &cx).await.expect("free");
        StageBackup::undo(&cx, &record).await.expect("never ran");
        let name = layout::backup_stage(cx.run);
        own.make_owned_dir(&name, 0o700, &cx.run.to_string())
            .expect("by half");
        StageBackup::undo(&cx, &record).await.expect("ran by half");
        assert_eq!(own.names().expect("read"), before);
        Step::apply(&step, &cx, &record).await.expect("whole");
        let manifest = step.kept.manifest.get().expect("written");
        let manifest: Manifest = serde_json::from_slice(manifest).expect("it reads back");
        assert_eq!(manifest.host, step.site.host);
        StageBackup::undo(&cx, &record).await.expect("ran whole");
        StageBackup::undo(&cx, &record).await.expect("twice");
        assert_eq!(own.names().expect("read"), before);
    }

    #[tokio::test]
    async fn a_folder_of_that_name_that_is_not_the_runs_stays() {
        let scratch = Scratch::new();
        let (cx, step, own) = scene(&scratch);
        let record = Step::inspect(&step, &cx).await.expect("free");
        let name = layout::backup_stage(cx.run);
        own.make_dir(&name, 0o700).expect("planted");
        assert!(Step::inspect(&step, &cx).await.is_err());
        StageBackup::undo(&cx, &record)
            .await
            .expect("nothing of ours");
        assert!(own.kind(&name).expect("looked").is_some());
    }
}
