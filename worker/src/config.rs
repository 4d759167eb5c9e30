//! The worker's configuration.

use std::path::PathBuf;

use kolga_protocol::names::ServerName;
use serde::Deserialize;

/// One TOML file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The name by which the hub knows this spoke.
    pub server: ServerName,
    /// Journal, status socket, secrets, registry.
    pub state_dir: PathBuf,
}
