//! `platform.build`: make the code that sites share, from a folder or an archive on the spoke, or from a commit.
//!
//! Version 1 had no packages of composer's.

use serde::{Deserialize, Serialize};

use super::{Older, Task};
use crate::envelope::decode_body;
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
    /// Whether the packages that its `composer.lock` names are installed in it.
    #[serde(default)]
    pub composer: bool,
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
    /// How many packages composer has installed in it, where that was asked for.
    pub packages: Option<u64>,
}

/// Version 1.
#[derive(Deserialize)]
struct Params1 {
    platform: PlatformName,
    profile: ProfileName,
    source: PlatformSource,
}

/// Version 1.
#[derive(Deserialize)]
struct Output1 {
    path: String,
    version: Option<String>,
    files: u64,
    bytes: u64,
}

impl Task for Params {
    const VERSION: u16 = 2;
    const LANE: Lane = Lane::Heavy;
    const REPEATABLE: bool = true;
    const GROWS: bool = true;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        vec![Claim::exclusive(Object::Platform(self.platform.clone()))]
    }
    fn older(version: u16, body: &[u8]) -> Older<Self> {
        (version == 1).then(|| {
            let Params1 {
                platform,
                profile,
                source,
            } = decode_body(body)?;
            Ok(Self {
                platform,
                profile,
                source,
                composer: false,
            })
        })
    }

    fn older_output(version: u16, body: &[u8]) -> Older<Output> {
        (version == 1).then(|| {
            let Output1 {
                path,
                version,
                files,
                bytes,
            } = decode_body(body)?;
            Ok(Output {
                path,
                version,
                files,
                bytes,
                packages: None,
            })
        })
    }
}
