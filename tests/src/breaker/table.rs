//! What was broken, how often, and what came of it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

/// Task, step, fault and outcome, and how often.
#[derive(Default)]
pub(super) struct Table {
    rows: BTreeMap<Row, usize>,
    /// Orders that never fired: what stands beside the steps may have been passed less often than before.
    missed: usize,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    step: String,
    fault: String,
    outcome: String,
}

impl Table {
    pub(super) fn fired(&mut self, step: &str, fault: &str, outcome: &str) {
        let step = if step.is_empty() { "-" } else { step };
        let row = Row {
            step: step.to_owned(),
            fault: fault.to_owned(),
            outcome: outcome.to_owned(),
        };
        *self.rows.entry(row).or_default() += 1;
    }

    pub(super) fn missed(&mut self) {
        self.missed += 1;
    }

    pub(super) fn total(&self) -> usize {
        self.rows.values().sum()
    }

    pub(super) fn print(&self, task: &str) {
        println!(
            "{task}: {} faults fired, {} never came",
            self.total(),
            self.missed
        );
        let width = |of: fn(&Row) -> &str| self.rows.keys().map(|row| of(row).len()).max();
        let step_width = width(|row| &row.step).unwrap_or(0);
        let fault_width = width(|row| &row.fault).unwrap_or(0);
        for (row, times) in &self.rows {
            let Row {
                step,
                fault,
                outcome,
            } = row;
            println!("  {step:<step_width$}  {fault:<fault_width$}  {times:>3} ×  {outcome}");
        }
    }

    /// Appends the rows to a file that spreadsheets and scripts read.
    pub(super) fn append(&self, file: &Path, task: &str) {
        let is_new = !file.exists();
        let mut out = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(file)
            .expect("a table");
        let mut text = String::new();
        if is_new {
            text.push_str("task\tstep\tfault\ttimes\toutcome\n");
        }
        for (row, times) in &self.rows {
            let Row {
                step,
                fault,
                outcome,
            } = row;
            text.push_str(&format!("{task}\t{step}\t{fault}\t{times}\t{outcome}\n"));
        }
        out.write_all(text.as_bytes()).expect("a table");
    }
}
