//! Questions to the store, answered beside the writer. Everything here gives the types of [`crate::wire`].

mod entries;
mod objects;
mod old;
mod operations;
mod servers;
mod tasks;

pub use entries::StoredEntry;
pub use old::{Held, OldLogs, PrunedSoFar};
pub use servers::{StoredServer, Totals};
pub use tasks::{Filter, Found};

use super::StoreError;

/// A column that holds what this release cannot read.
fn corrupt(what: &'static str, reason: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt {
        what,
        reason: reason.to_string(),
    }
}

/// A column of JSON.
pub(super) fn from_json<T: serde::de::DeserializeOwned>(
    what: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| corrupt(what, error))
}

/// A column that is a name, a state or an id.
fn parse<T: std::str::FromStr>(what: &'static str, text: &str) -> Result<T, StoreError>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| corrupt(what, error))
}
