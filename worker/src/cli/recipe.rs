//! `kolga-worker recipe`: what is wrong with a recipe, before the worker is told to read it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use kolga_protocol::message::printable;

use crate::config::Config;
use crate::recipe;

#[derive(Debug, Subcommand)]
pub(super) enum Recipe {
    /// Say what is wrong with recipes. Exit code 0 when nothing is.
    ///
    /// Run it as the worker's user: who may have written a file is part of it. The worker reads its recipes at its
    /// start and at every reload.
    Check {
        /// The files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

impl Recipe {
    pub(super) fn run(self, config: &Config) -> anyhow::Result<ExitCode> {
        let Self::Check { files } = self;
        let mut code = ExitCode::SUCCESS;
        for file in files {
            let shown = file.display();
            let told = recipe::read(&file, &config.recipes.users).and_then(|recipe| {
                let missing = recipe.missing();
                anyhow::ensure!(missing.is_empty(), "{shown}: {}", missing.join("; "));
                Ok(recipe)
            });
            match told {
                Ok(recipe) => {
                    let (steps, params) = (&recipe.manifest.steps, &recipe.manifest.params);
                    let (steps, params) = (steps.len(), params.len());
                    say!("ok    {shown}: {steps} steps, {params} parameters");
                }
                Err(error) => {
                    code = ExitCode::FAILURE;
                    say!("WRONG {}", printable(&format!("{error:#}")));
                }
            }
        }
        Ok(code)
    }
}
