//! The worker's entry: parses the command line and leaves the rest to the library.

use std::process::ExitCode;

use clap::Parser as _;
use kolga_worker::cli::Cli;

fn main() -> ExitCode {
    if let Some(code) = kolga_worker::process::enter(std::env::args_os()) {
        return code;
    }
    match Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("kolga-worker: {error:#}");
            ExitCode::FAILURE
        }
    }
}
