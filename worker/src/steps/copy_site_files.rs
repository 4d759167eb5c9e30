//! Step `copy_site_files`: the folder of a new site, made of one that is there and goes on being used: all that is in it
//! but its settings and what its profile leaves out of backups. The copy is the run's own, in a folder that nobody else
//! can enter until it is whole; what the web server's user had written is that user's to change in the copy too; what its
//! profile wants and the site lacked is made; links lead into the copy's own platform.
//!
//! Undo needs the host and the run: the mark in the folder says whether it is this run's.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use kolga_protocol::fault;
use kolga_protocol::id::Run;
use kolga_protocol::names::HostName;
use serde::{Deserialize, Serialize};

use super::make_site_folders::{free, take_away};
use super::settle_restored::mend;
use crate::cx::{Cx, Stop};
use crate::files::{Copied, Dir, MARK, blocking};
use crate::layout;
use crate::profile::manifest::Manifest;
use crate::relink::relink;
use crate::site::Site;
use crate::step::{Step, UndoError};
use crate::survey::survey;
use crate::web::Web;

/// How many files that are not copied are named in the log.
const NAMED: usize = 5;

/// Copies a site's folder.
pub struct CopySiteFiles {
    /// The site that is there.
    pub from: Arc<Site>,
    /// The run that its folder is marked with.
    pub owner: String,
    /// The site that is to be.
    pub site: Arc<Site>,
    /// Where the recipe learns what was copied.
    pub copied: Arc<OnceLock<Copied>>,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    host: HostName,
    run: Run,
}

impl Step for CopySiteFiles {
    const NAME: &'static str = "copy_site_files";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        free(&self.site, cx)?;
        let sites = layout::sites(&cx.spoke.config)?;
        anyhow::ensure!(
            sites.owner_of(self.from.host.as_str())?.as_ref() == Some(&self.owner),
            "{} is not the folder that was made for this site: move it away",
            self.from.folder.display()
        );
        Ok(Record {
            host: self.site.host.clone(),
            run: cx.run,
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let sites = layout::sites(&cx.spoke.config)?;
        let source = sites.dir(self.from.host.as_str())?;
        let owner = record.run.to_string();
        let target = sites.make_owned_dir(record.host.as_str(), 0o700, &owner)?;
        fault::point("copy_site_files:made");
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
        take_away(cx, &record.host, record.run).await
    }
}

/// All that the work on a thread of its own needs.
pub(super) struct Copying {
    from: Arc<Site>,
    site: Arc<Site>,
    web: Web,
    /// Who gets at the site that is copied.
    was: Web,
    platforms: PathBuf,
    stop: Stop,
}

impl Copying {
    pub(super) fn new(from: &Arc<Site>, site: &Arc<Site>, cx: &Cx) -> anyhow::Result<Self> {
        Ok(Self {
            web: site.web(&cx.spoke)?,
            was: from.web(&cx.spoke)?,
            from: Arc::clone(from),
            site: Arc::clone(site),
            platforms: cx.spoke.config.sites.platforms.clone(),
            stop: cx.stop.clone(),
        })
    }

    /// Copies, and settles who may do what in the copy.
    pub(super) fn copy(
        &self,
        source: &Dir,
        target: &Dir,
        warn: &dyn Fn(String),
    ) -> anyhow::Result<Copied> {
        let manifest = &self.site.profile.manifest;
        let mut check = || Ok(self.stop.check()?);
        let copied = target.copy_from(source, &|path| stays(manifest, path), &mut check)?;
        fault::point("copy_site_files:copied");
        for path in copied.left_out.iter().take(NAMED) {
            let path = path.display();
            warn(format!(
                "{path} is no file, folder or link, and was not copied"
            ));
        }
        if copied.left_out.len() > NAMED {
            let count = copied.left_out.len();
            warn(format!("{count} of that sort in all"));
        }
        let written = self.site.written_by_web();
        let theirs = |path: &Path| {
            copied.foreign.contains(path) && written.iter().any(|folder| path.starts_with(folder))
        };
        let pairs = [
            (self.was.nginx, self.web.nginx),
            (self.was.php, self.web.php),
        ];
        let renamed: Vec<_> = pairs.into_iter().filter(|(from, to)| from != to).collect();
        let settled = target.settle_tree(self.web.php, &theirs, &renamed, &mut check)?;
        if settled.left > 0 {
            let count = settled.left;
            warn(format!("{count} files could not be given back to PHP"));
        }
        let found = survey(&self.site, target, self.web, &self.platforms)?;
        found.problems.into_iter().for_each(warn);
        mend(target, &found.mends, &self.stop)?;
        if let (Some(old), Some(new)) = (self.from.code(), self.site.code())
            && old != new
        {
            mend(
                target,
                &relink(&manifest.links, target, old, new)?,
                &self.stop,
            )?;
        }
        target.sync_file_system()?;
        Ok(copied)
    }
}

/// What is not copied: the mark of whose folder it is, the settings with what a task keeps beside them while it writes
/// them, since they hold secrets and are made anew, and what a backup leaves out.
fn stays(manifest: &Manifest, path: &Path) -> bool {
    let is_settings = manifest.settings.as_ref().is_some_and(|file| {
        let settings = Path::new(file.path.as_str());
        let name = |path: &Path| {
            path.file_name()
                .map(|name| name.to_string_lossy().into_owned())
        };
        let (Some(settings_name), Some(name)) = (name(settings), name(path)) else {
            return false;
        };
        path.parent() == settings.parent()
            && (name == settings_name || name.starts_with(&format!(".{settings_name}.")))
    });
    let excluded = &manifest.backup.exclude;
    path == Path::new(MARK)
        || is_settings
        || excluded
            .iter()
            .any(|place| path == Path::new(place.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::make_site_folders::MakeSiteFolders;
    use crate::steps::testing::{site, site_context};
    use crate::testing::Scratch;

    /// A site, and one that is to be made of it.
    async fn scene(scratch: &Scratch) -> (Cx, CopySiteFiles) {
        let cx = site_context(scratch);
        let from = site(&cx);
        let make = MakeSiteFolders(Arc::clone(&from));
        let record = Step::inspect(&make, &cx).await.expect("free");
        Step::apply(&make, &cx, &record).await.expect("made");
        std::fs::write(from.folder.join("docroot/page"), "mine").expect("written");
        let params = r#"{"site": "copy.example.org", "profile": "static"}"#;
        let params = serde_json::from_str(params).expect("parameters");
        let step = CopySiteFiles {
            owner: cx.run.to_string(),
            site: Arc::new(Site::new(&params, &cx.spoke, cx.run).expect("a site")),
            from,
            copied: Arc::default(),
        };
        (cx, step)
    }

    #[tokio::test]
    async fn undo_is_right_when_it_never_ran_ran_by_half_and_ran_whole_and_the_source_stays() {
        let scratch = Scratch::new();
        let (cx, step) = scene(&scratch).await;
        let sites = layout::sites(&cx.spoke.config).expect("there");
        let before = sites.names().expect("read");
        let record = Step::inspect(&step, &cx).await.expect("free");
        CopySiteFiles::undo(&cx, &record).await.expect("never ran");
        let owner = cx.run.to_string();
        let half = sites.make_owned_dir(step.site.host.as_str(), 0o700, &owner);
        half.expect("made")
            .write_new("half", b"x", 0o600)
            .expect("by half");
        CopySiteFiles::undo(&cx, &record).await.expect("by half");
        assert_eq!(sites.names().expect("read"), before);
        Step::apply(&step, &cx, &record).await.expect("whole");
        let page = step.site.folder.join("docroot/page");
        assert_eq!(std::fs::read_to_string(&page).expect("copied"), "mine");
        let rights = |site: &Site| {
            let dir = sites.dir(Path::new(site.host.as_str()).join("docroot"));
            dir.expect("there").rights().expect("looked")
        };
        assert_eq!(rights(&step.site), rights(&step.from));
        let top = |site: &Site| sites.dir(site.host.as_str()).expect("there").rights();
        assert_eq!(
            top(&step.site).expect("looked"),
            top(&step.from).expect("looked"),
            "the web server's user is let in"
        );
        CopySiteFiles::undo(&cx, &record).await.expect("ran whole");
        CopySiteFiles::undo(&cx, &record).await.expect("twice");
        assert_eq!(sites.names().expect("read"), before);
        assert!(step.from.folder.join("docroot/page").exists());
    }

    #[tokio::test]
    async fn a_strangers_folder_is_refused_and_survives_an_undo_and_is_not_copied() {
        let scratch = Scratch::new();
        let (cx, mut step) = scene(&scratch).await;
        let record = Step::inspect(&step, &cx).await.expect("free");
        std::fs::create_dir(&step.site.folder).expect("planted");
        assert!(Step::inspect(&step, &cx).await.is_err());
        assert!(Step::apply(&step, &cx, &record).await.is_err());
        CopySiteFiles::undo(&cx, &record).await.expect("not ours");
        assert!(step.site.folder.exists());
        std::fs::remove_dir(&step.site.folder).expect("there");
        step.owner = "another run".to_owned();
        assert!(Step::inspect(&step, &cx).await.is_err());
    }

    #[test]
    fn settings_and_what_lies_beside_them_are_not_copied() {
        let manifest = "name = \"x\"\ndescription = \"x\"\n[settings]\npath = \"private/settings.php\"\n\
                        template = \"t\"\nmode = \"0440\"\n[backup]\nexclude = [\"docroot/cache\"]\n\
                        [vhost]\ntemplate = \"v\"\n[healthy]\npath = \"/\"\nstatus = 200\n";
        let manifest: Manifest = toml::from_str(manifest).expect("read");
        for (path, is_left) in [
            (".kolga-owner", true),
            ("docroot/.kolga-owner", false),
            ("private/settings.php", true),
            ("private/.settings.php.new", true),
            ("private/settings.php.bak", false),
            ("settings.php", false),
            ("docroot/settings.php", false),
            ("docroot/cache", true),
            ("docroot/cached", false),
        ] {
            assert_eq!(stays(&manifest, Path::new(path)), is_left, "{path}");
        }
    }
}
