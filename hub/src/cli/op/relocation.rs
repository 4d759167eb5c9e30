//! The move of a site as people see it: which stage is open, what has come of it, and what is left to them.

use kolga_protocol::message::printable;

use super::super::client::Client;
use super::super::screen::{Screen, Style};
use super::super::table::Table;
use super::super::time::{instant, span};
use super::super::trouble::Trouble;
use super::show::{item_state, state};
use super::tally;
use crate::wire::{Item, ItemState, Operation, OperationState, Page, Stage};

/// One of its parameters.
fn part<'a>(operation: &'a Operation, name: &str) -> &'a str {
    let value = operation.params.get(name);
    value.and_then(|value| value.as_str()).unwrap_or_default()
}

/// `blog.example.org from web1 to web2`
pub(super) fn subject(operation: &Operation) -> String {
    let of = |name| printable(part(operation, name));
    format!("{} from {} to {}", of("site"), of("from"), of("to"))
}

pub(super) fn describe(operation: &Operation) -> Table {
    let mut table = Table::pairs();
    table.pair("operation", operation.id.to_string());
    table.pair("moves", subject(operation));
    if !part(operation, "platform").is_empty() {
        table.pair("platform there", printable(part(operation, "platform")));
    }
    table.pair("asked for", instant(operation.created_at));
    table.pair("by", &operation.requested_by);
    table.pair("state", state(operation.state));
    let reason = operation.reason.as_deref().map(printable);
    table.pair_if("so far", reason);
    table.pair("stages", tally(&operation.counts));
    table.pair_if(
        "took",
        operation
            .finished_at
            .map(|end| span(operation.created_at, end)),
    );
    table
}

pub(super) fn heading() -> Table {
    Table::headed(["STAGE", "SERVER", "STATE", "TASK", "REASON"])
}

pub(super) fn row(table: &mut Table, item: &Item) {
    let stage = item.stage.map_or("", Stage::as_str);
    let task = item.task.map(|id| id.to_string()).unwrap_or_default();
    let reason = item.reason.as_deref().unwrap_or_default();
    table.row([
        stage.into(),
        item.server.as_str().into(),
        item_state(item.state),
        task[task.len().saturating_sub(8)..].into(),
        printable(reason.lines().next().unwrap_or_default()).into(),
    ]);
}

/// Which stage is open, in a few words.
pub(super) fn now(operation: &Operation) -> String {
    let reason = operation.reason.as_deref().unwrap_or_default();
    match operation.stage {
        Some(stage) => format!(
            "{} of {}: {}",
            stage.place(),
            Stage::ALL.len(),
            printable(reason)
        ),
        None => printable(reason),
    }
}

/// Whether the site is where it was to be.
pub(super) fn is_there(operation: &Operation) -> bool {
    operation.state == OperationState::Finished
        && operation.counts.succeeded == operation.counts.total
}

/// What came of it, and what is left to do.
pub(super) async fn conclude(
    client: &Client,
    screen: &Screen,
    over: &Operation,
) -> Result<(), Trouble> {
    let (style, word) = match over.state {
        OperationState::Finished if is_there(over) => (Style::Good, "Moved"),
        OperationState::Finished => (Style::Bad, "Not moved, or not all of it"),
        OperationState::Paused => (Style::Warn, "Paused, and nothing is touched"),
        _ => (Style::Warn, "Cancelled"),
    };
    let took = over
        .finished_at
        .map(|end| format!(" in {}", span(over.created_at, end)));
    screen.line(&format!(
        "{}{}: {}",
        screen.paint(style, word),
        took.unwrap_or_default(),
        subject(over)
    ))?;
    if let Some(reason) = &over.reason {
        screen.line(&format!("  {}", printable(reason)))?;
    }
    if is_there(over) {
        let site = printable(part(over, "site"));
        screen.line(&format!(
            "  Let its names lead to {} now, in the DNS; see `kolga site show {site}`.",
            printable(part(over, "to"))
        ))?;
        return Ok(());
    }
    if over.state == OperationState::Paused {
        screen.line(&format!("Go on with: kolga op resume {}", over.id))?;
        return Ok(());
    }
    let path = format!("/v1/operations/{}/items", over.id);
    let stages: Page<Item> = client.get(&path, &[]).await?;
    let bad = [ItemState::Failed, ItemState::Cancelled];
    let stopped = stages
        .items
        .iter()
        .find(|item| bad.contains(&item.state) && item.task.is_some());
    let Some(stopped) = stopped else {
        return Ok(());
    };
    let stage = stopped.stage.map_or("", Stage::as_str);
    let reason = stopped.reason.as_deref().unwrap_or("cancelled");
    screen.line(&format!("  In stage {stage}, on {}:", stopped.server))?;
    for line in reason.lines() {
        screen.line(&format!("    {}", printable(line)))?;
    }
    if let Some(task) = stopped.task {
        screen.line(&format!("  What it said: kolga task log {task}"))?;
    }
    Ok(())
}
