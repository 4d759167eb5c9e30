//! `ping`: no step at all; answered where it is accepted.

use std::time::{SystemTime, UNIX_EPOCH};

use kolga_protocol::task::{Output, ping};

use crate::plan::Plan;

/// The answer, begun now.
pub(super) fn answer() -> Output {
    let begun = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Output::Ping(ping::Output {
        worker_version: env!("CARGO_PKG_VERSION").to_owned(),
        at_micros: u64::try_from(begun.as_micros()).unwrap_or(u64::MAX),
    })
}

/// For one that was accepted and not answered, as an earlier release did.
pub(super) fn plan() -> Plan {
    let answer = answer();
    Plan::new(move || Ok(answer))
}
