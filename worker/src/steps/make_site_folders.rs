//! Step `make_site_folders`: the site's folder with those below it, their modes, what the web server's user
//! may do in them, and the links to the platform.
//!
//! Undo needs the host and the run: the mark in the folder says whether the one of that name is this
//! run's. It removes the folder with all that later steps, the application and its visitors put into it.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use kolga_protocol::id::Run;
use kolga_protocol::names::HostName;
use serde::{Deserialize, Serialize};

use crate::cx::{Cx, Stop};
use crate::discard;
use crate::files::{Dir, blocking};
use crate::layout;
use crate::profile::WebAccess;
use crate::profile::manifest::Link;
use crate::site::Site;
use crate::step::{Step, UndoError};
use crate::web::Web;
use kolga_protocol::fault;

/// Makes a site's folders.
pub struct MakeSiteFolders(pub Arc<Site>);

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    host: HostName,
    run: Run,
}

impl Step for MakeSiteFolders {
    const NAME: &'static str = "make_site_folders";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        free(&self.0, cx)?;
        Ok(Record {
            host: self.0.host.clone(),
            run: cx.run,
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let sites = layout::sites(&cx.spoke.config)?;
        let web = self.0.web(&cx.spoke)?;
        let (site, owner, stop) = (Arc::clone(&self.0), record.run.to_string(), cx.stop.clone());
        blocking(move || make(&site, &sites, &owner, web, &stop)).await?;
        cx.log.info(format!("made {}", self.0.folder.display()));
        Ok(())
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        take_away(cx, &record.host, record.run).await
    }
}

/// Refuses where the site's folder is to be and something is already.
pub(super) fn free(site: &Site, cx: &Cx) -> anyhow::Result<()> {
    let taken = layout::sites(&cx.spoke.config)?.kind(site.host.as_str())?;
    anyhow::ensure!(
        taken.is_none(),
        "{} is there already and not this task's: move it away",
        site.folder.display()
    );
    Ok(())
}

/// Removes the site's folder with all in it when this run has made it; it need not be there.
///
/// # Errors
/// Names what is left.
pub(super) async fn take_away(cx: &Cx, host: &HostName, run: Run) -> Result<(), UndoError> {
    remove(cx, host.clone(), run).await.map_err(|error| {
        let left = layout::site(&cx.spoke.config, host);
        UndoError::leaves(left.display().to_string(), error)
    })
}

async fn remove(cx: &Cx, host: HostName, run: Run) -> anyhow::Result<()> {
    let sites = layout::sites(&cx.spoke.config)?;
    let owner = run.to_string();
    if sites.owner_of(host.as_str())?.as_ref() == Some(&owner) {
        discard::prepare(cx, &sites, host.as_str()).await?;
    }
    blocking(move || sites.remove_owned_dir(host.as_str(), &owner).map(drop)).await
}

fn make(site: &Site, sites: &Dir, owner: &str, web: Web, stop: &Stop) -> anyhow::Result<()> {
    let top = make_folders(site, sites, owner, web, stop)?;
    if let Some(code) = site.code() {
        for wanted in &site.profile.manifest.links {
            link(&top, code, wanted)?;
        }
    }
    top.sync_file_system()
}

/// The site's folder and those below it, with their rights.
pub(super) fn make_folders(
    site: &Site,
    sites: &Dir,
    owner: &str,
    web: Web,
    stop: &Stop,
) -> anyhow::Result<Dir> {
    let own = rustix::process::geteuid().as_raw();
    let top = sites.make_owned_dir(site.host.as_str(), 0o700, owner)?;
    fault::point("make_site_folders:top");
    top.set_access(&web.pass(), false)?;
    let manifest = &site.profile.manifest;
    for wanted in &manifest.directories {
        stop.check()?;
        let (parent, name) = split(&top, wanted.path.as_ref())?;
        let made = parent.make_dir(name, 0o700)?;
        match wanted.web {
            WebAccess::None => {}
            WebAccess::Read => made.set_access(&web.read(), true)?,
            WebAccess::Write => made.set_access(&web.write(own), true)?,
        }
        made.set_mode(wanted.mode.0)?;
    }
    fault::point("make_site_folders:folders");
    Ok(top)
}

fn link(top: &Dir, code: &Path, wanted: &Link) -> anyhow::Result<()> {
    let target = code.join(&wanted.to);
    if !target.exists() {
        anyhow::ensure!(
            wanted.optional,
            "the platform has no {}, which its profile wants to link to",
            wanted.to
        );
        return Ok(());
    }
    if !wanted.each {
        let (parent, name) = split(top, wanted.path.as_ref())?;
        return make_link(&parent, &name, &target);
    }
    let folder = top.dir(&wanted.path)?;
    for name in Dir::open(&target)?.names()? {
        make_link(&folder, &name, &target.join(&name))?;
    }
    Ok(())
}

pub(super) fn make_link(folder: &Dir, name: &OsStr, target: &Path) -> anyhow::Result<()> {
    rustix::fs::symlinkat(target, folder, name).with_context(|| {
        let at = folder.path().join(name);
        format!("cannot make the link {}", at.display())
    })
}

/// The folder in which a path's last part lies, and that part.
pub(crate) fn split(top: &Dir, path: &Path) -> anyhow::Result<(Dir, OsString)> {
    let name = path
        .file_name()
        .context("a place has a last part")?
        .to_owned();
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => top.dir(parent)?,
        _ => top.clone(),
    };
    Ok((folder, name))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::steps::testing::{site, site_context};
    use crate::testing::Scratch;

    #[tokio::test]
    async fn undo_is_right_when_it_never_ran_ran_by_half_and_ran_whole() {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let step = MakeSiteFolders(site(&cx));
        let record = Step::inspect(&step, &cx).await.expect("free");
        MakeSiteFolders::undo(&cx, &record)
            .await
            .expect("never ran");

        let sites = layout::sites(&cx.spoke.config).expect("there");
        let host = step.0.host.as_str();
        sites
            .make_owned_dir(host, 0o700, &cx.run.to_string())
            .expect("by half");
        MakeSiteFolders::undo(&cx, &record)
            .await
            .expect("ran by half");
        assert!(sites.names().expect("read").is_empty());

        Step::apply(&step, &cx, &record).await.expect("whole");
        let docroot = step.0.folder.join("docroot");
        let mode = std::fs::metadata(&docroot)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o750);
        std::fs::write(docroot.join("later.txt"), "x").expect("somebody's file");
        MakeSiteFolders::undo(&cx, &record)
            .await
            .expect("ran whole");
        MakeSiteFolders::undo(&cx, &record).await.expect("twice");
        assert!(sites.names().expect("read").is_empty());
    }

    #[tokio::test]
    async fn a_strangers_folder_is_refused_and_survives_an_undo() {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let step = MakeSiteFolders(site(&cx));
        let record = Step::inspect(&step, &cx).await.expect("free");
        std::fs::create_dir(&step.0.folder).expect("planted");
        assert!(Step::inspect(&step, &cx).await.is_err());
        assert!(Step::apply(&step, &cx, &record).await.is_err());
        MakeSiteFolders::undo(&cx, &record)
            .await
            .expect("nothing of ours");
        assert!(step.0.folder.exists());
    }
}
