//! Takes what workers report: idempotent by number, fenced by attempt, judged by
//! [`kolga_protocol::state::State::on`]. Handed whole batches by `inbox`, which acks after the commit.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use kolga_protocol::id::{Run, TaskId};
use kolga_protocol::message::{LOG_TEXT_BYTES, Level, Report, ReportBody, Reports, StateReport};
use kolga_protocol::state::State;
use kolga_protocol::task::Output;

use super::doubt::forgotten;
use super::rows::{self, TaskRow};
use super::settle::{Ended, settle};
use super::tx::{Operation, Outcome, Tx};
use crate::wire;

/// Entries of one task at most. A worker bounds its logs; the hub's disk must not depend on that.
const MOST_ENTRIES: i64 = 50_000;
/// Problems of one message that are noted each by itself; of more only the number.
const NOTED: usize = 3;

/// Reports whose senders the broker has vouched for.
#[derive(Clone, Debug)]
pub struct TakeReports {
    /// In the order in which they came.
    pub batches: Vec<Reports>,
    /// What came that should not have come: who, what, and why it is not taken.
    pub refused: Vec<(String, String)>,
}

impl Operation for TakeReports {
    type Answer = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<()>, sqlx::Error> {
        let more = self.refused.len().saturating_sub(NOTED);
        for (actor, reason) in self.refused.iter().take(NOTED) {
            let detail = format!("{reason} ({more} more at the same time)");
            tx.audit(actor, "inbox.refused", "message", &detail).await?;
        }
        let tasks: BTreeSet<TaskId> = self
            .batches
            .iter()
            .flat_map(|batch| batch.items.iter().map(|report| report.run.task))
            .collect();
        let tasks: Vec<TaskId> = tasks.into_iter().collect();
        let mut rows = rows::load(tx.connection, &tasks).await?;
        let mut ended: Vec<Ended> = Vec::new();
        for batch in &self.batches {
            let mut problems = Vec::new();
            for report in &batch.items {
                let problem = match rows.get_mut(&report.run.task) {
                    Some(row) => take(row, batch, report, tx, &mut ended),
                    // Late, after everything that there was to tell.
                    None if tx.pruned_up_to() >= Some(report.run.task) => None,
                    None => Some("the task is not known here".to_owned()),
                };
                problems.extend(problem.map(|problem| (report.run, problem)));
            }
            note_problems(tx, batch.server.as_str(), problems).await?;
        }
        rows::save(tx, rows.values()).await?;
        settle(tx, &rows, ended).await?;
        tx.effects.changed.extend(tasks);
        Ok(Ok(()))
    }
}

/// Leaves a trace of what was refused, but never more than a few rows a message: whoever sends nonsense
/// shall not fill the hub's disk with it.
async fn note_problems(
    tx: &mut Tx<'_>,
    server: &str,
    problems: Vec<(Run, String)>,
) -> Result<(), sqlx::Error> {
    let more = problems.len().saturating_sub(NOTED);
    for (run, problem) in problems.into_iter().take(NOTED) {
        tracing::warn!(server, %run, problem, more, "a report was refused");
        let detail = format!("{problem} ({more} more in the same message)");
        tx.audit(server, "inbox.refused", &run.to_string(), &detail)
            .await?;
    }
    Ok(())
}

/// The text up to so many bytes. Workers keep to the bound themselves; this is for one that does not.
fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len()))
        .rev()
        .find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

/// One report. Gives what is wrong with it, where somebody should know; what is merely late is not wrong.
fn take(
    row: &mut TaskRow,
    batch: &Reports,
    report: &Report,
    tx: &mut Tx<'_>,
    ended: &mut Vec<Ended>,
) -> Option<String> {
    if row.server != batch.server.as_str() {
        return Some(format!("it is about a task of server {}", row.server));
    }
    if report.run.attempt != row.run.attempt {
        return (report.run.attempt > row.run.attempt)
            .then(|| format!("the hub knows of no attempt after {}", row.run.attempt));
    }
    if !row.is_told_by(&batch.journal.to_string()) {
        // Numbers begin again in a new journal, which has the attempt because its message or a cancel of it
        // came once more. What the old one would have told of it will never come.
        if !row.state.is_terminal() {
            forgotten(row, row.state, tx, ended);
        }
        return None;
    }
    let seq = i64::try_from(report.seq).unwrap_or(i64::MAX);
    if seq <= row.last_seq {
        return None;
    }
    let (attempt, at) = (report.run.attempt, report.at);
    let missing = seq - row.last_seq - 1;
    if missing > 0 {
        let text = format!("{missing} reports before this one never arrived");
        note(row, tx, Level::Warn, None, text);
    }
    row.heard(seq, tx.policy, tx.now);
    if matches!(report.body, ReportBody::Log(_) | ReportBody::Step(_)) {
        match row.entries().cmp(&MOST_ENTRIES) {
            Ordering::Less => {}
            Ordering::Equal => {
                let text =
                    format!("this is entry {MOST_ENTRIES} of the task; the hub keeps no more");
                note(row, tx, Level::Warn, None, text);
                return None;
            }
            Ordering::Greater => return None,
        }
    }
    match &report.body {
        ReportBody::Log(lines) => row.enter(|seq| {
            wire::Event::Log(wire::LogEntry {
                seq,
                attempt,
                at,
                level: lines.level,
                step: lines.step.clone(),
                text: cut(&lines.text, LOG_TEXT_BYTES).to_owned(),
            })
        }),
        ReportBody::Step(step) => row.enter(|seq| {
            wire::Event::Step(wire::StepEntry {
                seq,
                attempt,
                at,
                name: step.name.clone(),
                position: step.position,
                total: step.total,
                phase: step.phase,
            })
        }),
        ReportBody::CancelRefused { reason } => {
            row.set_cancel_requested(false);
            note(
                row,
                tx,
                Level::Warn,
                None,
                format!("the cancel was refused: {reason}"),
            );
        }
        ReportBody::State(state) => return take_state(row, report, state, tx, ended),
    }
    None
}

fn take_state(
    row: &mut TaskRow,
    report: &Report,
    state: &StateReport,
    tx: &mut Tx<'_>,
    ended: &mut Vec<Ended>,
) -> Option<String> {
    match row.on(
        state.event,
        report.at,
        state.failure.as_ref(),
        tx.policy,
        tx.now,
    ) {
        Err(illegal) => return Some(illegal.to_string()),
        Ok(false) => return None,
        Ok(true) => {}
    }
    let mut problem = None;
    let output = match state.output.as_ref().map(Output::from_payload) {
        Some(Ok(output)) => Some(output),
        Some(Err(error)) => {
            problem = Some(format!("its output cannot be read: {error}"));
            None
        }
        None => None,
    };
    if row.state == State::Succeeded
        && let Some(output) = output
            .as_ref()
            .and_then(|output| wire::output_json(output).ok())
    {
        row.set_output(output.to_string());
    }
    if row.finished {
        ended.push((row.run.task, output));
    } else if row.retry_at.is_some() {
        tx.effects.due = true;
    }
    problem
}

/// A line of the hub's own in a task's log.
pub(super) fn note(
    row: &mut TaskRow,
    tx: &Tx<'_>,
    level: Level,
    step: Option<String>,
    text: String,
) {
    let (attempt, at) = (row.run.attempt, tx.now);
    row.enter(|seq| {
        wire::Event::Log(wire::LogEntry {
            seq,
            attempt,
            at,
            level,
            step,
            text,
        })
    });
}
