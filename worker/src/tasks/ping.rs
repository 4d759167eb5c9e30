//! `ping`: no step at all.

use kolga_protocol::task::{Output, ping};

use crate::plan::Plan;

pub(super) fn plan() -> Plan {
    Plan::new(|| {
        Ok(Output::Ping(ping::Output {
            worker_version: env!("CARGO_PKG_VERSION").to_owned(),
        }))
    })
}
