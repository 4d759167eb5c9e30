//! `kolga-worker profile`: what is wrong with a profile, before the worker is told to read it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use kolga_protocol::message::printable;

use crate::profile;

#[derive(Debug, Subcommand)]
pub(super) enum Profile {
    /// Say what is wrong with profiles. Exit code 0 when nothing is.
    ///
    /// The worker reads its profiles at its start and at every reload.
    Check {
        /// Their folders.
        #[arg(required = true, value_name = "DIR")]
        folders: Vec<PathBuf>,
    },
}

impl Profile {
    pub(super) fn run(self) -> ExitCode {
        let Self::Check { folders } = self;
        let mut code = ExitCode::SUCCESS;
        for folder in folders {
            match profile::read(&folder) {
                Ok(profile) => say!(
                    "ok    {}: {}",
                    folder.display(),
                    profile.manifest.description
                ),
                Err(error) => {
                    code = ExitCode::FAILURE;
                    say!("WRONG {}", printable(&format!("{error:#}")));
                }
            }
        }
        code
    }
}
