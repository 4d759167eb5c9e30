//! `site.clone`: a second site made of one that is there, on the same server, with a name, a database and secrets of its
//! own. The one that is there stays as it is and answers all the while.

use serde::{Deserialize, Serialize};

use super::Task;
use crate::names::{DatabaseName, HostName, PlatformName};
use crate::object::{Claim, Lane, Object};

/// Which site, and what its copy is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The name of the site that is there.
    pub site: HostName,
    /// The name of the copy.
    pub to: HostName,
    /// Whose code the copy is to use; the same as the site's when nothing is said.
    #[serde(default)]
    pub platform: Option<PlatformName>,
}

/// What was made. No secret is in it: passwords stay on the spoke.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Where the copy answers.
    pub url: String,
    /// Its folder.
    pub path: String,
    /// Whose code it uses.
    pub platform: Option<PlatformName>,
    /// The version of that code.
    pub version: Option<String>,
    /// How many files and links were copied.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Its database.
    pub database: Option<DatabaseName>,
    /// How long the dump was from which that was made.
    pub database_bytes: Option<u64>,
    /// The account that may administer it, where the profile knows of one.
    pub admin_user: Option<String>,
    /// The file on the spoke, readable by the worker alone, that holds its passwords; print it there with
    /// `kolga-worker secret show SITE`.
    pub secret_file: Option<String>,
    /// How long all of it took.
    pub milliseconds: u64,
}

impl Task for Params {
    const VERSION: u16 = 1;
    const LANE: Lane = Lane::Heavy;
    const REPEATABLE: bool = true;
    const GROWS: bool = true;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        let mut claims = vec![Claim::exclusive(Object::Site(self.to.clone()))];
        if self.site != self.to {
            // It is only read, and nobody may change it meanwhile.
            claims.push(Claim::shared(Object::Site(self.site.clone())));
        }
        let platform = self.platform.iter();
        claims.extend(platform.map(|name| Claim::shared(Object::Platform(name.clone()))));
        claims
    }
}
