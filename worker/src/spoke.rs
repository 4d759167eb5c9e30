//! Everything on this machine that steps may use, opened once at start.

use crate::config::Config;

/// The spoke: its configuration, its services, its folders, its profiles.
pub struct Spoke {
    /// What the operator wrote.
    pub config: Config,
}

impl Spoke {
    /// Opens everything that the configuration names; what a running spoke shares comes from `previous`.
    ///
    /// # Errors
    /// When something that every task needs is not there.
    pub async fn open(config: Config, _previous: Option<&Self>) -> anyhow::Result<Self> {
        Ok(Self { config })
    }
}
