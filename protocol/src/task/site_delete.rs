//! `site.delete`: keep a backup of a site, then take it off the web, off the disk and out of the database server.
//!
//! Version 1 made no backup and had no way to say so.

use serde::{Deserialize, Serialize};

use super::{Older, Task};
use crate::envelope::decode_body;
use crate::names::HostName;
use crate::object::{Claim, Lane, Object};

/// Which site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Its name.
    pub site: HostName,
    /// Whether it goes without a backup. Otherwise one is made first, and without one nothing goes.
    #[serde(default)]
    pub no_backup: bool,
}

/// What is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The folder that was removed.
    pub path: String,
    /// The database that was dropped, with the user of the same name.
    pub database: Option<String>,
    /// The backup that was made before.
    pub backup: Option<String>,
}

/// Version 1.
#[derive(Deserialize)]
struct Params1 {
    site: HostName,
}

/// Version 1.
#[derive(Deserialize)]
struct Output1 {
    path: String,
    database: Option<String>,
}

impl Task for Params {
    const VERSION: u16 = 2;
    const LANE: Lane = Lane::Heavy;
    const REPEATABLE: bool = true;
    // A full disk is a reason to delete something; a backup that has no room says so.
    const GROWS: bool = false;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        vec![Claim::exclusive(Object::Site(self.site.clone()))]
    }

    fn older(version: u16, body: &[u8]) -> Older<Self> {
        (version == 1).then(|| {
            let Params1 { site } = decode_body(body)?;
            Ok(Self {
                site,
                no_backup: true,
            })
        })
    }

    fn older_output(version: u16, body: &[u8]) -> Older<Output> {
        (version == 1).then(|| {
            let Output1 { path, database } = decode_body(body)?;
            Ok(Output {
                path,
                database,
                backup: None,
            })
        })
    }
}
