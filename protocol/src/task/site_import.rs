//! `site.import`: take over a site that its server holds and the hub does not know. What Kolga itself has made there,
//! for a hub that is gone or another one, is looked at and noted; nothing of it is changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Task;
use crate::names::{
    DatabaseName, HostName, OptionName, OptionValue, PlatformName, PlatformSource, ProfileName,
};
use crate::naming::{Https, Names};
use crate::object::{Claim, Lane, Object};

/// Which site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Its name.
    pub site: HostName,
    /// Only say what would come of it.
    #[serde(default)]
    pub check: bool,
}

/// What it is, by its server's book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Where it answers.
    pub url: String,
    /// Its folder.
    pub path: String,
    /// Its kind.
    pub profile: ProfileName,
    /// Whose code it uses.
    pub platform: Option<Platform>,
    /// Its database, and the database user of the same name.
    pub database: Option<DatabaseName>,
    /// Its other names.
    pub names: Names,
    /// The operator's choices.
    pub options: BTreeMap<OptionName, OptionValue>,
    /// How it answers over HTTPS.
    pub https: Https,
    /// Whether visitors get it.
    pub enabled: bool,
    /// Whether it was only looked at.
    pub checked: bool,
    /// What is not as it should be, and kept nobody from taking it over.
    pub problems: Vec<String>,
}

/// A platform, by its server's book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// Its name.
    pub name: PlatformName,
    /// For what kind of sites.
    pub profile: ProfileName,
    /// Where its code came from.
    pub source: Option<PlatformSource>,
    /// The application's version.
    pub version: Option<String>,
    /// Its folder.
    pub path: String,
}

impl Task for Params {
    const VERSION: u16 = 1;
    const LANE: Lane = Lane::Light;
    const REPEATABLE: bool = true;
    const GROWS: bool = false;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        vec![Claim::exclusive(Object::Site(self.site.clone()))]
    }
}
