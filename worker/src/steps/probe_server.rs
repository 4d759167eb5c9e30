//! Probes the whole machine. What it makes on the way is gone at the step's end; undo sees to what an
//! interruption left of it.

use std::sync::{Arc, Mutex};

use kolga_protocol::names::DatabaseName;
use kolga_protocol::task::server_verify::Check;
use serde::{Deserialize, Serialize};

use crate::check;
use crate::cx::Cx;
use crate::step::{Step, UndoError};

/// Fills `checks` for the task's result.
#[derive(Default)]
pub struct ProbeServer {
    /// What was found.
    pub checks: Arc<Mutex<Vec<Check>>>,
}

/// Which probe may be left.
#[derive(Serialize, Deserialize)]
pub struct Record {
    /// `None` when there was no database server to make one in.
    probe: Option<DatabaseName>,
}

impl Step for ProbeServer {
    const NAME: &'static str = "probe_server";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        let reached = match &cx.spoke.mariadb {
            Some(mariadb) => mariadb.version().await.is_ok(),
            None => false,
        };
        Ok(Record {
            probe: reached.then(|| check::database::probe_name(cx.run)),
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let checks = check::all(cx, record.probe.is_some()).await?;
        for check in &checks {
            let line = format!("{}: {}", check.name, check.detail);
            if check.passed {
                cx.log.info(line);
            } else {
                cx.log.warn(format!("FAILED {line}"));
            }
        }
        *self.checks.lock().expect("nobody panics while holding it") = checks;
        Ok(())
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        let Some(probe) = &record.probe else {
            return Ok(());
        };
        let removed = match cx.spoke.need_mariadb() {
            Ok(mariadb) => check::database::remove(cx, mariadb).await,
            Err(error) => Err(error),
        };
        removed.map_err(|error| {
            UndoError::leaves(format!("database user and database {probe}"), error)
        })
    }
}
