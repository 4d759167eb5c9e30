//! The command line of `kolga-worker`: what an operator types on a spoke.
//!
//! `run` goes to [`crate::start`]; `status`, `pause`, `resume` and the deciding half of `journal` speak to
//! the running worker over [`crate::control`]; the reading half of `journal` and `secret` read files.

/// [`say`], in the way of `println!`.
macro_rules! say {
    ($($part:tt)*) => { $crate::cli::say(format_args!($($part)*)) };
}

mod journal;
mod pool;
mod profile;
mod recipe;
mod secret;
mod status;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::config::{Config, DEFAULT_PATH};
use crate::control::{self, Request, Response};

/// Exit code of `status` when no worker runs, as the Linux Standard Base has it for init scripts.
const NOT_RUNNING: u8 = 3;

/// The daemon of a spoke: takes tasks from this server's queue, runs them as journaled steps, and rolls
/// back whatever an interruption leaves half done.
#[derive(Debug, Parser)]
#[command(name = "kolga-worker", version, after_help = EXAMPLES)]
pub struct Cli {
    /// The worker's configuration.
    #[arg(long, global = true, env = "KOLGA_WORKER_CONFIG", default_value = DEFAULT_PATH, value_name = "FILE")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  kolga-worker check                          what is wrong with the configuration or the machine
  kolga-worker run                            take tasks until told to stop (TERM; twice to roll back now)
  kolga-worker status                         what it does, step by step; exit code 3 when it does not run
  kolga-worker journal list                   what it has taken, and how that ended
  kolga-worker journal retry-undo TASK        after repairing what made an undo fail
  kolga-worker pool list                      which site has which pool of php-fpm to itself
  kolga-worker profile check DIR              what is wrong with a kind of site of yours
  kolga-worker recipe check FILE              what is wrong with a recipe of yours
  kolga-worker secret show www.example.org    a site's passwords, which never leave this server";

#[derive(Debug, Subcommand)]
enum Command {
    /// Take tasks until a signal ends it.
    ///
    /// TERM or INT: take no more, let running tasks finish within the grace. A second one, or the end of
    /// the grace: stop and roll back what runs. HUP: read the configuration anew.
    Run,
    /// Say what is wrong with the configuration and with this machine.
    Check(Form),
    /// Show what the running worker does. Exit code 0 when it runs, 3 when not.
    Status(Form),
    /// Take no more tasks; what runs goes on.
    Pause,
    /// Take tasks again.
    Resume,
    /// What the worker has taken, and what it left to you.
    Journal {
        #[command(subcommand)]
        command: journal::Journal,
    },
    /// Kinds of sites.
    Profile {
        #[command(subcommand)]
        command: profile::Profile,
    },
    /// Passwords that were made here and stay here.
    Secret {
        #[command(subcommand)]
        command: secret::Secret,
    },
    /// Pools of php-fpm that sites can have to themselves.
    Pool {
        #[command(subcommand)]
        command: pool::Pool,
    },
    /// What the hub may have run here besides tasks.
    Recipe {
        #[command(subcommand)]
        command: recipe::Recipe,
    },
    /// Write shell completions.
    #[command(hide = true)]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the man page.
    #[command(hide = true)]
    Man,
}

/// How to show something.
#[derive(Clone, Copy, Debug, Args)]
struct Form {
    /// As JSON, for a script.
    #[arg(long)]
    json: bool,
}

impl Cli {
    /// Does what was asked for; the exit code.
    ///
    /// # Errors
    /// What went wrong, for the operator.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            // It needs no configuration.
            Command::Profile { command } => return Ok(command.run()),
            Command::Completions { shell } => {
                let mut command = Self::command();
                clap_complete::generate(
                    shell,
                    &mut command,
                    "kolga-worker",
                    &mut std::io::stdout(),
                );
                return Ok(ExitCode::SUCCESS);
            }
            Command::Man => {
                clap_mangen::Man::new(Self::command()).render(&mut std::io::stdout())?;
                return Ok(ExitCode::SUCCESS);
            }
            _ => {}
        }
        let config = Config::load(&self.config)?;
        if matches!(self.command, Command::Run) {
            log_to_stderr();
            arm_faults()?;
        }
        runtime()?.block_on(obey(self.command, config, &self.config))
    }
}

async fn obey(
    command: Command,
    config: Config,
    path: &std::path::Path,
) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run => crate::start::run(config, path).await?,
        Command::Check(form) => return status::check(config, path, form).await,
        Command::Status(form) => return status::status(&config, form).await,
        Command::Pause => {
            ask(&config, &Request::Pause).await?;
            say!("Paused: no more tasks are taken. `kolga-worker resume` takes them again.");
        }
        Command::Resume => {
            ask(&config, &Request::Resume).await?;
            say!("Tasks are taken again.");
        }
        Command::Journal { command } => command.run(&config).await?,
        Command::Recipe { command } => return command.run(&config),
        Command::Secret { command } => command.run(&config)?,
        Command::Pool { command } => command.run(config).await?,
        // Seen to before a configuration was needed.
        Command::Completions { .. } | Command::Man | Command::Profile { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks the running worker, which must run.
async fn ask(config: &Config, request: &Request) -> anyhow::Result<Response> {
    match control::ask(&config.control_socket(), request).await? {
        Some(Response::Refused { reason }) => anyhow::bail!("{reason}"),
        Some(response) => Ok(response),
        None => anyhow::bail!(
            "no worker runs with {}: start it with `kolga-worker run`",
            config.state_dir.display()
        ),
    }
}

/// Prints a line. A reader that has gone away (`| head`) is no error, and the end.
fn say(line: std::fmt::Arguments<'_>) {
    use std::io::Write as _;
    if let Err(error) = writeln!(std::io::stdout(), "{line}") {
        let gone = error.kind() == std::io::ErrorKind::BrokenPipe;
        std::process::exit(if gone { 0 } else { 1 });
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    // What takes long has threads of its own; a second one here would mostly be woken to find nothing to do.
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot start the worker's threads")
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("KOLGA_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,lapin=off"));
    let stream = std::env::var("JOURNAL_STREAM").ok();
    kolga_protocol::journald::log_to_stderr(filter, stream.as_deref(), false);
}

#[cfg(feature = "faults")]
fn arm_faults() -> anyhow::Result<()> {
    let trace = std::env::var_os("KOLGA_FAULT_TRACE").map(PathBuf::from);
    kolga_protocol::fault::arm(std::env::var("KOLGA_FAULTS").ok(), trace.as_deref())?;
    Ok(())
}

#[cfg(not(feature = "faults"))]
fn arm_faults() -> anyhow::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
