//! `trash.restore`: bring a site back that lies in a spoke's trash.

use serde::{Deserialize, Serialize};

use super::{Task, site_install};
use crate::id::TaskId;
use crate::naming::{Https, Names};
use crate::object::{Claim, Lane, Object};

/// What to bring back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The item: the task that put it there.
    pub item: TaskId,
    /// The site as `trash.list` tells it. The spoke refuses when the item is another one.
    pub site: site_install::Params,
}

/// What is back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Where the site answers.
    pub url: String,
    /// Its folder on the spoke.
    pub path: String,
    /// Its database, where it has one.
    pub database: Option<String>,
    /// Whether visitors get the site itself, as they did before it went.
    pub enabled: bool,
    /// Its names, as they were.
    pub names: Names,
    /// How it answers over HTTPS.
    pub https: Https,
}

impl Task for Params {
    const VERSION: u16 = 2;
    const LANE: Lane = Lane::Light;
    const REPEATABLE: bool = true;
    const GROWS: bool = false;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        let mut claims = self.site.claims();
        claims.push(Claim::exclusive(Object::Trash));
        claims
    }
}
