//! `site.receive`: a site that another server has held and backed up is made here of that backup, with a database and a
//! password of its own, and answers before it counts. Without a backup it is only looked whether it could be: whether there
//! is everything that the site needs, and room, and nothing in the way.

use serde::{Deserialize, Serialize};

use super::Task;
use super::site_hold::Offer;
use crate::names::{BackupName, DatabaseName, HostName, PlatformName, ServerName};
use crate::naming::{Https, Names};
use crate::object::{Claim, Lane, Object};
use crate::seal::{SealKey, Sealed};

/// Which site, and of what it is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Its name.
    pub site: HostName,
    /// The server that has backed it up.
    pub from: ServerName,
    /// What it is there.
    pub offer: Box<Offer>,
    /// Whose code it is to use here.
    #[serde(default)]
    pub platform: Option<PlatformName>,
    /// The backup, by its whole name. Without one it is only looked whether it could be made.
    #[serde(default)]
    pub backup: Option<BackupName>,
    /// Its secrets, sealed to this server's key; without them it gets new ones.
    #[serde(default)]
    pub sealed: Option<Sealed>,
}

/// What was made, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Where the site answers.
    pub url: String,
    /// Its folder.
    pub path: String,
    /// Whose code it uses.
    pub platform: Option<PlatformName>,
    /// The version of that code.
    pub version: Option<String>,
    /// Its database.
    pub database: Option<DatabaseName>,
    /// Its other names.
    pub names: Names,
    /// How it answers over HTTPS.
    pub https: Https,
    /// Whether visitors get the site itself.
    pub enabled: bool,
    /// Files that came back; none when it was only looked.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// The key to which the site's secrets are to be sealed, where it has some and was only looked at.
    pub seal: Option<SealKey>,
    /// The file on the spoke, readable by the worker alone, that holds its passwords; print it there with
    /// `kolga-worker secret show SITE`.
    pub secret_file: Option<String>,
    /// What it took.
    pub milliseconds: u64,
}

impl Task for Params {
    const VERSION: u16 = 1;
    const LANE: Lane = Lane::Heavy;
    const REPEATABLE: bool = true;
    const GROWS: bool = true;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        let platform = self.platform.iter();
        let platform = platform.map(|name| Claim::shared(Object::Platform(name.clone())));
        [Claim::exclusive(Object::Site(self.site.clone()))]
            .into_iter()
            .chain(platform)
            .collect()
    }

    /// Once there is a backup the site is behind its maintenance page. The look, which comes before, waits for room as any
    /// heavy task does.
    fn lane(&self) -> Lane {
        match self.backup.is_some() {
            true => Lane::Urgent,
            false => Self::LANE,
        }
    }

    /// A look takes up nothing, and says itself where there is too little room.
    fn grows(&self) -> bool {
        self.backup.is_some()
    }
}
