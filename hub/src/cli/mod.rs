//! The operator's command line: reads the arguments, asks the hub over HTTP, shows what it says.
//!
//! One file a noun (`server`, `platform`, `site`, `task`), each with its arguments and its commands.
//! `client` speaks HTTP, `events` holds on to a live stream, `follow` shows one; `screen` is the only
//! way to stdout, `trouble` the only judge of exit codes. `main` gives it the arguments; `serve` alone
//! hands on to the daemon instead of to the API.

mod bench;
mod client;
mod docs;
mod doctor;
mod events;
mod follow;
mod live;
mod platform;
mod result;
mod screen;
mod server;
mod site;
mod table;
mod task;
mod time;
mod trouble;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use client::Client;
use screen::Screen;
use trouble::Trouble;

/// Where the hub keeps its token, unless it is told otherwise.
const TOKEN_FILE: &str = "/var/lib/kolga/api-token";

const EXAMPLES: &str = "\
Examples:
  kolga doctor                                      is everything well?
  kolga server add web1                             a new spoke
  kolga server verify web1 --follow                 is it ready for sites?
  kolga platform add wp --server web1 --profile wordpress --source /usr/share/wordpress --follow
  kolga site install blog.example.org --server web1 --profile wordpress --platform wp \\
        --option title='My blog' --follow
  kolga task list --state failed                    what went wrong?
  kolga task log 3f9a2b1c --follow                  watch a task; the end of its id is enough
  kolga site list --json | jq -r '.items[].url'     for scripts

Exit codes:
  0  done
  1  the task failed, or the hub refused; the message says why
  2  the command line is wrong
  3  the hub cannot be reached";

/// Kolga: websites on many servers, from one place.
///
/// The hub knows which servers, platforms and sites should exist. Each server runs a worker that takes
/// tasks from its own queue and makes them so, whole or not at all. These commands ask the hub.
#[derive(Debug, Parser)]
#[command(name = "kolga", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Where the hub listens
    #[arg(long, global = true, value_name = "URL", env = "KOLGA_HUB",
          default_value = "http://127.0.0.1:7480", value_parser = client::hub_url)]
    hub: String,

    /// The file with the hub's token; the hub writes it at its first start
    #[arg(long, global = true, value_name = "FILE", env = "KOLGA_TOKEN_FILE", default_value = TOKEN_FILE)]
    token_file: PathBuf,

    /// JSON on stdout, and nothing else there
    #[arg(long, global = true)]
    json: bool,

    /// No colours, even on a terminal
    #[arg(long, global = true, env = "NO_COLOR", hide_env_values = true,
          value_parser = screen::is_set)]
    no_color: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Servers: the spokes that sites live on
    #[command(subcommand)]
    Server(server::Command),
    /// Platforms: code that sites share
    #[command(subcommand)]
    Platform(platform::Command),
    /// Sites
    #[command(subcommand)]
    Site(site::Command),
    /// Tasks: what was asked for, and how it went
    #[command(subcommand)]
    Task(task::Command),
    /// Say what is well, what is not, and what to do about it
    Doctor,
    /// Measure how fast tasks go the whole way, and how long one takes when nothing else runs
    Bench(bench::Args),
    /// Print completions for a shell
    Completions(docs::Completions),
    /// Print the manual page
    Man(docs::Man),
}

/// Runs the command line of this process and says how it went.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let screen = Screen::new(cli.global.json, cli.global.no_color);
    let done = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Trouble::from)
        .and_then(|runtime| runtime.block_on(run(&cli.global, cli.command, &screen)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => trouble.show(&screen),
    }
}

async fn run(global: &Global, command: Command, screen: &Screen) -> Result<(), Trouble> {
    let client = Client::connect(global);
    match command {
        Command::Server(command) => command.run(&client.await?, screen).await,
        Command::Platform(command) => command.run(&client.await?, screen).await,
        Command::Site(command) => command.run(&client.await?, screen).await,
        Command::Task(command) => command.run(&client.await?, screen).await,
        Command::Bench(args) => args.run(&client.await?, screen).await,
        Command::Doctor => doctor::run(global, screen).await,
        Command::Completions(args) => args.run(screen),
        Command::Man(args) => args.run(screen),
    }
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory;

    #[test]
    fn verify_cli() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does() {
        fn look(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            command.get_subcommands().for_each(look);
        }
        look(&Cli::command());
    }
}
