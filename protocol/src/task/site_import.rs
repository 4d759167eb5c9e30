//! `site.import`: take over a site that its server holds and the hub does not know. What Kolga itself has made there,
//! for a hub that is gone or another one, is looked at and noted; nothing of it is changed. Of what Kolga has not made a
//! site is made beside it by copy; nothing of that is changed either.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Task;
use crate::names::{
    DatabaseName, HostName, OptionName, OptionValue, PlatformName, PlatformSource, ProfileName,
    SpokePath,
};
use crate::naming::{Https, Names};
use crate::object::{Claim, Lane, Object};

/// Which site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Its name.
    pub site: HostName,
    /// The folder that it is to be made of; it is one that Kolga has made without.
    #[serde(default)]
    pub from: Option<SpokePath>,
    /// The kind of site; found out by the files in that folder without.
    #[serde(default)]
    pub profile: Option<ProfileName>,
    /// The code that it is to share with others, where its profile wants a platform.
    #[serde(default)]
    pub platform: Option<PlatformName>,
    /// What the profile lets an operator choose.
    #[serde(default)]
    pub options: BTreeMap<OptionName, OptionValue>,
    /// Leave it switched off, with no page of it on the web.
    #[serde(default)]
    pub disabled: bool,
    /// Only say what would come of it.
    #[serde(default)]
    pub check: bool,
}

/// What it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Where it answers.
    pub url: String,
    /// Its folder.
    pub path: String,
    /// Its kind.
    pub profile: ProfileName,
    /// Whose code it uses.
    pub platform: Option<Box<Platform>>,
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
    /// What it was made of, where Kolga had not made it.
    pub source: Option<Box<Source>>,
    /// What was done to make it of that, or would be.
    pub plan: Vec<String>,
}

/// What a site was made of. No secret is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The folder.
    pub path: SpokePath,
    /// The version of the application in it.
    pub version: Option<String>,
    /// Its database.
    pub database: Option<String>,
    /// Where it believed to be.
    pub url: Option<String>,
    /// Files and links that were copied.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// How long its database's dump was; how large the database is, where it was only looked at.
    pub database_bytes: Option<u64>,
    /// How long all of it took.
    pub milliseconds: u64,
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
    const LANE: Lane = Lane::Heavy;
    const REPEATABLE: bool = true;
    const GROWS: bool = true;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        let mut claims = vec![Claim::exclusive(Object::Site(self.site.clone()))];
        let platform = self.platform.iter();
        claims.extend(platform.map(|name| Claim::shared(Object::Platform(name.clone()))));
        claims
    }
}
