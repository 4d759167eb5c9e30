//! `server.print`: one step that prints.

use std::sync::Arc;

use anyhow::Context as _;
use kolga_protocol::task::{Output, server_print};

use crate::plan::Plan;
use crate::steps::print_lines::PrintLines;

pub(super) fn plan(params: &server_print::Params) -> Plan {
    let (lines, line_bytes) = (params.lines, params.line_bytes);
    let step = PrintLines {
        lines,
        line_bytes,
        took: Arc::default(),
    };
    let took = Arc::clone(&step.took);
    Plan::new(move || {
        let took = took.get().context("nothing was printed")?;
        Ok(Output::ServerPrint(server_print::Output {
            lines,
            bytes: u64::from(lines) * (u64::from(line_bytes) + 1),
            micros: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        }))
    })
    .step(step)
}
