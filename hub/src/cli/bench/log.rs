//! How many lines a second go from a child of the worker to a client that follows, and what the worker holds
//! meanwhile.

use std::time::{Duration, Instant};

use kolga_protocol::message::Level;
use kolga_protocol::names::ServerName;
use serde::Serialize;
use serde_json::json;

use super::Bench;
use super::asking::tasks;
use super::figures::rounded;
use super::processes::{self, Memory};
use super::progress::Progress;
use crate::cli::events::Events;
use crate::cli::trouble::Trouble;
use crate::wire::Event;

/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// What came of it.
#[derive(Debug, Serialize)]
pub(super) struct Log {
    /// Lines that the child wrote.
    pub lines: u32,
    /// The length of each.
    pub line_bytes: u32,
    /// Lines that this client heard.
    pub heard: u64,
    /// Lines that are missing: the worker keeps the head and the tail of a log that is too long.
    pub lost: u64,
    /// Marks in the log that say so.
    pub marks: u64,
    /// From the request to the end of the task.
    pub seconds: f64,
    /// Lines heard in that time.
    pub lines_per_second: f64,
    /// Processes that are watched.
    pub memory: Vec<Memory>,
}

pub(super) async fn measure(
    bench: &Bench<'_>,
    server: &ServerName,
    lines: u32,
    line_bytes: u32,
) -> Result<Log, Trouble> {
    bench.screen.note(&format!(
        "Log: {lines} lines of {line_bytes} bytes, followed live …"
    ));
    let mut memory = processes::memory(bench.processes);
    let mut progress = Progress::new(bench.screen, u64::from(lines), "lines heard");
    let (mut heard, mut marks) = (0, 0);
    let began = Instant::now();
    let params = json!({"lines": lines, "line_bytes": line_bytes});
    let task = tasks(bench.client, server, "server.print", params, 1).await?[0];
    let mut events = Events::open(bench.client, task).await?;
    let mut looks = tokio::time::interval(LOOK);
    let mut took = None;
    loop {
        let event = tokio::select! {
            event = events.next() => event?,
            _ = looks.tick() => {
                processes::look(bench.processes, &mut memory);
                continue;
            }
        };
        match event {
            None => break,
            Some(Event::Log(entry)) => {
                let count = entry.text.split('\n').count() as u64;
                match entry.level {
                    Level::Output => heard += count,
                    Level::Warn => marks += 1,
                    Level::Error | Level::Info => {}
                }
            }
            Some(Event::State(entry)) if entry.finished => took = Some(began.elapsed()),
            Some(_) => {}
        }
        progress.tell(heard);
    }
    processes::look(bench.processes, &mut memory);
    let seconds = took.unwrap_or_else(|| began.elapsed()).as_secs_f64();
    #[allow(clippy::cast_precision_loss)]
    let rate = heard as f64 / seconds;
    Ok(Log {
        lines,
        line_bytes,
        heard,
        lost: u64::from(lines).saturating_sub(heard),
        marks,
        seconds,
        lines_per_second: rounded(rate),
        memory,
    })
}
