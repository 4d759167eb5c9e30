//! An operation and its items, as tables.

use kolga_protocol::message::printable;

use super::super::client::Client;
use super::super::page::Pages;
use super::super::screen::{Screen, Style};
use super::super::table::{Cell, Table};
use super::super::time::{instant, span};
use super::super::trouble::Trouble;
use super::{Items, relocation, tally};
use crate::wire::{Item, ItemState, MOVE, Operation, OperationState};

/// Items of each sort that are shown unasked.
const SHOWN: usize = 20;

/// Shows an operation, and of its items those that are wanted; unasked those that did not succeed.
pub(super) async fn show(
    client: &Client,
    screen: &Screen,
    operation: &Operation,
    items: Option<Items>,
) -> Result<(), Trouble> {
    let items = match items {
        None if operation.kind == MOVE && !screen.is_json() => Some(Items::All),
        items => items,
    };
    if screen.is_json() {
        let Some(wanted) = items else {
            return Ok(screen.json(operation)?);
        };
        return each(client, operation, wanted, |page| {
            page.iter().try_for_each(|item| screen.json_line(item))
        })
        .await;
    }
    match operation.kind == MOVE {
        true => relocation::describe(operation).show(screen)?,
        false => describe(operation).show(screen)?,
    }
    let Some(wanted) = items else {
        return not_well(client, screen, operation).await;
    };
    screen.line("")?;
    let moves = operation.kind == MOVE;
    let mut table = if moves {
        relocation::heading()
    } else {
        heading()
    };
    each(client, operation, wanted, |page| {
        for item in page {
            match moves {
                true => relocation::row(&mut table, item),
                false => row(&mut table, item),
            }
        }
        table.show_on(screen)
    })
    .await
}

fn describe(operation: &Operation) -> Table {
    let mut table = Table::pairs();
    table.pair("operation", operation.id.to_string());
    table.pair("kind", &operation.kind);
    table.pair("chosen by", operation.select.to_string());
    if operation
        .params
        .as_object()
        .is_some_and(|params| !params.is_empty())
    {
        table.pair("params", operation.params.to_string());
    }
    table.pair("asked for", instant(operation.created_at));
    table.pair("by", &operation.requested_by);
    let mut limits = format!("{} at once", operation.parallel);
    if let Some(bound) = operation.per_server {
        limits.push_str(&format!(", {bound} on one server"));
    }
    if operation.stop_after > 0 {
        limits.push_str(&format!(", stops after {} failures", operation.stop_after));
    }
    table.pair("limits", limits);
    table.pair("state", state(operation.state));
    table.pair_if("because", operation.reason.as_deref());
    table.pair("items", tally(&operation.counts));
    table.pair_if(
        "took",
        operation
            .finished_at
            .map(|end| span(operation.created_at, end)),
    );
    table
}

/// A state in its colour.
pub(super) fn state(state: OperationState) -> Cell {
    let style = match state {
        OperationState::Running => Style::Plain,
        OperationState::Finished => Style::Good,
        _ => Style::Warn,
    };
    Cell::styled(style, state.as_str())
}

/// The first of those that did not succeed.
pub(super) async fn not_well(
    client: &Client,
    screen: &Screen,
    operation: &Operation,
) -> Result<(), Trouble> {
    let mut table = heading();
    let mut more = 0;
    for (state, number) in [
        (ItemState::Failed, operation.counts.failed),
        (ItemState::Skipped, operation.counts.skipped),
    ] {
        if number == 0 {
            continue;
        }
        let path = format!("/v1/operations/{}/items", operation.id);
        let query = [
            ("state", state.as_str().to_owned()),
            ("limit", SHOWN.to_string()),
        ];
        let page: crate::wire::Page<Item> = client.get(&path, &query).await?;
        page.items.iter().for_each(|item| row(&mut table, item));
        more += number.saturating_sub(page.items.len() as u64);
    }
    if operation.counts.failed + operation.counts.skipped > 0 {
        screen.line("")?;
        table.show(screen)?;
    }
    if more > 0 {
        let id = operation.id;
        screen.line(&format!(
            "and {more} more: kolga op show {id} --items failed"
        ))?;
    }
    Ok(())
}

fn heading() -> Table {
    Table::headed(["WHAT", "SERVER", "STATE", "TASK", "REASON"])
}

/// The state of an item in its colour.
pub(super) fn item_state(state: ItemState) -> Cell {
    let style = match state {
        ItemState::Succeeded => Style::Good,
        ItemState::Failed => Style::Bad,
        ItemState::Skipped | ItemState::Cancelled => Style::Warn,
        ItemState::Waiting | ItemState::Made => Style::Plain,
    };
    Cell::styled(style, state.as_str())
}

fn row(table: &mut Table, item: &Item) {
    let site: Option<&str> = item.site.as_ref().map(AsRef::as_ref);
    let what = site.or(item.platform.as_ref().map(AsRef::as_ref));
    let what = what.unwrap_or(item.server.as_str());
    let task = item.task.map(|id| id.to_string()).unwrap_or_default();
    let reason = item.reason.as_deref().unwrap_or_default();
    table.row([
        what.into(),
        item.server.as_str().into(),
        item_state(item.state),
        task[task.len().saturating_sub(8)..].into(),
        printable(reason.lines().next().unwrap_or_default()).into(),
    ]);
}

async fn each(
    client: &Client,
    operation: &Operation,
    wanted: Items,
    mut shows: impl FnMut(&[Item]) -> std::io::Result<()>,
) -> Result<(), Trouble> {
    let query = match wanted {
        Items::All => Vec::new(),
        Items::In(state) => vec![("state", state.as_str().to_owned())],
    };
    let path = format!("/v1/operations/{}/items", operation.id);
    let mut pages = Pages::new(client, &path, "after", query);
    while let Some(page) = pages.next::<Item>().await? {
        if !page.items.is_empty() {
            shows(&page.items)?;
        }
    }
    Ok(())
}
