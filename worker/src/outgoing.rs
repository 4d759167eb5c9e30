//! Outgoing: runner → broker. Sends what the journal's spool holds to the hub, in order, and forgets a
//! batch once the broker has confirmed it.
//!
//! Woken by the journal's writer after a commit that has something to tell. While the broker is away the
//! spool grows on disk and nothing here is kept in memory.

use std::time::Duration;

use kolga_protocol::envelope::Message as _;
use kolga_protocol::link::{Address, Outgoing, Publisher};
use kolga_protocol::message::Reports;
use kolga_protocol::names::ServerName;
use kolga_protocol::topology::REPORTS_EXCHANGE;
use tokio_util::sync::CancellationToken;

use crate::journal::{Journal, JournalError, Reader};
use kolga_protocol::fault;

/// Rows read at once: each is a message of at most about 256 KiB.
const ROWS: i64 = 64;
/// The pause after a publish that failed while there is a connection.
const PAUSE: Duration = Duration::from_secs(1);

/// Sends until `stop` fires and, after that, until the spool is empty or `abort` fires.
pub async fn run(
    server: ServerName,
    journal: Journal,
    mut reader: Reader,
    publisher: Publisher,
    stop: CancellationToken,
    abort: CancellationToken,
) {
    let mut after = 0;
    loop {
        let sent = tokio::select! {
            () = abort.cancelled() => return,
            sent = send_some(&server, &journal, &mut reader, &publisher, after) => sent,
        };
        match sent {
            Ok(Sent::Nothing) if stop.is_cancelled() => return,
            Ok(Sent::Nothing) => tokio::select! {
                () = journal.spooled.notified() => {}
                () = stop.cancelled() => {}
            },
            Ok(Sent::UpTo(id)) => after = id,
            Ok(Sent::Failed { up_to, reason }) => {
                after = up_to.unwrap_or(after);
                tracing::warn!(%reason, "reports to the hub wait: they could not be published");
                pause(&abort).await;
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the spool cannot be read"
                );
                pause(&abort).await;
            }
        }
    }
}

async fn pause(abort: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(PAUSE) => {}
        () = abort.cancelled() => {}
    }
}

enum Sent {
    Nothing,
    UpTo(i64),
    Failed { up_to: Option<i64>, reason: String },
}

async fn send_some(
    server: &ServerName,
    journal: &Journal,
    reader: &mut Reader,
    publisher: &Publisher,
    after: i64,
) -> Result<Sent, JournalError> {
    let rows = reader.spool(after, ROWS).await?;
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let Some(&last) = ids.last() else {
        return Ok(Sent::Nothing);
    };
    let batch = rows
        .into_iter()
        .map(|row| Outgoing {
            to: Address::Exchange {
                name: REPORTS_EXCHANGE.to_owned(),
                key: server.to_string(),
            },
            message_id: format!("{}.{}", journal.id, row.id),
            kind: Reports::KIND,
            body: row.body,
            persistent: true,
        })
        .collect();
    fault::point("publish");
    let outcomes = publisher.publish(batch).await;
    fault::point("published");
    // Only what stands before the first failure is forgotten: what comes after it is sent again, so that
    // the hub never sees a later report in place of an earlier one.
    let confirmed = outcomes
        .iter()
        .take_while(|outcome| outcome.is_ok())
        .count();
    journal.sent(ids[..confirmed].to_vec());
    match outcomes.into_iter().nth(confirmed) {
        Some(Err(error)) => Ok(Sent::Failed {
            up_to: confirmed.checked_sub(1).map(|index| ids[index]),
            reason: error.to_string(),
        }),
        _ => Ok(Sent::UpTo(last)),
    }
}
