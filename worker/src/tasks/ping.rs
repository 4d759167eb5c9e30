//! `ping`: no step at all.

use std::time::{SystemTime, UNIX_EPOCH};

use kolga_protocol::task::{Output, ping};

use crate::plan::Plan;

pub(super) fn plan() -> Plan {
    let begun = SystemTime::now().duration_since(UNIX_EPOCH);
    Plan::new(move || {
        Ok(Output::Ping(ping::Output {
            worker_version: env!("CARGO_PKG_VERSION").to_owned(),
            at_micros: u64::try_from(begun.unwrap_or_default().as_micros()).unwrap_or(u64::MAX),
        }))
    })
}
