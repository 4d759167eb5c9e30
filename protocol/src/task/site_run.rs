//! `site.run`: one of the maintenance commands that the site's profile offers, such as clearing a cache. The hub
//! can only name it; what it does is the spoke's.

use serde::{Deserialize, Serialize};

use super::Task;
use crate::names::{CommandName, HostName};
use crate::object::{Claim, Lane, Object};

/// Which command on which site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The site's name.
    pub site: HostName,
    /// The command's name; without one, nothing is done but to say which there are.
    #[serde(default)]
    pub command: Option<CommandName>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The command that was run.
    pub command: Option<CommandName>,
    /// Those that there are, where that was asked.
    pub offered: Vec<Offered>,
}

/// A command of a profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offered {
    /// Its name.
    pub name: CommandName,
    /// What it does.
    pub description: String,
}

impl Task for Params {
    const VERSION: u16 = 1;
    const LANE: Lane = Lane::Heavy;
    // What a command has done to the data cannot be taken back, so whether it is to be done again is for a
    // person to say.
    const REPEATABLE: bool = false;
    const GROWS: bool = false;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        let site = Object::Site(self.site.clone());
        match self.command {
            Some(_) => vec![Claim::exclusive(site)],
            None => vec![Claim::shared(site)],
        }
    }
}
