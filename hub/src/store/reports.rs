//! Takes what workers report: idempotent by number, fenced by attempt, judged by
//! [`kolga_protocol::state::State::on`]. Handed whole batches by `inbox`, which acks after the commit.

use std::collections::BTreeSet;

use kolga_protocol::id::TaskId;
use kolga_protocol::message::{Level, Report, ReportBody, Reports, StateReport};
use kolga_protocol::state::State;
use kolga_protocol::task::Output;

use super::rows::{self, TaskRow};
use super::settle::{Ended, settle};
use super::tx::{Operation, Outcome, Tx};
use crate::wire;

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
        for (actor, reason) in &self.refused {
            tx.audit(actor, "inbox.refused", "message", reason).await?;
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
            for report in &batch.items {
                let Some(row) = rows.get_mut(&report.run.task) else {
                    let reason = format!("reports of task {}, which is not known here", report.run);
                    tx.audit(
                        batch.server.as_str(),
                        "inbox.unknown_task",
                        &report.run.to_string(),
                        &reason,
                    )
                    .await?;
                    continue;
                };
                if let Some(problem) = take(row, batch, report, tx, &mut ended) {
                    tracing::warn!(server = %batch.server, run = %report.run, problem, "a report was refused");
                    tx.audit(
                        batch.server.as_str(),
                        "inbox.refused",
                        &report.run.to_string(),
                        &problem,
                    )
                    .await?;
                }
            }
        }
        rows::save(tx.connection, rows.values()).await?;
        settle(tx, &rows, ended).await?;
        tx.effects.changed.extend(tasks);
        Ok(Ok(()))
    }
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
    match &report.body {
        ReportBody::Log(line) => row.enter(|seq| {
            wire::Event::Log(wire::LogEntry {
                seq,
                attempt,
                at,
                level: line.level,
                step: line.step.clone(),
                text: line.text.clone(),
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
