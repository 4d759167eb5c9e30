//! What of a site's folders, links and files is not as its profile wants it: what step `mend_site` is to do,
//! and what is left to a person. It only looks, by descriptor, and into the folders that the profile names and
//! no deeper: what the application and its visitors put there is theirs.
//!
//! Called by [`crate::tasks`] when a task is planned; the site is the task's alone by then.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::files::{Dir, Kind, Rights};
use crate::profile::manifest::{Directory, Link};
use crate::profile::template;
use crate::profile::{Place, WebAccess};
use crate::site::Site;
use crate::steps::make_site_folders::split;
use crate::web::Web;

/// The site's folder itself, as a path below it.
pub const TOP: &str = ".";

/// One thing to do, with all that undoing it needs. Paths are below the site's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mend", rename_all = "snake_case")]
pub enum Mend {
    /// A folder is missing.
    MakeFolder {
        /// Where.
        path: String,
        /// What it gets.
        rights: Rights,
    },
    /// Somebody may do too much or too little in a folder.
    SetRights {
        /// Which.
        path: String,
        /// As it is.
        from: Rights,
        /// As it is to be.
        to: Rights,
    },
    /// A link to the platform leads nowhere.
    DropLink {
        /// Which.
        path: String,
        /// To where it leads.
        target: PathBuf,
    },
    /// A link to the platform is missing.
    MakeLink {
        /// Where.
        path: String,
        /// To where it is to lead.
        target: PathBuf,
    },
    /// A file that the profile gives every site is missing.
    MakeFile {
        /// Where.
        path: String,
        /// What it is to say; it holds no secret.
        text: String,
        /// Its mode.
        mode: u32,
    },
}

/// What was found.
#[derive(Debug, Default)]
pub struct Survey {
    /// What is to be done, in this order.
    pub mends: Vec<Mend>,
    /// What somebody has to look at.
    pub problems: Vec<String>,
}

/// The rights that a folder of a site is to have.
fn wanted(directory: &Directory, web: Web, own: u32) -> Rights {
    let mode = directory.mode.0;
    match directory.web {
        WebAccess::None => Rights::new(mode, &[], false),
        WebAccess::Read => Rights::new(mode, &web.read(), true),
        WebAccess::Write => Rights::new(mode, &web.write(own), true),
    }
}

/// Looks at a site. `web` says who gets at its files, `platforms` is the folder of all platforms.
///
/// # Errors
/// When something cannot be looked at.
pub fn survey(site: &Site, top: &Dir, web: Web, platforms: &Path) -> anyhow::Result<Survey> {
    let own = rustix::process::geteuid().as_raw();
    let mut look = Look {
        site,
        top,
        platforms,
        missing: BTreeSet::new(),
        found: Survey::default(),
    };
    // The mode that the list for those users gives a folder of mode 0700.
    look.rights(TOP, top, Rights::new(0o710, &web.pass(), false))?;
    for directory in &site.profile.manifest.directories {
        look.folder(directory, wanted(directory, web, own))?;
    }
    if let Some(code) = site.code() {
        for link in &site.profile.manifest.links {
            look.link(code, link)?;
        }
    }
    look.files()?;
    Ok(look.found)
}

struct Look<'a> {
    site: &'a Site,
    top: &'a Dir,
    platforms: &'a Path,
    /// Folders that will be made.
    missing: BTreeSet<PathBuf>,
    found: Survey,
}

impl Look<'_> {
    fn problem(&mut self, text: String) {
        self.found.problems.push(text);
    }

    fn rights(&mut self, path: &str, folder: &Dir, to: Rights) -> anyhow::Result<()> {
        let from = folder.rights()?;
        if from != to {
            let path = path.to_owned();
            self.found.mends.push(Mend::SetRights { path, from, to });
        }
        Ok(())
    }

    /// The folder in which something lies; `None` when it is to be made.
    fn parent(&self, path: &Path) -> anyhow::Result<Option<(Dir, OsString)>> {
        if path
            .parent()
            .is_some_and(|parent| self.missing.contains(parent))
        {
            return Ok(None);
        }
        split(self.top, path).map(Some)
    }

    fn folder(&mut self, directory: &Directory, rights: Rights) -> anyhow::Result<()> {
        let path = &directory.path;
        let looks = match self.parent(path.as_ref())? {
            Some((parent, name)) => parent.looks(&name)?,
            None => None,
        };
        let own = rustix::process::geteuid().as_raw();
        match looks {
            None => {
                self.missing.insert(path.as_str().into());
                let path = path.as_str().to_owned();
                self.found.mends.push(Mend::MakeFolder { path, rights });
            }
            Some(looks) if looks.kind != Kind::Dir => {
                self.problem(format!(
                    "{path} is no folder: move it away, then verify again"
                ));
            }
            Some(looks) if looks.owner != own => {
                self.problem(format!(
                    "the folder {path} belongs to the user with the number {}: give it to the worker's",
                    looks.owner
                ));
            }
            Some(_) => self.rights(path.as_str(), &self.top.dir(path)?, rights)?,
        }
        Ok(())
    }

    fn link(&mut self, code: &Path, link: &Link) -> anyhow::Result<()> {
        let target = code.join(&link.to);
        if !target.exists() {
            if !link.optional {
                self.problem(format!("the platform has no {}", link.to));
            }
            if !link.each {
                // One that led to what the platform once had leads nowhere now.
                if let Some((folder, name)) = self.parent(link.path.as_ref())? {
                    self.dangling(&folder, &name, link.path.as_str())?;
                }
            }
            return Ok(());
        }
        if !link.each {
            let place = self.parent(link.path.as_ref())?;
            let path = link.path.as_str().to_owned();
            return self.one_link(place, path, target);
        }
        let folder = match self.missing.contains(Path::new(link.path.as_str())) {
            true => None,
            false => Some(self.top.dir(&link.path)?),
        };
        let names = Dir::open(&target)?.names()?;
        for name in &names {
            let place = folder.clone().map(|folder| (folder, name.clone()));
            self.one_link(place, below(&link.path, name)?, target.join(name))?;
        }
        for name in folder
            .iter()
            .map(Dir::names)
            .collect::<Result<Vec<_>, _>>()?
            .concat()
        {
            if !names.contains(&name)
                && let Some(folder) = &folder
            {
                self.dangling(folder, &name, &below(&link.path, &name)?)?;
            }
        }
        Ok(())
    }

    fn one_link(
        &mut self,
        place: Option<(Dir, OsString)>,
        path: String,
        target: PathBuf,
    ) -> anyhow::Result<()> {
        let free = match &place {
            None => true,
            Some((folder, name)) => {
                folder.kind(name)?.is_none() || self.dangling(folder, name, &path)?
            }
        };
        if free {
            self.found.mends.push(Mend::MakeLink { path, target });
        }
        // What else stands there is the site's own in place of the platform's.
        Ok(())
    }

    /// Notes a link of ours that leads nowhere; whether it is one.
    fn dangling(&mut self, folder: &Dir, name: &OsStr, path: &str) -> anyhow::Result<bool> {
        let Some(target) = folder.link_target(name)? else {
            return Ok(false);
        };
        let ours = target.starts_with(self.platforms);
        if !ours || target.try_exists().unwrap_or(true) {
            return Ok(false);
        }
        let path = path.to_owned();
        self.found.mends.push(Mend::DropLink { path, target });
        Ok(true)
    }

    fn files(&mut self) -> anyhow::Result<()> {
        // Its first page is one that it brought along.
        if self.site.imported {
            return Ok(());
        }
        let values = self.site.public_values()?;
        for file in &self.site.profile.manifest.files {
            let there = match self.parent(file.path.as_ref())? {
                Some((folder, name)) => folder.kind(&name)?.is_some(),
                None => false,
            };
            if !there {
                let source = self.site.profile.text(&file.template)?;
                self.found.mends.push(Mend::MakeFile {
                    path: file.path.as_str().to_owned(),
                    text: template::public_file(file.template.as_str(), source, &values)?,
                    mode: file.mode.0,
                });
            }
        }
        Ok(())
    }
}

fn below(place: &Place, name: &OsStr) -> anyhow::Result<String> {
    let name = name
        .to_str()
        .context("the name of a part of the platform is not text")?;
    Ok(format!("{place}/{name}"))
}
