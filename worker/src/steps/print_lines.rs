//! Step `print_lines`: a child prints numbered lines, which go to the task's log like any other child's.
//!
//! Undo needs nothing: it makes nothing, and that no process is left is [`crate::process`]'s promise.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::cx::Cx;
use crate::process::Command;
use crate::step::{Step, UndoError};

/// A program of coreutils, which every system has; unlike a shell it prints as fast as its pipe is read.
const SEQ: &str = "/usr/bin/seq";

/// Prints lines.
pub struct PrintLines {
    /// How many.
    pub lines: u32,
    /// How long each is, without its line end.
    pub line_bytes: u32,
    /// Filled with how long it took, for the task's result.
    pub took: Arc<OnceLock<Duration>>,
}

impl Step for PrintLines {
    const NAME: &'static str = "print_lines";
    type Record = ();

    async fn inspect(&self, _cx: &Cx) -> anyhow::Result<()> {
        Ok(())
    }

    async fn apply(&self, cx: &Cx, (): &()) -> anyhow::Result<()> {
        let began = Instant::now();
        Command::new(SEQ)
            .arg("-f")
            .arg(format!("%0{}.0f", self.line_bytes))
            .arg("1")
            .arg(self.lines.to_string())
            .run(cx)
            .await?;
        // Only the first time counts, and there is no second one.
        self.took.get_or_init(|| began.elapsed());
        Ok(())
    }

    async fn undo(_cx: &Cx, (): &()) -> Result<(), UndoError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use kolga_protocol::message::Level;

    use super::*;
    use crate::testing::{Scratch, config, context};

    #[tokio::test]
    async fn every_line_is_printed_with_its_number_and_length() {
        let scratch = Scratch::new();
        let (cx, log) = context(config(scratch.path()));
        let step = PrintLines {
            lines: 1000,
            line_bytes: 100,
            took: Arc::default(),
        };
        Step::apply(&step, &cx, &()).await.expect("printed");
        let lines = log.lines();
        assert_eq!(lines.len(), 1000);
        for (number, line) in (1..).zip(lines) {
            assert_eq!(line, (Level::Output, format!("{number:0100}")));
        }
        assert!(step.took.get().is_some());
    }
}
