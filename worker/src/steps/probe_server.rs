//! Step `probe_server`: probes the whole machine. What it makes on the way is gone at the step's end; undo
//! sees to what an interruption left of it.

use std::sync::{Arc, Mutex};

use kolga_protocol::names::{DatabaseName, Engine};
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
    /// In which servers one is made; an older release knew but MariaDB, and did not say.
    #[serde(default)]
    engines: Vec<Engine>,
}

impl Record {
    /// Where one may be left.
    fn probed(&self) -> &[Engine] {
        match (&self.probe, self.engines.as_slice()) {
            (None, _) => &[],
            (Some(_), []) => &[Engine::Mariadb],
            (Some(_), engines) => engines,
        }
    }
}

impl Step for ProbeServer {
    const NAME: &'static str = "probe_server";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        let mut engines = Vec::new();
        for service in cx.spoke.databases() {
            if service.version().await.is_ok() {
                engines.push(service.engine());
            }
        }
        Ok(Record {
            probe: (!engines.is_empty()).then(|| check::database::probe_name(cx.run)),
            engines,
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let checks = check::all(cx, record.probed()).await?;
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
        let staged = cx.spoke.nginx.unstage().await;
        staged.map_err(|error| UndoError::leaves("what nginx was to test aside", error))?;
        let Some(probe) = &record.probe else {
            return Ok(());
        };
        for &engine in record.probed() {
            let removed = match cx.spoke.database(engine) {
                Ok(service) => check::database::remove(cx, service).await,
                Err(error) => Err(error),
            };
            removed.map_err(|error| {
                let left = format!("{}'s user and database {probe}", engine.title());
                UndoError::leaves(left, error)
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::Secret;
    use crate::testing::{context, stack_config};

    #[tokio::test]
    #[ignore = "needs the stack: run deploy/test"]
    async fn what_an_interruption_left_is_removed_however_far_it_had_come() {
        let mut config = stack_config();
        if rustix::process::geteuid().is_root()
            && let Some(mariadb) = &mut config.mariadb
        {
            mariadb.user = "root".to_owned();
        }
        for came_to in 0..3 {
            let (cx, _) = context(config.clone());
            let record = ProbeServer::default().inspect(&cx).await.expect("looked");
            let probe = record.probe.clone().expect("the server was reached");
            let services: Vec<_> = cx.spoke.databases().collect();
            assert_eq!(services.len(), 2, "the stack has both");
            for service in &services {
                let owner = cx.run.to_string();
                if came_to > 0 {
                    let password = Secret::generate(32).expect("made");
                    let made = service.create_user(&probe, &password, &owner).await;
                    made.expect("made");
                }
                if came_to > 1 {
                    service.create_database(&probe, &owner).await.expect("made");
                }
            }
            ProbeServer::undo(&cx, &record).await.expect("undone");
            ProbeServer::undo(&cx, &record).await.expect("undone again");
            for service in services {
                assert!(!service.has_user(&probe).await.expect("asked"));
                assert!(!service.has_database(&probe).await.expect("asked"));
            }
        }
    }

    #[test]
    fn a_record_of_before_there_was_a_choice_means_mariadb() {
        let probed = |text: &str| -> Vec<Engine> {
            let record: Record = serde_json::from_str(text).expect("a record");
            record.probed().to_vec()
        };
        assert_eq!(probed(r#"{"probe": "k_probe_1"}"#), [Engine::Mariadb]);
        assert_eq!(probed(r#"{"probe": null}"#), []);
        assert_eq!(
            probed(r#"{"probe": "k_probe_1", "engines": ["postgresql"]}"#),
            [Engine::Postgresql]
        );
    }

    #[tokio::test]
    async fn without_a_database_server_there_is_nothing_to_undo() {
        let scratch = crate::testing::Scratch::new();
        let (cx, _) = context(crate::testing::config(scratch.path()));
        let record = ProbeServer::default().inspect(&cx).await.expect("looked");
        assert_eq!(record.probe, None);
        ProbeServer::undo(&cx, &record).await.expect("undone");
    }
}
