//! `kolga task log`, and how the lines of a log look wherever one is shown.

use kolga_protocol::message::{Level, printable};

use super::super::client::Client;
use super::super::screen::{Screen, Style};
use super::super::time::clock;
use super::super::trouble::Trouble;
use crate::wire::{LogEntry, Page, Task};

/// Prints the whole log as it is now.
pub(super) async fn print(client: &Client, screen: &Screen, task: &Task) -> Result<(), Trouble> {
    let path = format!("/v1/tasks/{}/log", task.id);
    let mut query = vec![("limit", "1000".to_owned())];
    loop {
        let page: Page<LogEntry> = client.get(&path, &query).await?;
        for entry in &page.items {
            if screen.is_json() {
                screen.json_line(entry)?;
                continue;
            }
            let at = screen.paint(Style::Dim, &clock(entry.at));
            let step = entry.step.as_deref().map(printable).unwrap_or_default();
            let step = screen.paint(Style::Dim, &step);
            let lines = log_lines(screen, entry).map(|line| format!("{at} {step} {line}\n"));
            screen.write(&lines.collect::<String>())?;
        }
        match page.next {
            Some(next) => {
                query.truncate(1);
                query.push(("after", next));
            }
            None => return Ok(()),
        }
    }
}

/// The lines of an entry, each as it may stand on a terminal.
pub(crate) fn log_lines(screen: &Screen, entry: &LogEntry) -> impl Iterator<Item = String> {
    entry.text.split('\n').map(move |line| {
        let text = printable(line);
        match entry.level {
            Level::Output => screen.paint(Style::Dim, &text),
            Level::Error => screen.paint(Style::Warn, &text),
            Level::Info => text,
            Level::Warn => screen.paint(Style::Warn, &format!("warning: {text}")),
        }
    })
}
