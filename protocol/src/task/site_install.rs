//! `site.install`: make a new site, from its directories to a page that answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Task;
use crate::names::{HostName, OptionName, OptionValue, PlatformName, ProfileName, SiteAlias};
use crate::object::{Claim, Lane, Object};

/// Which site, of which kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Its name in DNS, which is its identity.
    pub site: HostName,
    /// Other names that it answers to.
    #[serde(default)]
    pub aliases: Vec<SiteAlias>,
    /// The kind of site.
    pub profile: ProfileName,
    /// The code that it shares with others, where the profile wants a platform.
    #[serde(default)]
    pub platform: Option<PlatformName>,
    /// What the profile lets an operator choose, such as the title.
    #[serde(default)]
    pub options: BTreeMap<OptionName, OptionValue>,
}

/// What was made. No secret is in it: passwords stay on the spoke.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Where the site answers.
    pub url: String,
    /// Its folder on the spoke.
    pub path: String,
    /// Its database, and the database user of the same name, where it has one.
    pub database: Option<String>,
    /// The account that may administer the site, where the profile makes one.
    pub admin_user: Option<String>,
    /// The file on the spoke, readable by the worker alone, that holds the site's passwords; print it
    /// there with `kolga-worker secret show SITE`.
    pub secret_file: Option<String>,
}

impl Task for Params {
    const VERSION: u16 = 1;
    const LANE: Lane = Lane::Heavy;
    const REPEATABLE: bool = true;
    const GROWS: bool = true;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        let mut claims = vec![Claim::exclusive(Object::Site(self.site.clone()))];
        claims.extend(
            self.platform
                .iter()
                .map(|platform| Claim::shared(Object::Platform(platform.clone()))),
        );
        claims
    }
}
