//! What an entry becomes on disk: the attempt's row, its steps' rows, and messages in the spool.

use kolga_protocol::envelope;
use kolga_protocol::id::{Attempt, Run, TaskId, UnixMillis};
use kolga_protocol::message::{Report, ReportBody, Reports};
use kolga_protocol::names::ServerName;
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::JournalError;
use super::stage::{Gathered, Staged, StepWrite};

/// Reports in one message at most, and about how many bytes of them.
const MESSAGE_ITEMS: usize = 1000;
const MESSAGE_BYTES: usize = 256 * 1024;

/// The rows of one entry.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    mut staged: Staged,
    now: UnixMillis,
    gathered: &mut Gathered,
) -> Result<(), JournalError> {
    let run = staged.live.run;
    let task = run.task.as_bytes().to_vec();
    let attempt = i64::from(run.attempt.0);
    let ended = staged.live.state.is_terminal();
    for step in std::mem::take(&mut staged.steps) {
        match step {
            StepWrite::Insert(row, state) => {
                sqlx::query(
                    "INSERT INTO step (task, attempt, position, name, record, state)
                     VALUES ($1, $2, $3, $4, $5, $6)",
                )
                .bind(&task)
                .bind(attempt)
                .bind(i64::from(row.place.position))
                .bind(&row.place.name)
                .bind(row.record.to_string())
                .bind(state)
                .execute(&mut *connection)
                .await?;
            }
            StepWrite::Mark(position, state) if !ended => {
                sqlx::query(
                    "UPDATE step SET state = $4 WHERE task = $1 AND attempt = $2 AND position = $3",
                )
                .bind(&task)
                .bind(attempt)
                .bind(i64::from(position))
                .bind(state)
                .execute(&mut *connection)
                .await?;
            }
            // The rows go with the end, below.
            StepWrite::Mark(..) => {}
        }
    }
    if ended && staged.live.has_steps {
        sqlx::query("DELETE FROM step WHERE task = $1 AND attempt = $2")
            .bind(&task)
            .bind(attempt)
            .execute(&mut *connection)
            .await?;
    }
    let cause = staged
        .cause
        .as_ref()
        .map(serde_json::to_string)
        .transpose()
        .map_err(|error| JournalError::Corrupt(error.to_string()))?;
    sqlx::query(
        "UPDATE task SET state = $3, last_seq = $4, cause = coalesce($5, cause),
             committed = max(committed, $6), result = coalesce($7, result), ended_at = $8,
             message = CASE WHEN $8 IS NULL THEN message END
         WHERE task = $1 AND attempt = $2",
    )
    .bind(&task)
    .bind(attempt)
    .bind(staged.live.state.as_str())
    .bind(staged.live.last_seq.cast_signed())
    .bind(cause)
    .bind(staged.committed)
    .bind(staged.result.take().map(stored))
    .bind(ended.then_some(now.0))
    .execute(&mut *connection)
    .await?;
    gathered.reports.append(&mut staged.reports);
    gathered.live.insert(run, staged.live);
    Ok(())
}

/// A report as a row keeps it. Whose it is, is told by the file it lies in.
pub(super) fn stored(report: Report) -> Vec<u8> {
    envelope::seal(&Reports {
        server: "self".parse().expect("a valid server name"),
        journal: Uuid::nil(),
        items: vec![report],
    })
}

/// The reports as messages, in the order in which they were made.
pub(super) async fn spool(
    connection: &mut SqliteConnection,
    server: &ServerName,
    journal: Uuid,
    mut reports: Vec<Report>,
) -> Result<(), JournalError> {
    while !reports.is_empty() {
        let mut bytes = 0;
        let count = reports
            .iter()
            .take(MESSAGE_ITEMS)
            .take_while(|report| {
                let fits = bytes < MESSAGE_BYTES;
                bytes += size(report);
                fits
            })
            .count();
        let rest = reports.split_off(count);
        let body = envelope::seal(&Reports {
            server: server.clone(),
            journal,
            items: std::mem::replace(&mut reports, rest),
        });
        sqlx::query("INSERT INTO spool (body) VALUES ($1)")
            .bind(body)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Takes messages that the broker has out of the spool: with one statement for numbers that follow one
/// another, as they nearly always do.
pub(super) async fn forget(
    connection: &mut SqliteConnection,
    ids: &[i64],
) -> Result<(), JournalError> {
    for run in ids.chunk_by(|one, next| one + 1 == *next) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            continue;
        };
        sqlx::query("DELETE FROM spool WHERE id BETWEEN $1 AND $2")
            .bind(first)
            .bind(last)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// About how long a report is, in bytes.
fn size(report: &Report) -> usize {
    64 + match &report.body {
        ReportBody::Log(lines) => lines.text.len(),
        ReportBody::State(state) => {
            let failure = state.failure.as_ref().map_or(0, |failure| {
                failure.message.len() + failure.left_behind.iter().map(String::len).sum::<usize>()
            });
            failure + state.output.as_ref().map_or(0, |output| output.body.len())
        }
        ReportBody::Step(step) => step.name.len(),
        ReportBody::CancelRefused { reason } => reason.len(),
    }
}

/// The attempt that a row's two columns name.
pub(super) fn run_of(task: &[u8], attempt: i64) -> Result<Run, JournalError> {
    let task = TaskId::from_slice(task)
        .ok_or_else(|| JournalError::Corrupt("a task's identity".to_owned()))?;
    let attempt = u32::try_from(attempt)
        .map_err(|_| JournalError::Corrupt(format!("attempt {attempt} of {task}")))?;
    Ok(Run::new(task, Attempt(attempt)))
}

#[cfg(test)]
mod tests {
    use kolga_protocol::message::{Failure, StateReport};
    use kolga_protocol::state::Event;
    use kolga_protocol::task::Payload;

    use super::*;

    fn report(failure: Option<Failure>, output: Option<Payload>) -> Report {
        Report {
            run: Run::new(TaskId::generate(), kolga_protocol::id::Attempt::FIRST),
            seq: 1,
            at: UnixMillis(0),
            body: ReportBody::State(StateReport {
                event: Event::Failed,
                failure,
                output,
            }),
        }
    }

    #[test]
    fn a_reports_size_grows_with_each_text_in_it() {
        let bare = size(&report(None, None));
        let failure = Failure {
            left_behind: vec!["four".to_owned(), "fifth".to_owned()],
            ..Failure::plain("why")
        };
        assert_eq!(size(&report(Some(failure.clone()), None)), bare + 12);
        let output = Payload {
            kind: "ping".to_owned(),
            version: 1,
            body: vec![0; 100],
        };
        assert_eq!(size(&report(None, Some(output.clone()))), bare + 100);
        assert_eq!(size(&report(Some(failure), Some(output))), bare + 112);
        assert!(bare > 0, "what stands in every report");
    }
}
