//! `server.inventory`: what there is on a spoke, by its own book and by what lies on its disk. Nothing is changed.

use serde::{Deserialize, Serialize};

use super::Task;
use crate::object::{Claim, Lane, Object};

/// Nothing to say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// What was found. Names are as they were found: whoever shows them makes them harmless first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The programs that sites live on.
    pub programs: Vec<Program>,
    /// The file systems on which things of the spoke lie, each once.
    pub disks: Vec<Disk>,
    /// Platforms that the book or the disk tells of.
    pub platforms: Vec<Platform>,
    /// Sites that the book or the disk tells of.
    pub sites: Vec<Site>,
    /// What lies among them and is neither, at most [`MOST_STRAYS`].
    pub strays: Vec<String>,
}

/// So many strays are told.
pub const MOST_STRAYS: usize = 100;

/// A program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// What it is called.
    pub name: String,
    /// Its version; `None` when it is not there or does not tell.
    pub version: Option<String>,
}

/// A file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// A folder on it.
    pub path: String,
    /// How large it is, in bytes.
    pub total: u64,
    /// How much of it the worker may still fill, in bytes.
    pub free: u64,
}

/// A platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// Its name.
    pub name: String,
    /// For what kind of sites, by the book.
    pub profile: Option<String>,
    /// Its application's version when it was built, by the book.
    pub version: Option<String>,
    /// Whether the book tells of it.
    pub in_book: bool,
    /// Whether its folder is there.
    pub has_folder: bool,
}

/// A site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// Its name.
    pub host: String,
    /// What kind it is, by the book.
    pub profile: Option<String>,
    /// Whose code it uses, by the book.
    pub platform: Option<String>,
    /// Whether visitors get it, by the book.
    pub enabled: Option<bool>,
    /// Whether the book tells of it.
    pub in_book: bool,
    /// Whether its folder is there.
    pub has_folder: bool,
    /// Whether the web server has a file for it.
    pub has_vhost: bool,
}

impl Task for Params {
    const VERSION: u16 = 1;
    const LANE: Lane = Lane::Light;
    const REPEATABLE: bool = true;
    const GROWS: bool = false;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        vec![Claim::shared(Object::Server)]
    }
}
