//! `server.verify`: one step that probes everything; fails with all that failed.

use std::sync::Arc;

use kolga_protocol::task::{Output, server_verify};

use crate::plan::Plan;
use crate::steps::probe_server::ProbeServer;

pub(super) fn plan() -> Plan {
    let step = ProbeServer::default();
    let found = Arc::clone(&step.checks);
    Plan::new(move || {
        let checks = std::mem::take(&mut *found.lock().expect("nobody panics while holding it"));
        let failed: Vec<String> = checks
            .iter()
            .filter(|check| !check.passed)
            .map(|check| format!("{}: {}", check.name, check.detail))
            .collect();
        let (count, all) = (failed.len(), checks.len());
        anyhow::ensure!(
            failed.is_empty(),
            "{count} of {all} checks failed. {}",
            failed.join(" — ")
        );
        Ok(Output::ServerVerify(server_verify::Output { checks }))
    })
    .step(step)
}
