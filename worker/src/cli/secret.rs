//! `kolga-worker secret`: shows, on the spoke and to the worker's user alone, what was made there.

use clap::Subcommand;
use kolga_protocol::names::HostName;

use crate::config::Config;
use crate::secrets::Secrets;

#[derive(Debug, Subcommand)]
pub(super) enum Secret {
    /// Print a site's passwords.
    Show {
        /// The site's host name.
        site: HostName,
    },
}

impl Secret {
    pub(super) fn run(self, config: &Config) -> anyhow::Result<()> {
        let Self::Show { site } = self;
        let found = Secrets::new(&config.state_dir).load(&site)?;
        let Some(found) = found else {
            anyhow::bail!("no passwords of {site} are kept here: is it a site of this server?");
        };
        say!("{}", serde_json::to_string_pretty(&found)?);
        Ok(())
    }
}
