//! `site.release`: a site that is held ([`super::site_hold`]) comes back to its visitors as it was; or, when another server
//! has it by now, goes to the trash.

use serde::{Deserialize, Serialize};

use super::Task;
use crate::names::{DatabaseName, HostName, ServerName};
use crate::object::{Claim, Lane, Object};

/// Which site, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Its name.
    pub site: HostName,
    /// The server that has it by now, so that it goes here; without one it comes back.
    #[serde(default)]
    pub to: Option<ServerName>,
    /// Whether it goes although it is not held: one that came to a server that had been given up.
    #[serde(default)]
    pub unheld: bool,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Where it answers again; nothing when it went.
    pub url: Option<String>,
    /// Its folder.
    pub path: String,
    /// Its database.
    pub database: Option<DatabaseName>,
    /// Whether there was anything to do: one that is not held, or not there, stays so.
    pub changed: bool,
}

impl Task for Params {
    const VERSION: u16 = 1;
    // Somebody waits for the site behind its maintenance page.
    const LANE: Lane = Lane::Light;
    const REPEATABLE: bool = true;
    const GROWS: bool = false;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        vec![Claim::exclusive(Object::Site(self.site.clone()))]
    }
}
