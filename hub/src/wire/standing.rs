//! What is known of a site beside what was asked for: what its spoke says of it.

use kolga_protocol::id::{TaskId, UnixMillis};
use kolga_protocol::names::DatabaseName;
use serde::{Deserialize, Serialize};

/// What a site was found to be when it was last verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// When.
    pub at: UnixMillis,
    /// By which task.
    pub task: TaskId,
    /// Its database, by the spoke's book.
    pub database: Option<DatabaseName>,
    /// How many things were mended.
    pub changes: u64,
    /// Where the hub's record differed from the spoke's book.
    pub drift: Vec<Drift>,
    /// What is left to a person.
    pub problems: Vec<String>,
}

/// One difference between the hub's record and the spoke's book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// Of what, such as `platform`.
    pub what: String,
    /// What the hub says.
    pub hub: String,
    /// What the spoke says.
    pub spoke: String,
}
