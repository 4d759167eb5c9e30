//! `site.login`: a link that logs its reader in at a site once, within minutes, as the account that may administer it. The
//! token in the link comes sealed to the reader's key, and is in no message, journal or log otherwise.

use serde::{Deserialize, Serialize};

use super::Task;
use crate::id::UnixMillis;
use crate::names::HostName;
use crate::object::{Claim, Lane, Object};
use crate::seal::{SealKey, Sealed};

/// For how long a link is good, in seconds.
pub const LIFETIME: u64 = 300;

/// Which site, and for whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Its name.
    pub site: HostName,
    /// To whose key the token is sealed.
    pub seal: SealKey,
}

/// The link, but for its token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The page; the link is this, `#`, and the token.
    pub page: String,
    /// The account that it logs in.
    pub user: String,
    /// Until when.
    pub until: UnixMillis,
    /// The token.
    pub sealed: Sealed,
}

impl Task for Params {
    const VERSION: u16 = 1;
    const LANE: Lane = Lane::Light;
    const REPEATABLE: bool = true;
    const GROWS: bool = false;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        // It need not wait for a backup.
        vec![Claim::shared(Object::Site(self.site.clone()))]
    }
}
