//! Completions and manual pages, made from the command line's own description so that they cannot
//! fall behind it.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use super::screen::Screen;
use super::trouble::Trouble;

/// `kolga completions`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kolga completions bash > /etc/bash_completion.d/kolga
  kolga completions zsh > /usr/local/share/zsh/site-functions/_kolga
  kolga completions fish > ~/.config/fish/completions/kolga.fish")]
pub(super) struct Completions {
    /// For which shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self, screen: &Screen) -> Result<(), Trouble> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "kolga", &mut script);
        Ok(screen.write(&String::from_utf8_lossy(&script))?)
    }
}

/// `kolga man`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kolga man | man -l -
  kolga man --dir /usr/local/share/man/man1      a page for each command")]
pub(super) struct Man {
    /// Write a page for each command into this folder, instead of the first page to stdout
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(&self, screen: &Screen) -> Result<(), Trouble> {
        let Some(dir) = &self.dir else {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            return Ok(screen.write(&String::from_utf8_lossy(&page))?);
        };
        clap_mangen::generate_to(Cli::command(), dir).map_err(|error| Trouble::Usage {
            message: format!("the pages cannot be written to {}: {error}", dir.display()),
            hint: "Name a folder that exists and that you may write to.".to_owned(),
        })
    }
}
