//! `kolga serve`: the hub itself. Reads its configuration and hands on to [`crate::serve`].

use std::io;
use std::path::PathBuf;

use tracing_subscriber::EnvFilter;

use super::trouble::Trouble;
use crate::config::Config;

/// `kolga serve`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kolga serve
  kolga serve --config ./hub.toml --log debug

It runs until SIGTERM or SIGINT, which end it in order; a second one ends it at once. At its first
start it writes the API's token to `api-token` in its `state_dir`. It logs to stderr.")]
pub(super) struct Args {
    /// Its configuration [env: KOLGA_HUB_CONFIG] [default: /etc/kolga/hub.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// What to log: error, warn, info, debug or trace, also for parts, such as info,kolga_hub=debug
    #[arg(long, value_name = "FILTER", env = "KOLGA_LOG", default_value = "info,lapin=off",
          value_parser = filter)]
    log: String,
}

impl Args {
    /// Runs until it is told to stop.
    pub(super) fn run(self) -> Result<(), Trouble> {
        let stream = std::env::var("JOURNAL_STREAM").ok();
        let filter = EnvFilter::new(&self.log);
        kolga_protocol::journald::log_to_stderr(filter, stream.as_deref(), true);
        arm_faults()?;
        let config = Config::load(&Config::path(self.config)).map_err(anyhow::Error::from)?;
        // What takes long has threads of its own: the store's writer, SQLite, the broker's sockets. A second thread
        // here would be woken after nearly every event of an idle hub, to find nothing to do.
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(crate::serve::run(config))?;
        Ok(())
    }
}

#[cfg(feature = "faults")]
fn arm_faults() -> io::Result<()> {
    let trace = std::env::var_os("KOLGA_FAULT_TRACE").map(PathBuf::from);
    kolga_protocol::fault::arm(std::env::var("KOLGA_FAULTS").ok(), trace.as_deref())
}

#[cfg(not(feature = "faults"))]
fn arm_faults() -> io::Result<()> {
    Ok(())
}

fn filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}
