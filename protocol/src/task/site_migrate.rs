//! `site.migrate`: move a site on its server to another platform (an upgrade), to another name, or both at once. Its
//! files are not copied; its database is, so that the way back is sure until the site has answered.

use serde::{Deserialize, Serialize};

use super::Task;
use crate::names::{DatabaseName, HostName, PlatformName};
use crate::object::{Claim, Lane, Object};

/// Which site, and what it is to become. At least one of platform and host is another than before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Its name.
    pub site: HostName,
    /// Whose code it is to use from now on.
    #[serde(default)]
    pub platform: Option<PlatformName>,
    /// What it is to be called from now on.
    #[serde(default)]
    pub host: Option<HostName>,
    /// Whether the name that it had stays its own, beside the new one.
    #[serde(default)]
    pub keep_name: bool,
}

/// What it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Its address.
    pub url: String,
    /// Its folder.
    pub path: String,
    /// Whose code it uses.
    pub platform: Option<PlatformName>,
    /// The version of that code.
    pub version: Option<String>,
    /// Its database, which is another one than before.
    pub database: Option<DatabaseName>,
    /// How long the dump was from which that was made.
    pub database_bytes: Option<u64>,
    /// How long all of it took, the last removals apart.
    pub milliseconds: u64,
}

impl Params {
    /// What it is to be called.
    #[must_use]
    pub fn to(&self) -> &HostName {
        self.host.as_ref().unwrap_or(&self.site)
    }
}

impl Task for Params {
    const VERSION: u16 = 1;
    const LANE: Lane = Lane::Heavy;
    const REPEATABLE: bool = true;
    const GROWS: bool = true;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        let mut claims = vec![Claim::exclusive(Object::Site(self.site.clone()))];
        if *self.to() != self.site {
            claims.push(Claim::exclusive(Object::Site(self.to().clone())));
        }
        let platform = self.platform.iter();
        claims.extend(platform.map(|name| Claim::shared(Object::Platform(name.clone()))));
        claims
    }
}
