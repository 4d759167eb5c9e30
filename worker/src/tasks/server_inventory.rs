//! `server.inventory`: one step that looks at everything.

use std::sync::Arc;

use anyhow::Context as _;
use kolga_protocol::task::Output;

use crate::plan::Plan;
use crate::steps::take_inventory::TakeInventory;

pub(super) fn plan() -> Plan {
    let step = TakeInventory::default();
    let found = Arc::clone(&step.found);
    Plan::new(move || {
        let found = found.lock().expect("nobody panics while holding it").take();
        Ok(Output::ServerInventory(
            found.context("nothing was looked at")?,
        ))
    })
    .step(step)
}
