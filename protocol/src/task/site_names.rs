//! `site.names`: change the names of a site that is there: those that serve it, those that lead to it, and the one
//! that visitors are sent to.

use serde::{Deserialize, Serialize};

use super::Task;
use crate::names::{HostName, SiteAlias};
use crate::naming::Names;
use crate::object::{Claim, Lane, Object};

/// Which site, and what is to be otherwise. Names that are not named here stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Its name.
    pub site: HostName,
    /// Names that are to serve it, new ones and ones that have only led to it.
    #[serde(default)]
    pub serve: Vec<SiteAlias>,
    /// Names that are to lead to the main name, new ones and ones that have served it.
    #[serde(default)]
    pub redirect: Vec<SiteAlias>,
    /// Names that it is to have no more.
    #[serde(default)]
    pub remove: Vec<SiteAlias>,
    /// What visitors are to be sent to from now on; the main name before it leads there.
    #[serde(default)]
    pub main: Option<HostName>,
}

/// What its names are now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Where it answers.
    pub url: String,
    /// All names but its own.
    pub names: Names,
    /// Whether they were others before.
    pub changed: bool,
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
