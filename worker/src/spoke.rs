//! Everything on this machine that steps may use, opened once at start.

use crate::config::Config;

/// The spoke: its configuration, its services, its folders, its profiles.
pub struct Spoke {
    /// What the operator wrote.
    pub config: Config,
}
