//! `site.https`: whether a site that is there answers over HTTPS, and whether it does so alone. Its certificate and
//! the key are a matter of its server: neither comes here.

use serde::{Deserialize, Serialize};

use super::Task;
use crate::id::UnixMillis;
use crate::names::HostName;
use crate::naming::Https;
use crate::object::{Claim, Lane, Object};

/// Which site, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Its name.
    pub site: HostName,
    /// How it is to answer over HTTPS.
    pub https: Https,
}

/// How it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Where it answers.
    pub url: String,
    /// How it answers over HTTPS.
    pub https: Https,
    /// Whether that was otherwise before.
    pub changed: bool,
    /// For which names its certificate is good; none without HTTPS.
    pub names: Vec<String>,
    /// Until when.
    pub until: Option<UnixMillis>,
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
