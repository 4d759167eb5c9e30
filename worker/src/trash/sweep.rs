//! Destroys what has lain in the trash long enough: when the worker starts, and once a day.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use kolga_protocol::id::UnixMillis;
use kolga_protocol::message::Level;
use tokio::sync::watch;

use super::{Item, destroy};
use crate::cx::{Cx, LogSink, StepLog, Stop};
use crate::spoke::Spoke;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Goes on until it is dropped. Dropped half-way, the next start of the worker goes on with it.
pub async fn run(spokes: watch::Receiver<Arc<Spoke>>) {
    loop {
        let spoke = Arc::clone(&spokes.borrow());
        once(&spoke, UnixMillis::now()).await;
        tokio::time::sleep(DAY).await;
    }
}

/// Destroys what is old enough now, and what was begun.
pub async fn once(spoke: &Arc<Spoke>, now: UnixMillis) {
    let due = match due(spoke, now) {
        Ok(due) => due,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the trash cannot be read");
            return;
        }
    };
    for item in due {
        let cx = Cx {
            spoke: Arc::clone(spoke),
            run: item.run,
            log: StepLog::new(Arc::new(Journal)),
            stop: Stop::never(),
        };
        let host = &item.entry.host;
        match destroy(&cx, item.run).await {
            Ok(true) => tracing::info!(%host, task = %item.run.task, "the trash was emptied of it"),
            Ok(false) => {}
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(%host, task = %item.run.task, error, "it stays in the trash");
            }
        }
    }
}

fn due(spoke: &Spoke, now: UnixMillis) -> anyhow::Result<Vec<Item>> {
    let days = spoke.config.trash.keep_days;
    let mut due = spoke.trash.list()?;
    due.retain(|item| item.is_older_than(days, now));
    due.extend(spoke.trash.begun()?);
    Ok(due)
}

/// The worker's own log.
struct Journal;

impl LogSink for Journal {
    fn line(&self, _step: Option<&str>, level: Level, text: &str) {
        match level {
            Level::Warn => tracing::warn!("{text}"),
            _ => tracing::info!("{text}"),
        }
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
