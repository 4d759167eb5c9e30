//! The operator's command line: reads the arguments, asks the hub over HTTP, shows what it says.
//!
//! One file a noun (`server`, `platform`, `site`, `backup`, `trash`, `recipe`, `op`, `task`), each with its arguments and its commands.
//! `client` speaks HTTP, `page` turns the pages of long lists, `events` holds on to a live stream, `follow` shows one; `screen` is the only
//! way to stdout, `trouble` the only judge of exit codes. `serve` alone hands on to the daemon instead of
//! to the API.

mod backup;
mod bench;
mod client;
mod docs;
mod doctor;
mod events;
mod follow;
mod inventory;
mod label;
mod live;
mod many;
mod op;
mod page;
mod platform;
mod recipe;
mod result;
mod run;
mod screen;
mod serve;
mod server;
mod site;
mod table;
mod task;
mod time;
mod trash;
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
  kolga site verify --all --follow                  every site, as one operation
  kolga site migrate --platform wp67 --to wp68 --follow   upgrade all that are on a platform
  kolga task list --state failed                    what went wrong?
  kolga task log 3f9a2b1c --follow                  watch a task; the end of its id is enough
  kolga site list --all --json | jq -r '.items[].url'   for scripts

Exit codes:
  0  done
  1  the task failed, or the hub refused; the message says why
  2  the command line is wrong
  3  the hub cannot be reached
  4  the operation stopped early; `kolga op resume` goes on with it";

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

    /// Who asks, as tasks tell it later
    #[arg(
        long = "as",
        global = true,
        value_name = "NAME",
        env = "USER",
        hide = true
    )]
    user: Option<String>,

    /// No colours, even on a terminal
    #[arg(long, global = true, env = "NO_COLOR", hide_env_values = true,
          value_parser = screen::is_set)]
    no_color: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the hub
    Serve(serve::Args),
    #[command(flatten)]
    Ask(Ask),
    /// Say what is well, what is not, and what to do about it
    Doctor,
    /// Print completions for a shell
    Completions(docs::Completions),
    /// Print the manual page
    Man(docs::Man),
}

/// What needs a hub that answers.
#[derive(Debug, Subcommand)]
enum Ask {
    /// Servers: the spokes that sites live on
    #[command(subcommand)]
    Server(server::Command),
    /// Platforms: code that sites share
    #[command(subcommand)]
    Platform(platform::Command),
    /// Sites
    #[command(subcommand)]
    Site(site::Command),
    /// Backups of sites, which lie where each server is told to put them
    #[command(subcommand)]
    Backup(backup::Command),
    /// The trash of a server: what was a site's, and is kept for a while
    #[command(subcommand)]
    Trash(trash::Command),
    /// Recipes: what operators have written down on their servers to be run from here
    #[command(subcommand)]
    Recipe(recipe::Command),
    /// Run one of the recipes that a server offers
    Run(run::Run),
    /// Tasks: what was asked for, and how it went
    #[command(subcommand)]
    Task(task::Command),
    /// Operations: one kind of task on many sites or servers
    #[command(subcommand, visible_alias = "operation")]
    Op(op::Command),
    /// Measure how fast tasks go the whole way, and how long one takes when nothing else runs
    Bench(bench::Args),
}

/// Runs the command line of this process and says how it went.
#[must_use]
pub fn main() -> ExitCode {
    let Cli { global, command } = Cli::parse();
    let screen = Screen::new(global.json, global.no_color);
    let done = match command {
        Command::Serve(args) => args.run(),
        Command::Ask(command) => block_on(command.run(&global, &screen)),
        Command::Doctor => block_on(doctor::run(&global, &screen)),
        Command::Completions(args) => args.run(&screen),
        Command::Man(args) => args.run(&screen),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => trouble.show(&screen),
    }
}

impl Ask {
    async fn run(self, global: &Global, screen: &Screen) -> Result<(), Trouble> {
        let client = Client::connect(global).await?;
        match self {
            Self::Server(command) => command.run(&client, screen).await,
            Self::Platform(command) => command.run(&client, screen).await,
            Self::Site(command) => command.run(&client, screen).await,
            Self::Backup(command) => command.run(&client, screen).await,
            Self::Trash(command) => command.run(&client, screen).await,
            Self::Recipe(command) => command.run(&client, screen).await,
            Self::Run(run) => run.run(&client, screen).await,
            Self::Task(command) => command.run(&client, screen).await,
            Self::Op(command) => command.run(&client, screen).await,
            Self::Bench(args) => args.run(&client, screen).await,
        }
    }
}

/// Runs a command that speaks to the hub; one thread is enough to ask and to listen.
fn block_on(command: impl Future<Output = Result<(), Trouble>>) -> Result<(), Trouble> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(command)
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
