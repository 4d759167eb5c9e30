//! `platform.verify`: look at what sites share: whether it is what was built, which version, what is installed in
//! it. Modes are set right; anything else that differs is told and left alone.

use serde::{Deserialize, Serialize};

use super::Task;
use crate::names::PlatformName;
use crate::object::{Claim, Lane, Object};

/// Which platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Its name on this spoke.
    pub platform: PlatformName,
}

/// So many names of what has changed, at most.
pub const MOST_NAMES: usize = 100;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Where it lies on the spoke.
    pub path: String,
    /// For what kind of sites.
    pub profile: String,
    /// The application's version, where the profile knows how to tell.
    pub version: Option<String>,
    /// Files and links in it.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Whether there is a list of what was built: earlier releases made none.
    pub compared: bool,
    /// Files and links that were not there when it was built.
    pub added: u64,
    /// Those that were there then and are not any more.
    pub removed: u64,
    /// Those with another content than then.
    pub changed: u64,
    /// The first of all these, each with what became of it before its path, at most [`MOST_NAMES`].
    pub drift: Vec<String>,
    /// Files that the profile says must be there, and that are not.
    pub missing: Vec<String>,
    /// Files and folders whose modes were set right.
    pub modes_mended: u64,
    /// Files and folders that belong to another user than the worker, who cannot set them right.
    pub foreign: u64,
    /// What is installed in it, as far as the profile knows how to look.
    pub installed: Vec<Part>,
}

/// Something that is installed in a platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What it is, such as `plugin` or `theme`.
    pub kind: String,
    /// Its name: that of its folder or file.
    pub name: String,
    /// Its version, where it tells one.
    pub version: Option<String>,
}

impl Task for Params {
    const VERSION: u16 = 1;
    const LANE: Lane = Lane::Heavy;
    const REPEATABLE: bool = true;
    const GROWS: bool = false;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        vec![Claim::exclusive(Object::Platform(self.platform.clone()))]
    }
}
