//! `site.delete`: take a site off the web, then off the disk and out of the database server.

use serde::{Deserialize, Serialize};

use super::Task;
use crate::names::HostName;
use crate::object::{Claim, Lane, Object};

/// Which site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Its name.
    pub site: HostName,
}

/// What is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The folder that was removed.
    pub path: String,
    /// The database that was dropped, with the user of the same name.
    pub database: Option<String>,
}

impl Task for Params {
    const VERSION: u16 = 1;
    const LANE: Lane = Lane::Heavy;
    const REPEATABLE: bool = true;
    const GROWS: bool = false;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        vec![Claim::exclusive(Object::Site(self.site.clone()))]
    }
}
