//! What this spoke holds: one small file a site and one a platform, written when it is complete.
//!
//! Steps write and remove entries; recipes look here for what a site is made of when it is to be deleted.
//! The hub has its own books; these are the spoke's, so that it never needs to be told what it has.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kolga_protocol::id::{Run, UnixMillis};
use kolga_protocol::names::{
    DATABASE_OPTION, DatabaseName, Engine, HostName, OptionName, OptionValue, PlatformName,
    PlatformSource, ProfileName, ServerName, SiteAlias,
};
use kolga_protocol::naming::{Https, Names};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::files::Dir;

const LONGEST: u64 = 256 * 1024;

/// A site that is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteEntry {
    /// Its identity.
    pub host: HostName,
    /// The run that installed it.
    pub owner: String,
    /// What kind it is.
    pub profile: ProfileName,
    /// Whose code it uses.
    #[serde(default)]
    pub platform: Option<PlatformName>,
    /// Its database, and the database user of the same name.
    #[serde(default)]
    pub database: Option<DatabaseName>,
    /// In which server that is; entries of before there was a choice mean MariaDB.
    #[serde(default)]
    pub engine: Engine,
    /// Its other names that serve it.
    #[serde(default)]
    pub aliases: Vec<SiteAlias>,
    /// What visitors are sent to, where that is not its identity.
    #[serde(default)]
    pub main: Option<HostName>,
    /// Names that lead to the main one.
    #[serde(default)]
    pub redirects: Vec<SiteAlias>,
    /// How it answers over HTTPS.
    #[serde(default)]
    pub https: Https,
    /// The operator's choices. What an entry of an older release lacks is as the profile has it.
    #[serde(default)]
    pub options: BTreeMap<OptionName, OptionValue>,
    /// Whether visitors get the site itself, or the page that says that it is disabled.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Whether it was made of what Kolga had not made: its pages are its own and none of its profile's.
    #[serde(default)]
    pub imported: bool,
    /// The pool that is its alone, by its user.
    #[serde(default)]
    pub pool: Option<String>,
    /// Set while it is kept from everybody, until it has moved or comes back.
    #[serde(default)]
    pub held: Option<Held>,
    /// Its folder.
    pub path: PathBuf,
    /// When it was complete.
    pub installed_at: UnixMillis,
}

/// By whom a site is held, and what for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The run that has done it.
    pub run: Run,
    /// The server that is to take it.
    #[serde(default)]
    pub to: Option<ServerName>,
}

impl SiteEntry {
    /// Its names besides its identity.
    #[must_use]
    pub fn names(&self) -> Names {
        Names {
            main: self.main.clone(),
            aliases: self.aliases.clone(),
            redirects: self.redirects.clone(),
        }
    }

    /// Its options as they would have to be asked for: with the choice of its database's server, where that is not the one
    /// that a site gets anyway.
    #[must_use]
    pub fn asked_options(&self) -> BTreeMap<OptionName, OptionValue> {
        let mut options = self.options.clone();
        let choice = (
            DATABASE_OPTION.parse::<OptionName>(),
            self.engine.as_str().parse::<OptionValue>(),
        );
        if let (true, (Ok(name), Ok(value))) = (self.engine != Engine::default(), choice) {
            options.insert(name, value);
        }
        options
    }

    /// Gives it other names.
    pub fn set_names(&mut self, names: Names) {
        self.main = names.main;
        self.aliases = names.aliases;
        self.redirects = names.redirects;
    }
}

fn yes() -> bool {
    true
}

/// A platform that is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformEntry {
    /// Its identity.
    pub name: PlatformName,
    /// The run that built it.
    pub owner: String,
    /// For what kind of sites.
    pub profile: ProfileName,
    /// Its folder.
    pub path: PathBuf,
    /// Where its code came from; entries of older releases do not tell.
    #[serde(default)]
    pub source: Option<PlatformSource>,
    /// The application's version, where the profile can tell.
    #[serde(default)]
    pub version: Option<String>,
    /// When it was complete.
    pub built_at: UnixMillis,
}

/// What has an entry: a name that is a file's name, and an owner.
pub trait Entry: Serialize + DeserializeOwned {
    /// The type of its name.
    type Name: std::fmt::Display + std::str::FromStr;
    /// Its name.
    fn name(&self) -> &Self::Name;
    /// The run that made it.
    fn owner(&self) -> &str;
}

impl Entry for SiteEntry {
    type Name = HostName;
    fn name(&self) -> &HostName {
        &self.host
    }
    fn owner(&self) -> &str {
        &self.owner
    }
}

impl Entry for PlatformEntry {
    type Name = PlatformName;
    fn name(&self) -> &PlatformName {
        &self.name
    }
    fn owner(&self) -> &str {
        &self.owner
    }
}

/// All that the spoke holds.
#[derive(Clone, Debug)]
pub struct Registry {
    /// Its sites.
    pub sites: Shelf<SiteEntry>,
    /// Its platforms.
    pub platforms: Shelf<PlatformEntry>,
}

impl Registry {
    /// That below the worker's own folder.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self {
            sites: Shelf::new(state_dir.join("sites")),
            platforms: Shelf::new(state_dir.join("platforms")),
        }
    }
}

/// The entries of one sort.
#[derive(Clone, Debug)]
pub struct Shelf<E> {
    folder: PathBuf,
    sort: PhantomData<fn() -> E>,
}

impl<E: Entry> Shelf<E> {
    fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            sort: PhantomData,
        }
    }

    /// Notes what is complete. Never in place of another.
    ///
    /// # Errors
    /// When there is an entry of this name, or it cannot be written.
    pub fn save(&self, entry: &E) -> anyhow::Result<()> {
        let bytes = serde_json::to_vec_pretty(entry)?;
        self.dir()?
            .write_new(file_name(entry.name()), &bytes, 0o600)
    }

    /// Notes that what is there has changed, in place of the entry of the same name.
    ///
    /// # Errors
    /// When it cannot be written; the old one is there then.
    pub fn replace(&self, entry: &E) -> anyhow::Result<()> {
        let bytes = serde_json::to_vec_pretty(entry)?;
        self.dir()?
            .write_atomically(file_name(entry.name()), &bytes, 0o600)
    }

    /// The entry of this name; `None` when the spoke holds nothing of that name.
    ///
    /// # Errors
    /// When the file cannot be read or is not what it should be.
    pub fn load(&self, name: &E::Name) -> anyhow::Result<Option<E>> {
        let file = file_name(name);
        let Some(bytes) = self.dir()?.read(&file, LONGEST)? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .with_context(|| format!("{} is damaged", self.folder.join(file).display()))
    }

    /// Every entry, in the order of their names.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn list(&self) -> anyhow::Result<Vec<E>> {
        let mut entries = Vec::new();
        for file in self.dir()?.names()? {
            let name = file.to_str().and_then(|file| file.strip_suffix(".json"));
            if let Some(name) = name.and_then(|name| name.parse::<E::Name>().ok()) {
                entries.extend(self.load(&name)?);
            }
        }
        Ok(entries)
    }

    /// When an entry came, went or was changed last; `None` when that cannot be told.
    #[must_use]
    pub fn changed(&self) -> Option<std::time::SystemTime> {
        std::fs::metadata(&self.folder).ok()?.modified().ok()
    }

    /// Forgets it; there need not be one.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn remove(&self, name: &E::Name) -> anyhow::Result<()> {
        self.dir()?.remove_file(file_name(name))
    }

    /// Forgets it when `owner` made it, and what a crash left of writing it.
    ///
    /// # Errors
    /// When the file cannot be read or removed.
    pub fn remove_of(&self, name: &E::Name, owner: &str) -> anyhow::Result<()> {
        match self.load(name)? {
            Some(entry) if entry.owner() == owner => self.remove(name),
            _ => self.remove_half_written(name),
        }
    }

    /// Removes what a crash left of writing an entry of this name.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove_half_written(&self, name: &E::Name) -> anyhow::Result<()> {
        self.dir()?.remove_half_written(file_name(name))
    }

    fn dir(&self) -> anyhow::Result<Dir> {
        Dir::open_or_make(&self.folder, 0o700).context("cannot get at the spoke's registry")
    }
}

fn file_name(name: &impl std::fmt::Display) -> String {
    format!("{name}.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    fn platform(owner: &str) -> PlatformEntry {
        PlatformEntry {
            name: "wordpress-6".parse().expect("a name"),
            owner: owner.to_owned(),
            profile: "wordpress".parse().expect("a name"),
            path: PathBuf::from("/var/kolga/platforms/wordpress-6"),
            source: None,
            version: Some("6.1".to_owned()),
            built_at: UnixMillis(1),
        }
    }

    #[test]
    fn what_was_noted_is_listed_until_its_owner_removes_it() {
        let scratch = Scratch::new();
        let registry = Registry::new(scratch.path());
        let shelf = &registry.platforms;
        let entry = platform("mine");
        shelf.save(&entry).expect("saved");
        assert!(shelf.save(&entry).is_err(), "never in place of another");
        assert_eq!(shelf.list().expect("listed"), std::slice::from_ref(&entry));
        shelf.remove_of(&entry.name, "another").expect("left alone");
        assert_eq!(
            shelf.load(&entry.name).expect("loaded"),
            Some(entry.clone())
        );
        shelf.remove_of(&entry.name, "mine").expect("removed");
        assert_eq!(shelf.load(&entry.name).expect("looked"), None);
        assert!(registry.sites.list().expect("listed").is_empty());
    }
}
