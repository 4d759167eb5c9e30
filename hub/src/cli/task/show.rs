//! `kolga task show`: everything that is known of a task.

use super::super::result::{self, state_name, style};
use super::super::screen::{Screen, Style};
use super::super::table::{Cell, Table};
use super::super::time::{clock, instant, span};
use super::super::trouble::Trouble;
use crate::wire::TaskDetail;

/// Shows it.
pub(super) fn show(screen: &Screen, detail: &TaskDetail) -> Result<(), Trouble> {
    let task = &detail.task;
    let mut table = Table::pairs();
    table.pair("task", task.id.to_string());
    table.pair("kind", &task.kind);
    table.pair_if("object", task.object.as_deref());
    table.pair("server", task.server.as_str());
    table.pair("asked for", instant(task.created_at));
    table.pair("by", &task.requested_by);
    table.pair("params", detail.params.to_string());
    table.pair_if("next attempt", task.retry_at.map(instant));
    if task.cancel_requested && !task.finished {
        table.pair("cancel", Cell::styled(Style::Warn, "asked for"));
    }
    table.show(screen)?;
    for attempt in &detail.attempts {
        let state = screen.paint(style(attempt.state), &state_name(attempt.state));
        let from = attempt.started_at.unwrap_or(attempt.created_at);
        let took = attempt
            .ended_at
            .map(|to| span(from, to))
            .unwrap_or_default();
        screen.line("")?;
        screen.line(&format!(
            "Attempt {}: {state} {took} ({})",
            attempt.attempt,
            instant(from)
        ))?;
        let mut steps = Table::pairs();
        for step in &attempt.steps {
            steps.row([
                format!("  [{}/{}]", step.position, step.total).into(),
                step.name.as_str().into(),
                format!("{:?}", step.phase).to_lowercase().into(),
                clock(step.at).into(),
            ]);
        }
        steps.show(screen)?;
    }
    screen.line("")?;
    result::show(screen, detail)
}
