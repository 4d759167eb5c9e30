//! How a task went, in a few lines: its end, what it made, or why it failed and what to do. It knows
//! no task type: what a type puts into its output is shown by its own names.

use kolga_protocol::message::{Failure, printable};
use kolga_protocol::state::State;
use serde_json::{Map, Value};

use super::screen::{Screen, Style};
use super::table::{Cell, Table};
use super::time::span;
use super::trouble::Trouble;
use crate::wire::{Task, TaskDetail};

/// What a task does, to what, where: `site.install blog.example.org on web1`.
pub(super) fn subject(task: &Task) -> String {
    let kind = printable(&task.kind);
    match task.object.as_deref() {
        None | Some("server") => format!("{kind} on {}", task.server),
        Some(object) => format!("{kind} {} on {}", object_name(object), task.server),
    }
}

/// `site:blog.example.org` without what the kind of the task says already.
pub(super) fn object_name(object: &str) -> String {
    printable(object.split_once(':').map_or(object, |(_, name)| name))
}

/// The colour of a state.
pub(super) fn style(state: State) -> Style {
    match state {
        State::Succeeded => Style::Good,
        State::Failed | State::Stuck | State::Rejected => Style::Bad,
        State::RollingBack | State::Cancelled | State::Interrupted => Style::Warn,
        State::Queued | State::Sent | State::Accepted | State::Running => Style::Plain,
    }
}

/// The name of a state for people.
pub(super) fn state_name(state: State) -> String {
    state.as_str().replace('_', " ")
}

/// What a task waits for, as a sentence.
pub(super) fn waits(what: Option<&str>) -> String {
    format!("waits: {}", printable(what.unwrap_or_default()))
}

/// Shows how a task stands, most often its end. Whoever has `seen_log` has seen what was probed, too.
pub(super) fn show(screen: &Screen, detail: &TaskDetail, seen_log: bool) -> Result<(), Trouble> {
    let task = &detail.task;
    let word = screen.paint(style(task.state), &capital(&state_name(task.state)));
    let took = match (task.started_at, task.ended_at) {
        (Some(from), Some(to)) => format!(" in {}", span(from, to)),
        _ => String::new(),
    };
    screen.line(&format!("{word}{took}: {}", subject(task)))?;
    if task.waiting.is_some() {
        screen.line(&format!("  {}", waits(task.waiting.as_deref())))?;
    }
    if let Some(failure) = &task.failure {
        show_failure(screen, failure)?;
    }
    for advice in advice(task, seen_log) {
        screen.line(&format!("  {advice}"))?;
    }
    let Some(Value::Object(fields)) = &detail.output else {
        return Ok(());
    };
    show_values(screen, fields)?;
    if seen_log {
        return Ok(());
    }
    show_lists(screen, fields)
}

fn show_failure(screen: &Screen, failure: &Failure) -> Result<(), Trouble> {
    // The sentence may be several: one line each.
    for line in failure.message.lines() {
        screen.line(&format!("  {}", printable(line)))?;
    }
    if let Some(step) = &failure.step {
        screen.line(&format!("  in step {}", printable(step)))?;
    }
    for left in &failure.left_behind {
        screen.line(&format!("  left behind: {}", printable(left)))?;
    }
    Ok(())
}

fn advice(task: &Task, seen_log: bool) -> Vec<String> {
    let id = task.id;
    if task.state == State::Stuck {
        return vec![
            format!(
                "It keeps its object locked until you decide, on {}:",
                task.server
            ),
            format!("kolga-worker journal show {id}, then retry-undo or abandon in place of show"),
        ];
    }
    if !task.finished || task.state == State::Succeeded {
        return Vec::new();
    }
    let mut lines = Vec::new();
    if task
        .failure
        .as_ref()
        .is_none_or(|f| f.left_behind.is_empty())
    {
        lines.push(format!("Nothing of it is left on {}.", task.server));
    }
    if !seen_log {
        lines.push(format!("What it said: kolga task log {id}"));
    }
    lines.push(format!("Once more: kolga task retry {id}"));
    lines
}

/// Names and values.
fn show_values(screen: &Screen, fields: &Map<String, Value>) -> Result<(), Trouble> {
    let mut pairs = Table::pairs();
    for (name, value) in fields {
        match value {
            Value::Null | Value::Array(_) => {}
            value => pairs.pair(&format!("  {}", name.replace('_', " ")), plain(value)),
        }
    }
    Ok(pairs.show(screen)?)
}

/// Lists, each a table of its own.
fn show_lists(screen: &Screen, fields: &Map<String, Value>) -> Result<(), Trouble> {
    for value in fields.values() {
        if let Value::Array(items) = value {
            list(items).show(screen)?;
        }
    }
    Ok(())
}

fn list(items: &[Value]) -> Table {
    let mut table = Table::pairs();
    for item in items {
        match item {
            // The shape of a probe, in `server.verify` and wherever else something is probed.
            Value::Object(check) if check.contains_key("passed") => {
                let passed = check["passed"] == Value::Bool(true);
                let (style, word) = if passed {
                    (Style::Good, "  ok")
                } else {
                    (Style::Bad, "  FAIL")
                };
                let field = |name: &str| check.get(name).map(plain).unwrap_or_default();
                table.row([
                    Cell::styled(style, word),
                    field("name").into(),
                    field("detail").into(),
                ]);
            }
            // The shape of what is offered by name, in `site.run`.
            Value::Object(offer) if offer.contains_key("description") => {
                let field = |name: &str| offer.get(name).map(plain).unwrap_or_default();
                table.row([
                    format!("  {}", field("name")).into(),
                    field("description").into(),
                ]);
            }
            // The shape of a change, in `site.verify` and wherever else something is mended.
            Value::Object(change) if change.contains_key("what") => {
                let field = |name: &str, none: &str| match change.get(name) {
                    None | Some(Value::Null) => none.to_owned(),
                    Some(value) => plain(value),
                };
                let (from, to) = (field("from", "missing"), field("to", "gone"));
                table.row([
                    format!("  {}", field("what", "")).into(),
                    format!("{from} → {to}").into(),
                ]);
            }
            // Anything else with names of its own: a column each.
            Value::Object(fields) => {
                let cells = fields.values().enumerate().map(|(at, value)| {
                    let value = match value {
                        Value::Null => String::new(),
                        value => plain(value),
                    };
                    Cell::from(if at == 0 { format!("  {value}") } else { value })
                });
                table.cells(cells);
            }
            other => table.row([format!("  {}", plain(other)).into()]),
        }
    }
    table
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        Value::Object(fields) => {
            let empty =
                |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            let told = fields.iter().filter(|(_, value)| !empty(value));
            let told = told.map(|(name, value)| format!("{name}: {}", plain(value)));
            told.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}
