//! `site.verify`: make a site what it should be, say what had to be changed, and what the spoke's own book
//! says of it.

use serde::{Deserialize, Serialize};

use super::Task;
use crate::names::{DatabaseName, HostName, PlatformName, ProfileName};
use crate::naming::{Https, Names};
use crate::object::{Claim, Lane, Object};

/// Which site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Its name.
    pub site: HostName,
}

/// What was found, and what was done about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Its address.
    pub url: String,
    /// What was not as it should be and is now. Empty when all was well.
    pub changes: Vec<Change>,
    /// What is not as it should be and is left to a person.
    pub problems: Vec<String>,
    /// What the spoke's book says of the site.
    pub entry: Entry,
}

/// One thing that was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What, such as `folder docroot` or `settings private/settings.php`.
    pub what: String,
    /// How it was; nothing where it was missing.
    pub from: Option<String>,
    /// How it is now; nothing where it had to go.
    pub to: Option<String>,
}

/// A site as its spoke knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What kind it is.
    pub profile: ProfileName,
    /// Whose code it uses.
    pub platform: Option<PlatformName>,
    /// Its database.
    pub database: Option<DatabaseName>,
    /// Its other names.
    pub names: Names,
    /// How it answers over HTTPS.
    pub https: Https,
    /// Whether visitors get the site itself.
    pub enabled: bool,
}

impl Task for Params {
    const VERSION: u16 = 2;
    const LANE: Lane = Lane::Light;
    const REPEATABLE: bool = true;
    const GROWS: bool = false;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        vec![Claim::exclusive(Object::Site(self.site.clone()))]
    }
}
