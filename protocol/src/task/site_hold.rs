//! `site.hold`: a site is kept from its visitors and its database from everybody, and a backup of it is made that is read
//! back, so that another server can take it as it is. It stays so until `site.release`. With `check` it is only looked at,
//! and nothing changes: what it is, how much of it there is, and in which repository its backups lie.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Task;
use crate::names::{
    Engine, HostName, OptionName, OptionValue, PlatformName, ProfileName, ServerName,
};
use crate::naming::{Https, Names};
use crate::object::{Claim, Lane, Object};
use crate::seal::{SealKey, Sealed};

/// Which site, and what for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Its name.
    pub site: HostName,
    /// The server that is to take it, for those who find it held.
    #[serde(default)]
    pub to: Option<ServerName>,
    /// Only look at it.
    #[serde(default)]
    pub check: bool,
    /// To which key of that server the site's secrets are to be sealed; without one they stay where they are.
    #[serde(default)]
    pub seal: Option<SealKey>,
}

/// All that another server has to know of a site to take it. No secret is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// The identity of the repository in which its backups lie.
    pub repository: String,
    /// Its kind.
    pub profile: ProfileName,
    /// Whose code it uses.
    pub platform: Option<PlatformName>,
    /// The version of that code.
    pub version: Option<String>,
    /// Its other names.
    pub names: Names,
    /// How it answers over HTTPS.
    pub https: Https,
    /// The operator's choices.
    pub options: BTreeMap<OptionName, OptionValue>,
    /// Whether visitors get the site itself.
    pub enabled: bool,
    /// Whether its pages are its own and none of its profile's.
    pub imported: bool,
    /// Whether it has lines of its own for nginx.
    pub snippet: bool,
    /// Whether it has secrets besides its database's password.
    pub secrets: bool,
    /// Its address, without a slash at the end.
    pub url: String,
    /// Its folder.
    pub folder: String,
    /// Where its platform's code lies.
    pub code: Option<String>,
    /// The number of the user to whom all of it belongs that is not the web server's.
    pub uid: u32,
    /// Bytes in its files.
    pub bytes: u64,
    /// In which server its data are, where it has some.
    #[serde(default)]
    pub engine: Engine,
    /// Bytes in its database; nothing when it has none.
    pub database_bytes: Option<u64>,
}

/// What the site is, and what was kept of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// What another server has to know.
    pub offer: Box<Offer>,
    /// The backup's whole name; nothing when it was only looked at.
    pub backup: Option<String>,
    /// Files in it.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Its secrets, which only the other server can open.
    pub sealed: Option<Sealed>,
    /// What it took.
    pub milliseconds: u64,
}

impl Task for Params {
    const VERSION: u16 = 1;
    const LANE: Lane = Lane::Heavy;
    const REPEATABLE: bool = true;
    const GROWS: bool = true;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        let site = Object::Site(self.site.clone());
        vec![match self.check {
            true => Claim::shared(site),
            false => Claim::exclusive(site),
        }]
    }

    /// A look takes up nothing.
    fn grows(&self) -> bool {
        !self.check
    }
}
