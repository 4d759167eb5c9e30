//! `kolga op`: operations over many sites, servers or platforms.

pub(super) mod progress;
mod relocation;
mod show;

use std::str::FromStr;

use clap::Subcommand;
use kolga_protocol::names::HostName;
use reqwest::Method;
use serde_json::Value;

use super::client::Client;
use super::follow::Follow;
use super::many::{Many, Work};
use super::page::{self, MOST};
use super::screen::Screen;
use super::table::Table;
use super::time::age;
use super::trouble::Trouble;
use crate::wire::{
    CancelOperation, Counts, Each, ItemState, Operation, OperationAnswer, OperationId, Resume,
};

/// What can be done with operations.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Carry out a kind of task on many sites, servers or platforms
    #[command(after_help = "\
Examples:
  kolga op start site.disable --all --on web1 --dry-run
  kolga op start site.enable --label env=test --at-once 8 --stop-after 3 --follow
  kolga op start server.verify --on 'web*' --wait
  kolga op start platform.delete --all --platform wp-6.1 --dry-run

The set is fixed when the operation is made. Tasks of sites that are busy, locked or gone when their turn comes
are skipped, with the reason. With --follow or --wait the exit code is 0 when all succeeded, 4 when it stopped
early and can be resumed, and else 1.")]
    Start {
        /// The type of its tasks, such as site.disable or server.verify
        kind: String,
        /// Sites by name, instead of the options that choose
        #[arg(value_name = "HOST")]
        hosts: Vec<HostName>,
        /// A parameter of the tasks, NAME=VALUE; may be given again
        #[arg(long = "param", value_name = "PARAM", value_parser = param)]
        params: Vec<(String, Value)>,
        /// For a kind that can be about either, such as recipe.run: about each of the sites chosen
        #[arg(long)]
        each_site: bool,
        #[command(flatten)]
        many: Many,
        #[command(flatten)]
        follow: Follow,
    },
    /// List operations, the newest first
    #[command(visible_alias = "ls")]
    List {
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 30, conflicts_with = "all",
              value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST)))]
        limit: u32,
        /// All of them, however many there are
        #[arg(long)]
        all: bool,
        /// Only those older than this one, to turn the page
        #[arg(long, value_name = "OPERATION")]
        before: Option<OperationId>,
    },
    /// Show one operation, and what of it did not succeed
    #[command(after_help = "Example:\n  kolga op show 3f9a2b1c --items all")]
    Show {
        /// Its id, or so much of its beginning or end that it is the only one
        #[arg(value_name = "OPERATION")]
        operation: Ref,
        /// The items in this state (waiting, made, succeeded, failed, cancelled, skipped), or all
        #[arg(long, value_name = "STATE", value_parser = items)]
        items: Option<Items>,
    },
    /// Show live how far an operation is, until nothing more happens by itself
    Watch {
        /// Its id, or so much of its beginning or end that it is the only one
        #[arg(value_name = "OPERATION")]
        operation: Ref,
    },
    /// Make no more tasks until it is resumed; those that are open end
    #[command(after_help = "\
A move of a site is paused while both servers look, before anything is touched; the site stays its own meanwhile, and
both look anew when it is resumed. Once the site is behind its maintenance page it goes to its end, or back (op cancel).

Example:
  kolga op pause 3f9a2b1c")]
    Pause {
        /// Its id, or so much of its beginning or end that it is the only one
        #[arg(value_name = "OPERATION")]
        operation: Ref,
    },
    /// Go on with what waits
    #[command(after_help = "Example:\n  kolga op resume 3f9a2b1c --retry-failed --follow")]
    Resume {
        /// Its id, or so much of its beginning or end that it is the only one
        #[arg(value_name = "OPERATION")]
        operation: Ref,
        /// Also with what failed, was skipped, or was cancelled by itself: each gets a new task
        #[arg(long)]
        retry_failed: bool,
        #[command(flatten)]
        follow: Follow,
    },
    /// Make no more tasks, and cancel those that are open
    #[command(after_help = "\
A move of a site goes back: the site is on its server as it was when the operation is cancelled.

Example:
  kolga op cancel 3f9a2b1c")]
    Cancel {
        /// Its id, or so much of its beginning or end that it is the only one
        #[arg(value_name = "OPERATION")]
        operation: Ref,
        /// Let those that are open end
        #[arg(long)]
        let_finish: bool,
        /// Of a move: the server that was to have the site is gone for good, and the site comes back without waiting for it
        #[arg(long, conflicts_with = "let_finish")]
        target_is_gone: bool,
    },
}

/// Which items are shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Items {
    /// All of them.
    All,
    /// Those in one state.
    In(ItemState),
}

fn items(text: &str) -> Result<Items, String> {
    match text {
        "all" => Ok(Items::All),
        state => state.parse().map(Items::In),
    }
}

/// `NAME=VALUE`: a number, true, false, or what begins like JSON is that; anything else is text.
fn param(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or("write it as NAME=VALUE")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((name.to_owned(), value))
}

/// An id of an operation, or a part of one; the hub knows which are unambiguous.
#[derive(Clone, Debug)]
pub(super) struct Ref(String);

impl FromStr for Ref {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = (4..=36).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        fits.then(|| Self(text.to_ascii_lowercase())).ok_or_else(|| {
            "an operation's id is made of 0-9, a-f and hyphens; give all of it, or at least four characters of its \
             beginning or end"
                .to_owned()
        })
    }
}

impl Ref {
    async fn shown(&self, client: &Client) -> Result<Operation, Trouble> {
        client.get(&format!("/v1/operations/{}", self.0), &[]).await
    }

    fn path(&self, what: &str) -> String {
        format!("/v1/operations/{}/{what}", self.0)
    }
}

impl Command {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        match self {
            Self::Start {
                kind,
                hosts,
                params,
                each_site,
                many,
                follow,
            } => {
                let work = Work {
                    kind,
                    params: params.into_iter().collect(),
                    each: each_site.then_some(Each::Site),
                    sites: hosts,
                };
                many.start(work, follow, client, screen).await
            }
            Self::List { limit, all, before } => list(client, screen, limit, all, before).await,
            Self::Show { operation, items } => {
                let shown = operation.shown(client).await?;
                show::show(client, screen, &shown, items).await
            }
            Self::Watch { operation } => {
                let shown = operation.shown(client).await?;
                progress::stay(client, screen, &shown, true).await
            }
            Self::Pause { operation } => {
                let answer = client.act(Method::POST, &operation.path("pause")).await?;
                told(screen, &answer)
            }
            Self::Resume {
                operation,
                retry_failed,
                follow,
            } => {
                let how = Resume { retry_failed };
                let answer = client.post(&operation.path("resume"), &how).await?;
                progress::conclude(follow, client, screen, &answer).await
            }
            Self::Cancel {
                operation,
                let_finish,
                target_is_gone,
            } => {
                let how = CancelOperation {
                    let_finish,
                    target_is_gone,
                };
                let answer = client.post(&operation.path("cancel"), &how).await?;
                told(screen, &answer)
            }
        }
    }
}

fn told(screen: &Screen, answer: &OperationAnswer) -> Result<(), Trouble> {
    if screen.is_json() {
        return Ok(screen.json(answer)?);
    }
    let operation = &answer.operation;
    let state = operation.state.as_str();
    screen.line(&format!(
        "Operation {} is {state}: {}. Watch it with: kolga op watch {}",
        operation.id,
        tally(&operation.counts),
        operation.id
    ))?;
    Ok(())
}

async fn list(
    client: &Client,
    screen: &Screen,
    limit: u32,
    all: bool,
    before: Option<OperationId>,
) -> Result<(), Trouble> {
    let list = page::List {
        path: "/v1/operations",
        query: before
            .map(|before| ("before", before.to_string()))
            .into_iter()
            .collect(),
        command: "kolga op list",
        cursor: "before",
        empty: "No operations here. Start one with: kolga op start --help",
    };
    let heading = Table::headed([
        "ID",
        "KIND",
        "CHOSEN BY",
        "STATE",
        "DONE",
        "NOT WELL",
        "AGE",
    ]);
    let limit = (!all).then_some(limit);
    list.show_part(
        client,
        screen,
        limit,
        heading,
        |table, operation: &Operation| {
            let counts = &operation.counts;
            let id = operation.id.to_string();
            table.row([
                id[id.len() - 8..].into(),
                operation.kind.as_str().into(),
                operation.select.to_string().into(),
                show::state(operation.state),
                format!("{}/{}", progress::done(counts), counts.total).into(),
                progress::not_well(counts).to_string().into(),
                age(operation.created_at).into(),
            ]);
        },
    )
    .await
}

/// `12 of 40 succeeded, 2 failed, 4 open, 22 waiting`
pub(super) fn tally(counts: &Counts) -> String {
    let mut words = vec![format!(
        "{} of {} succeeded",
        counts.succeeded, counts.total
    )];
    for (number, word) in [
        (counts.failed, "failed"),
        (counts.skipped, "skipped"),
        (counts.cancelled, "cancelled"),
        (counts.open, "open"),
        (counts.waiting, "waiting"),
    ] {
        if number > 0 {
            words.push(format!("{number} {word}"));
        }
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_what_it_looks_like() {
        let of = |text| param(text).map(|(_, value)| value);
        assert_eq!(of("lines=5"), Ok(Value::from(5)));
        assert_eq!(of("force=true"), Ok(Value::Bool(true)));
        assert_eq!(of("to=wp62"), Ok(Value::from("wp62")));
        assert_eq!(of("a=b=c"), Ok(Value::from("b=c")));
        assert!(of("=5").is_err() && of("lines").is_err());
    }

    #[test]
    fn a_tally_names_what_there_is() {
        let counts = Counts {
            total: 5,
            succeeded: 3,
            skipped: 2,
            ..Counts::default()
        };
        assert_eq!(tally(&counts), "3 of 5 succeeded, 2 skipped");
    }
}
