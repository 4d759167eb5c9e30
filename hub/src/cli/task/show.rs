//! `kolga task show`: everything that is known of a task.

use kolga_protocol::message::{StepPhase, printable};

use super::super::live::place;
use super::super::result::{self, state_name, style};
use super::super::screen::{Screen, Style};
use super::super::table::{Cell, Table};
use super::super::time::{instant, span};
use super::super::trouble::Trouble;
use crate::wire::{AttemptDetail, StepEntry, TaskDetail};

/// Shows it.
pub(super) fn show(screen: &Screen, detail: &TaskDetail) -> Result<(), Trouble> {
    let task = &detail.task;
    let mut table = Table::pairs();
    table.pair("task", task.id.to_string());
    table.pair("kind", &task.kind);
    table.pair_if("object", task.object.as_deref());
    table.pair("server", task.server.as_str());
    table.pair_if("operation", task.operation.map(|id| id.to_string()));
    table.pair("asked for", instant(task.created_at));
    table.pair("by", &task.requested_by);
    table.pair("params", detail.params.to_string());
    table.pair_if("next attempt", task.retry_at.map(instant));
    if task.cancel_requested && !task.finished {
        table.pair("cancel", Cell::styled(Style::Warn, "asked for"));
    }
    if task.log_pruned {
        table.pair("log", "pruned, and the steps with it");
    }
    table.show(screen)?;
    for attempt in &detail.attempts {
        show_attempt(screen, attempt)?;
    }
    screen.line("")?;
    result::show(screen, detail, false)
}

fn show_attempt(screen: &Screen, attempt: &AttemptDetail) -> Result<(), Trouble> {
    let state = screen.paint(style(attempt.state), &state_name(attempt.state));
    let from = attempt.started_at.unwrap_or(attempt.created_at);
    let took = attempt.ended_at.map(|to| span(from, to));
    let took = took.map(|took| format!(" after {took}"));
    screen.line("")?;
    screen.line(&format!(
        "Attempt {}, {}: {state}{}",
        attempt.attempt,
        instant(from),
        took.unwrap_or_default()
    ))?;
    // A worker that died has forgotten how many there are when it undoes them.
    let total = attempt.steps.iter().map(|step| step.total).max();
    let total = total.unwrap_or_default();
    let mut steps = Table::pairs();
    for (at, step) in attempt.steps.iter().enumerate() {
        // A beginning is told by its end, once there is one.
        let ended = attempt.steps[at + 1..]
            .iter()
            .any(|later| later.position == step.position);
        if begins(step) && ended {
            continue;
        }
        let began = attempt.steps[..at]
            .iter()
            .rfind(|earlier| earlier.position == step.position && begins(earlier));
        steps.row([
            format!("  {}", place(step.position, total)).into(),
            step.name.as_str().into(),
            Cell::styled(
                colour(step.phase),
                format!("{:?}", step.phase).to_lowercase(),
            ),
            began
                .map(|began| span(began.at, step.at))
                .unwrap_or_default()
                .into(),
        ]);
    }
    steps.show(screen)?;
    if let Some(line) = attempt
        .failure
        .as_ref()
        .and_then(|f| f.message.lines().next())
    {
        screen.line(&format!("  {}", printable(line)))?;
    }
    Ok(())
}

fn begins(step: &StepEntry) -> bool {
    matches!(step.phase, StepPhase::Applying | StepPhase::Undoing)
}

fn colour(phase: StepPhase) -> Style {
    match phase {
        StepPhase::Applied => Style::Good,
        StepPhase::Undoing | StepPhase::Undone | StepPhase::Retrying => Style::Warn,
        StepPhase::Applying => Style::Plain,
    }
}
