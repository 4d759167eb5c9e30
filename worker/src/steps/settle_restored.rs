//! Step `settle_restored`: what a backup has given back is made into a site's folder and a dump. The folder becomes the
//! run's own, and gets what the profile wants and the backup left out; what the web server's user had written is that
//! user's to change again; nothing lends the worker's rights to whoever runs it. The dump goes to the run's private
//! folder, where [`super::import_database`] finds it, when it is the one that the backup was made with.
//!
//! Undo needs the run: the private folder goes. All else lies in the folder that [`super::restore_snapshot`] takes away.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use kolga_protocol::fault;
use kolga_protocol::id::Run;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::make_site_folders::split;
use super::mend_site::mend_one;
use super::restore_snapshot::restored;
use super::stage_backup::{self, DUMP, MANIFEST, Manifest, Users};
use crate::cx::{Cx, Stop};
use crate::files::{Dir, blocking};
use crate::layout;
use crate::relink::relink;
use crate::services::database::{Dumped, Measured};
use crate::services::restic::Brief;
use crate::site::Site;
use crate::step::{Step, UndoError};
use crate::survey::survey;
use crate::web::Web;

/// The site's folder, where it was restored.
pub(super) const SITE: &str = "site";

/// No manifest is longer.
const LONGEST: u64 = 1024 * 1024;

/// Makes a site's folder and a dump of what was restored.
pub struct SettleRestored {
    /// The site as it is to be.
    pub site: Arc<Site>,
    /// What the backup was said to be of when that was judged.
    pub brief: Arc<Brief>,
    /// What in its folder was another user's.
    pub foreign: Arc<BTreeSet<PathBuf>>,
    /// Where the code of its platform lay, when that may be another place than here.
    pub code_was: Option<PathBuf>,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    run: Run,
}

impl Step for SettleRestored {
    const NAME: &'static str = "settle_restored";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        stage_backup::free(cx)?;
        Ok(Record { run: cx.run })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let folder = restored(cx, record.run)?;
        let manifest = self.manifest(&folder)?;
        self.keep_dump(cx, record, &folder, &manifest).await?;
        let web = self.site.web(&cx.spoke)?;
        let site = Arc::clone(&self.site);
        let (foreign, stop) = (Arc::clone(&self.foreign), cx.stop.clone());
        let platforms = cx.spoke.config.sites.platforms.clone();
        let (run, log, code_was) = (record.run, cx.log.clone(), self.code_was.clone());
        blocking(move || {
            take_out(&folder, Path::new(&manifest.folder))?;
            fault::point("settle_restored:out");
            folder.give_to(SITE, &run.to_string())?;
            let top = folder.dir(SITE)?;
            let written = site.written_by_web();
            let theirs = |path: &Path| {
                foreign.contains(path) && written.iter().any(|folder| path.starts_with(folder))
            };
            let renamed = renamed(manifest.users, web);
            let settled = top.settle_tree(web.php, &theirs, &renamed, &mut || Ok(stop.check()?))?;
            log.info(format!(
                "{} files and folders were PHP's, which may change them again",
                settled.let_in
            ));
            if settled.left > 0 {
                log.warn(format!("{} more could not be given back", settled.left));
            }
            if settled.lending > 0 {
                let count = settled.lending;
                log.warn(format!(
                    "{count} files with set-user-id bits have them no more"
                ));
            }
            let found = survey(&site, &top, web, &platforms)?;
            for problem in found.problems {
                log.warn(problem);
            }
            mend(&top, &found.mends, &stop)?;
            if let (Some(was), Some(is)) = (&code_was, site.code())
                && was != is
            {
                let links = relink(&site.profile.manifest.links, &top, was, is)?;
                mend(&top, &links, &stop)?;
            }
            top.sync_file_system()
        })
        .await
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        stage_backup::undo(cx, record.run)
    }
}

impl SettleRestored {
    /// What the backup says of the site, which has to be what it was judged by.
    fn manifest(&self, folder: &Dir) -> anyhow::Result<Manifest> {
        let text = folder.read(MANIFEST, LONGEST)?;
        let manifest = Manifest::read(&text.context("the backup has no manifest")?)?;
        anyhow::ensure!(
            manifest.host == self.site.host && manifest.brief() == *self.brief,
            "the backup's manifest says something else of the site than its tags"
        );
        Ok(manifest)
    }

    /// Moves the dump to the private folder, once it is known to be the right one.
    async fn keep_dump(
        &self,
        cx: &Cx,
        record: &Record,
        folder: &Dir,
        manifest: &Manifest,
    ) -> anyhow::Result<()> {
        if self.site.database.is_none() {
            return Ok(());
        }
        let (bytes, sha256) = (manifest.dump_bytes, manifest.dump_sha256.clone());
        let wanted = bytes.zip(sha256).context("the backup has no dump")?;
        let wanted = Dumped {
            bytes: wanted.0,
            sha256: wanted.1,
        };
        let own = Dir::open(&cx.spoke.config.state_dir)?;
        let name = layout::backup_stage(record.run);
        let stage = own.make_owned_dir(name, 0o700, &record.run.to_string())?;
        fault::point("settle_restored:stage");
        let (folder, stop) = (folder.clone(), cx.stop.clone());
        blocking(move || {
            let found = measure(&folder, &stop)?;
            anyhow::ensure!(
                found == wanted,
                "the dump is not the one that the backup was made with: {} bytes instead of {}",
                found.bytes,
                wanted.bytes
            );
            match folder.move_to(DUMP, &stage, DUMP) {
                Err(error) if error.downcast_ref() == Some(&Errno::XDEV) => {
                    let mut copy = stage.create_file(DUMP)?;
                    std::io::copy(&mut folder.open_file(DUMP)?, &mut copy)?;
                    copy.flush()?;
                    folder.remove_file(DUMP)
                }
                other => other,
            }
        })
        .await
    }
}

/// Who gets at it now in place of whom: users have other numbers on another machine, and the site another pool perhaps.
fn renamed(was: Option<Users>, is: Web) -> Vec<(u32, u32)> {
    let Some(was) = was else {
        return Vec::new();
    };
    let own = rustix::process::geteuid().as_raw();
    let mut all = vec![(was.nginx, is.nginx), (was.php, is.php), (was.worker, own)];
    all.retain(|(from, to)| from != to);
    all
}

fn measure(folder: &Dir, stop: &Stop) -> anyhow::Result<Dumped> {
    use std::io::Read as _;
    let mut file = folder.open_file(DUMP)?;
    let (mut measured, mut piece) = (Measured::new(std::io::sink()), vec![0; 256 * 1024]);
    loop {
        stop.check()?;
        match file.read(&mut piece)? {
            0 => return Ok(measured.finish().0),
            count => measured.write_all(&piece[..count])?,
        }
    }
}

/// Moves the site's folder up from where it lay below the folders that it had above it.
fn take_out(folder: &Dir, was: &Path) -> anyhow::Result<()> {
    let below = was
        .strip_prefix("/")
        .context("the site's folder has no place")?;
    let (parent, name) = split(folder, below)?;
    // It has the mode of that folder of then, in which the worker perhaps could not move anything.
    parent.set_mode(0o700)?;
    parent.move_to(name, folder, SITE)
}

pub(super) fn mend(top: &Dir, mends: &[crate::survey::Mend], stop: &Stop) -> anyhow::Result<()> {
    mends
        .iter()
        .try_for_each(|mend| mend_one(top, mend, None, stop))
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::services::database::hex;
    use crate::steps::testing::{site, site_context};
    use crate::testing::Scratch;

    /// A site that was restored, with its docroot left out of the backup; the folder that holds it.
    fn scene(scratch: &Scratch, dump: &[u8]) -> (Cx, SettleRestored, Dir) {
        let cx = site_context(scratch);
        let mut site = Arc::into_inner(site(&cx)).expect("nobody else has it");
        let sites = layout::sites(&cx.spoke.config).expect("there");
        let owner = cx.run.to_string();
        let folder = sites.make_owned_dir(layout::restored(cx.run), 0o700, &owner);
        let folder = folder.expect("made");
        let above = folder.path().join("old/sites");
        std::fs::create_dir_all(&above).expect("folders");
        let above = Dir::open(&above).expect("there");
        above
            .make_owned_dir("www.example.org", 0o700, "an earlier run")
            .expect("a site");
        std::fs::write(folder.path().join(DUMP), dump).expect("a dump");
        let manifest = serde_json::json!({
            "format": 1, "kolga": "1", "at": 1, "server": "web1", "host": "www.example.org", "aliases": [],
            "profile": "static", "platform": null, "platform_version": null, "options": {},
            "folder": "/old/sites/www.example.org", "database": "k_a", "dump_bytes": 9,
            "dump_sha256": hex(&Sha256::digest(b"SELECT 1;")),
        });
        site.database = Some("k_a".parse().expect("a name"));
        std::fs::write(folder.path().join(MANIFEST), manifest.to_string()).expect("a manifest");
        let manifest: Manifest = serde_json::from_value(manifest).expect("a manifest");
        let step = SettleRestored {
            site: Arc::new(site),
            brief: Arc::new(manifest.brief()),
            foreign: Arc::default(),
            code_was: None,
        };
        (cx, step, folder)
    }

    #[tokio::test]
    async fn what_came_back_is_the_runs_own_as_its_profile_wants_it_and_undo_takes_the_dump_away() {
        let scratch = Scratch::new();
        let (cx, step, folder) = scene(&scratch, b"SELECT 1;");
        let own = Dir::open(&cx.spoke.config.state_dir).expect("there");
        let before = own.names().expect("read");
        let record = Step::inspect(&step, &cx).await.expect("free");
        SettleRestored::undo(&cx, &record).await.expect("never ran");
        Step::apply(&step, &cx, &record).await.expect("whole");
        assert_eq!(
            folder.owner_of(SITE).expect("read"),
            Some(cx.run.to_string())
        );
        assert!(
            folder.path().join(SITE).join("docroot").is_dir(),
            "made again"
        );
        assert!(folder.kind(DUMP).expect("looked").is_none());
        assert!(
            own.path()
                .join(layout::backup_stage(cx.run))
                .join(DUMP)
                .exists()
        );
        SettleRestored::undo(&cx, &record).await.expect("ran whole");
        SettleRestored::undo(&cx, &record).await.expect("twice");
        assert_eq!(own.names().expect("read"), before);
    }

    #[tokio::test]
    async fn a_dump_that_is_another_than_the_backup_was_made_with_is_refused() {
        let scratch = Scratch::new();
        let (cx, step, _) = scene(&scratch, b"SELECT 2;");
        let record = Step::inspect(&step, &cx).await.expect("free");
        let refused = Step::apply(&step, &cx, &record).await.expect_err("another");
        assert!(refused.to_string().contains("the dump"), "{refused:#}");
        SettleRestored::undo(&cx, &record).await.expect("by half");
    }

    #[tokio::test]
    async fn a_manifest_that_says_something_else_than_was_judged_is_refused() {
        let scratch = Scratch::new();
        let (cx, mut step, _) = scene(&scratch, b"SELECT 1;");
        let mut brief = Brief::clone(&step.brief);
        brief.profile = "php".parse().expect("a profile");
        step.brief = Arc::new(brief);
        let record = Step::inspect(&step, &cx).await.expect("free");
        let refused = Step::apply(&step, &cx, &record).await.expect_err("another");
        assert!(refused.to_string().contains("manifest"), "{refused:#}");
        SettleRestored::undo(&cx, &record).await.expect("by half");
    }
}
