//! Step `mend_site`: folders, rights, links and files of a site become what [`crate::survey`] has found that
//! they are to be.
//!
//! Undo needs the host, the run and that very list: each entry says how it was before. A link that goes is kept aside until
//! the task has succeeded, so that undo needs no room. What somebody else has put at a place meanwhile stays.

use std::path::Path;

use anyhow::Context as _;
use kolga_protocol::fault;
use kolga_protocol::id::Run;
use kolga_protocol::names::HostName;
use rustix::fs::AtFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::make_site_folders::{make_link, split};
use crate::aside::{self, Aside};
use crate::cx::{Cx, Stop};
use crate::files::{Dir, Kind, blocking};
use crate::layout;
use crate::step::{Step, UndoError};
use crate::survey::{Mend, TOP};

/// Mends a site.
pub struct MendSite {
    /// Which.
    pub host: HostName,
    /// What there is to do.
    pub mends: Vec<Mend>,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    host: HostName,
    mends: Vec<Mend>,
    /// Whose name links are kept under; none in a record of a release that kept none.
    #[serde(default)]
    run: Option<Run>,
}

impl Step for MendSite {
    const NAME: &'static str = "mend_site";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        Ok(Record {
            host: self.host.clone(),
            mends: self.mends.clone(),
            run: Some(cx.run),
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let top = layout::sites(&cx.spoke.config)?.dir(record.host.as_str())?;
        let (mends, stop, run) = (record.mends.clone(), cx.stop.clone(), record.run);
        blocking(move || {
            mends
                .iter()
                .try_for_each(|mend| mend_one(&top, mend, run, &stop))?;
            top.sync_file_system()
        })
        .await
    }

    fn aside(&self) -> Vec<Aside> {
        let links = self.mends.iter().filter_map(|mend| match mend {
            Mend::DropLink { path, .. } => Some(Aside::Link {
                host: self.host.clone(),
                path: path.clone(),
            }),
            _ => None,
        });
        links.collect()
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        let (mends, run) = (record.mends.clone(), record.run);
        let undone = async {
            let sites = layout::sites(&cx.spoke.config)?;
            if sites.kind(record.host.as_str())?.is_none() {
                return Ok(());
            }
            let top = sites.dir(record.host.as_str())?;
            blocking(move || {
                mends
                    .iter()
                    .rev()
                    .try_for_each(|mend| undo_one(&top, mend, run))
            })
            .await
        };
        undone.await.map_err(|error| {
            let left = layout::site(&cx.spoke.config, &record.host);
            UndoError::leaves(format!("changes of {}", left.display()), error)
        })
    }
}

/// Does one thing. A link that goes is kept aside under this run's name; without one it is gone.
pub(super) fn mend_one(
    top: &Dir,
    mend: &Mend,
    run: Option<Run>,
    stop: &Stop,
) -> anyhow::Result<()> {
    stop.check()?;
    match mend {
        Mend::MakeFolder { path, rights } => {
            let (parent, name) = split(top, path.as_ref())?;
            let folder = parent.make_dir(&name, 0o700)?;
            fault::point("mend_site:folder");
            folder.set_rights(rights)
        }
        Mend::SetRights { path, to, .. } => folder(top, path)?.set_rights(to),
        Mend::MakeLink { path, target } => {
            let (folder, name) = split(top, path.as_ref())?;
            make_link(&folder, &name, target)?;
            fault::point("mend_site:link");
            Ok(())
        }
        Mend::DropLink { path, target } => match run {
            Some(run) => put_aside(top, path, target, run),
            None => drop_link(top, path, target),
        },
        Mend::MakeFile { path, text, mode } => {
            let (folder, name) = split(top, path.as_ref())?;
            folder.write_new(&name, text.as_bytes(), *mode)
        }
    }
}

fn undo_one(top: &Dir, mend: &Mend, run: Option<Run>) -> anyhow::Result<()> {
    match mend {
        Mend::MakeFolder { path, .. } => remove_folder(top, path),
        Mend::SetRights { path, from, .. } => {
            let folder = folder(top, path)?;
            if folder.rights()? == *from {
                return Ok(());
            }
            folder.set_rights(from)
        }
        Mend::MakeLink { path, target } => match parent_if_there(top, path)? {
            Some(_) => drop_link(top, path, target),
            None => Ok(()),
        },
        Mend::DropLink { path, target } => {
            let (folder, name) = split(top, path.as_ref())?;
            if let Some(run) = run
                && aside::put_back(&folder, &name, run)?
            {
                return Ok(());
            }
            match folder.kind(&name)? {
                None => make_link(&folder, &name, target),
                Some(_) => Ok(()),
            }
        }
        Mend::MakeFile { path, text, .. } => {
            let Some(folder) = parent_if_there(top, path)? else {
                return Ok(());
            };
            let name = Path::new(path).file_name().context("a file has a name")?;
            match folder.kind(name)? {
                Some(Kind::File)
                    if folder.read(name, 1024 * 1024)?.as_deref() == Some(text.as_bytes()) =>
                {
                    folder.remove_file(name)
                }
                _ => folder.remove_half_written(name),
            }
        }
    }
}

fn folder(top: &Dir, path: &str) -> anyhow::Result<Dir> {
    if path == TOP {
        return Ok(top.clone());
    }
    top.dir(path)
}

/// The folder in which something was to be made: where the task came to no more, there is none.
pub(crate) fn parent_if_there(top: &Dir, path: &str) -> anyhow::Result<Option<Dir>> {
    let mut at = top.clone();
    for part in Path::new(path).parent().into_iter().flatten() {
        if at.kind(part)? != Some(Kind::Dir) {
            return Ok(None);
        }
        at = at.dir(part)?;
    }
    Ok(Some(at))
}

/// Removes a link when it leads there.
fn drop_link(top: &Dir, path: &str, target: &Path) -> anyhow::Result<()> {
    let (folder, name) = split(top, path.as_ref())?;
    if folder.link_target(&name)?.as_deref() == Some(target) {
        folder.remove_file(&name)?;
    }
    Ok(())
}

/// Gives a link another name when it leads there.
fn put_aside(top: &Dir, path: &str, target: &Path, run: Run) -> anyhow::Result<()> {
    let (folder, name) = split(top, path.as_ref())?;
    if folder.link_target(&name)?.as_deref() != Some(target) {
        return Ok(());
    }
    match aside::beside(&name, run) {
        Some(aside) => folder.move_to(&name, &folder, aside),
        None => folder.remove_file(&name),
    }
}

/// Removes a folder that was made, unless somebody has put something into it since: then it is his.
fn remove_folder(top: &Dir, path: &str) -> anyhow::Result<()> {
    let Some(parent) = parent_if_there(top, path)? else {
        return Ok(());
    };
    let name = Path::new(path).file_name().context("a folder has a name")?;
    let own = rustix::process::geteuid().as_raw();
    let ours = parent
        .looks(name)?
        .is_some_and(|looks| looks.kind == Kind::Dir && looks.owner == own);
    if !ours {
        return Ok(());
    }
    match rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR) {
        Ok(()) => parent.sync(),
        Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot remove the folder {path}")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::*;
    use crate::site::Site;
    use crate::steps::make_site_folders::MakeSiteFolders;
    use crate::steps::testing::{site, site_context};
    use crate::steps::write_site_files::WriteSiteFiles;
    use crate::survey::{Survey, survey};
    use crate::testing::Scratch;

    /// A static site as it is installed.
    async fn scene(scratch: &Scratch) -> (Cx, Arc<Site>) {
        let cx = site_context(scratch);
        let site = site(&cx);
        let make = MakeSiteFolders(Arc::clone(&site));
        let record = Step::inspect(&make, &cx).await.expect("free");
        Step::apply(&make, &cx, &record).await.expect("made");
        let write = WriteSiteFiles(Arc::clone(&site));
        Step::apply(&write, &cx, &()).await.expect("written");
        (cx, site)
    }

    fn look(cx: &Cx, site: &Site) -> Survey {
        let config = &cx.spoke.config;
        let sites = layout::sites(config).expect("there");
        let top = sites.dir(site.host.as_str()).expect("a site");
        let web = site.web(&cx.spoke).expect("users");
        survey(site, &top, web, &config.sites.platforms).expect("looked")
    }

    async fn begun(cx: &Cx, site: &Site) -> (MendSite, Record) {
        let step = MendSite {
            host: site.host.clone(),
            mends: look(cx, site).mends,
        };
        let record = Step::inspect(&step, cx).await.expect("looked");
        (step, record)
    }

    #[tokio::test]
    async fn a_site_as_it_was_installed_has_nothing_to_mend() {
        let scratch = Scratch::new();
        let (cx, site) = scene(&scratch).await;
        let found = look(&cx, &site);
        assert_eq!(found.mends, []);
        assert!(found.problems.is_empty(), "{:?}", found.problems);
    }

    #[tokio::test]
    async fn what_is_missing_is_made_and_undo_takes_it_away_in_every_state() {
        let scratch = Scratch::new();
        let (cx, site) = scene(&scratch).await;
        let docroot = site.folder.join("docroot");
        std::fs::remove_dir_all(&docroot).expect("gone");
        let (step, record) = begun(&cx, &site).await;
        assert_eq!(record.mends.len(), 2, "{:?}", record.mends);
        MendSite::undo(&cx, &record).await.expect("never ran");
        std::fs::create_dir(&docroot).expect("by half");
        MendSite::undo(&cx, &record).await.expect("ran by half");
        assert!(!docroot.exists());
        Step::apply(&step, &cx, &record).await.expect("whole");
        assert_eq!(look(&cx, &site).mends, []);
        MendSite::undo(&cx, &record).await.expect("ran whole");
        MendSite::undo(&cx, &record).await.expect("twice");
        assert!(!docroot.exists());
        Step::apply(&step, &cx, &record).await.expect("again");
        std::fs::write(docroot.join("mine"), "x").expect("somebody's file");
        MendSite::undo(&cx, &record).await.expect("what it may");
        assert!(docroot.join("mine").exists(), "what is another's stays");
    }

    #[tokio::test]
    async fn rights_are_given_back_as_they_were() {
        let scratch = Scratch::new();
        let (cx, site) = scene(&scratch).await;
        let docroot = site.folder.join("docroot");
        let mode = |mode| std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&docroot, mode(0o705)).expect("changed");
        let there = Dir::open(&docroot).expect("there");
        let before = there.rights().expect("looked");
        let (step, record) = begun(&cx, &site).await;
        Step::apply(&step, &cx, &record).await.expect("whole");
        assert_eq!(there.rights().expect("looked").mode, 0o750);
        assert_eq!(look(&cx, &site).mends, []);
        MendSite::undo(&cx, &record).await.expect("ran whole");
        assert_eq!(there.rights().expect("looked"), before);
        std::fs::set_permissions(&docroot, mode(0o750)).expect("changed");
        there.set_access(&[], true).expect("another list");
        there.set_mode(0o750).expect("the same mode");
        assert_eq!(look(&cx, &site).mends.len(), 1, "the lists count too");
    }

    #[tokio::test]
    async fn a_link_in_place_of_a_folder_is_left_to_a_person() {
        let scratch = Scratch::new();
        let (cx, site) = scene(&scratch).await;
        let docroot = site.folder.join("docroot");
        std::fs::remove_dir_all(&docroot).expect("gone");
        std::os::unix::fs::symlink("/etc", &docroot).expect("planted");
        let found = look_at_link(&cx, &site);
        assert!(found.contains("docroot"), "{found}");
        assert_eq!(
            std::fs::read_link(&docroot).expect("there"),
            PathBuf::from("/etc")
        );
    }

    fn look_at_link(cx: &Cx, site: &Site) -> String {
        let config = &cx.spoke.config;
        let sites = layout::sites(config).expect("there");
        let top = sites.dir(site.host.as_str()).expect("a site");
        let web = site.web(&cx.spoke).expect("users");
        match survey(site, &top, web, &config.sites.platforms) {
            Ok(found) => format!("{:?}", found.problems),
            Err(error) => format!("{error:#}"),
        }
    }
}
