//! What a task works on, and how much of it the task needs for itself.
//!
//! A task names its claims; the worker's runner never lets two conflicting claims overlap and grants
//! them in the order in which the tasks were asked for.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::names::{HostName, PlatformName, RecipeName};

/// One thing on a spoke that tasks can be in each other's way about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Object {
    /// The spoke itself.
    Server,
    /// A platform on it.
    Platform(PlatformName),
    /// A site on it.
    Site(HostName),
    /// Its trash: what was a site's and is kept for a while.
    Trash,
    /// One of the operator's recipes.
    Recipe(RecipeName),
    /// The operator's recipes, all of them: what only some of them may do at the same time.
    Recipes,
    /// Its backups: those that there are.
    Backups,
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server => f.write_str("server"),
            Self::Platform(name) => write!(f, "platform:{name}"),
            Self::Site(host) => write!(f, "site:{host}"),
            Self::Trash => f.write_str("trash"),
            Self::Recipe(name) => write!(f, "recipe:{name}"),
            Self::Recipes => f.write_str("recipes"),
            Self::Backups => f.write_str("backups"),
        }
    }
}

/// How a claim goes together with others on the same object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Access {
    /// Reads it: any number of such claims at once.
    Shared,
    /// Changes it: alone.
    Exclusive,
}

/// An object and how a task needs it. A task names each object at most once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Claim {
    /// What is needed.
    pub object: Object,
    /// How.
    pub access: Access,
}

impl Claim {
    /// The task changes this object.
    #[must_use]
    pub fn exclusive(object: Object) -> Self {
        Self {
            object,
            access: Access::Exclusive,
        }
    }

    /// The task only relies on this object.
    #[must_use]
    pub fn shared(object: Object) -> Self {
        Self {
            object,
            access: Access::Shared,
        }
    }
}

/// Which of the worker's lanes a task runs in, so that what takes seconds never waits behind what takes
/// hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// No time at all: it has no step and touches nothing, so it is carried out while it is accepted, and
    /// its acceptance, start and end are one and the same moment.
    Instant,
    /// Seconds at most, and little load.
    Light,
    /// Anything else.
    Heavy,
    /// What would be heavy, and for which visitors wait: it begins at once, whatever room there is and however busy the
    /// machine, since whoever asked for it took that into account before visitors had to wait.
    Urgent,
}
