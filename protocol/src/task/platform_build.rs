//! `platform.build`: make the code that sites share, from a folder or an archive on the spoke, or from a commit.

use serde::{Deserialize, Serialize};

use super::Task;
use crate::names::{PlatformName, PlatformSource, ProfileName};
use crate::object::{Claim, Lane, Object};

/// What to build, from what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The platform's name on this spoke.
    pub platform: PlatformName,
    /// The kind of sites that it is for.
    pub profile: ProfileName,
    /// Where the code is: on the spoke, as a folder or a file ending in `.tar.gz`, `.tgz` or `.tar.zst`; or one
    /// commit of a git repository.
    pub source: PlatformSource,
}

/// What was built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Where it lies on the spoke.
    pub path: String,
    /// The application's version, where the profile knows how to tell.
    pub version: Option<String>,
    /// Files and links in it.
    pub files: u64,
    /// Bytes in its files.
    pub bytes: u64,
}

impl Task for Params {
    const VERSION: u16 = 1;
    const LANE: Lane = Lane::Heavy;
    const REPEATABLE: bool = true;
    const GROWS: bool = true;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        vec![Claim::exclusive(Object::Platform(self.platform.clone()))]
    }
}
