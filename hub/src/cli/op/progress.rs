//! How far an operation is, live: one line that is written over on a terminal, elsewhere a line for each tenth.
//! Commands that start or resume one hand it to [`conclude`].

use std::time::Duration;

use tokio::time::Instant;

use super::super::client::Client;
use super::super::events::Parser;
use super::super::follow::Follow;
use super::super::screen::{Screen, Style};
use super::super::time::span;
use super::super::trouble::Trouble;
use super::{relocation, show, tally};
use crate::wire::{Counts, MOVE, Operation, OperationAnswer, OperationState};

/// How long a hub that went away is waited for, such as over its restart.
const PATIENCE: Duration = Duration::from_secs(120);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The width of the bar.
const BAR: usize = 24;

/// Ends a command that started or resumed an operation.
pub(in crate::cli) async fn conclude(
    follow: Follow,
    client: &Client,
    screen: &Screen,
    answer: &OperationAnswer,
) -> Result<(), Trouble> {
    let operation = &answer.operation;
    if let Some(live) = follow.is_live() {
        return stay(client, screen, operation, live).await;
    }
    if screen.is_json() {
        return Ok(screen.json(answer)?);
    }
    screen.line(&headline(screen, operation))?;
    let id = operation.id;
    screen.line(&format!("Watch it with: kolga op watch {id}"))?;
    Ok(())
}

fn headline(screen: &Screen, operation: &Operation) -> String {
    let id = screen.paint(Style::Bold, &operation.id.to_string());
    if operation.kind == MOVE {
        return format!("Operation {id}: moves {}", relocation::subject(operation));
    }
    let (kind, total) = (&operation.kind, operation.counts.total);
    format!("Operation {id}: {kind} on {total}")
}

/// Stays until nothing more happens by itself, or the operator leaves. Anything but success of all is no success.
pub(super) async fn stay(
    client: &Client,
    screen: &Screen,
    operation: &Operation,
    live: bool,
) -> Result<(), Trouble> {
    let mut line = Line::new(screen, live);
    line.begin(operation)?;
    let over = tokio::select! {
        over = watch(client, operation, &mut line) => over?,
        _ = tokio::signal::ctrl_c() => {
            line.end()?;
            screen.note(&format!(
                "\nThe operation goes on. See it with `kolga op watch {id}`; stop it with `kolga op pause {id}` or \
                 `kolga op cancel {id}`.",
                id = operation.id,
            ));
            return Err(Trouble::Interrupted);
        }
    };
    line.end()?;
    if screen.is_json() {
        if !live {
            screen.json(&over)?;
        }
    } else {
        conclusion(client, screen, &over).await?;
    }
    match over.state {
        OperationState::Finished if over.counts.succeeded == over.counts.total => Ok(()),
        OperationState::Paused => Err(Trouble::Paused),
        _ => Err(Trouble::TaskFailed),
    }
}

async fn conclusion(client: &Client, screen: &Screen, over: &Operation) -> Result<(), Trouble> {
    if over.kind == MOVE {
        return relocation::conclude(client, screen, over).await;
    }
    let well = over.counts.succeeded == over.counts.total;
    let (style, word) = match over.state {
        OperationState::Finished if well => (Style::Good, "Finished"),
        OperationState::Finished => (Style::Bad, "Finished, not all well"),
        OperationState::Paused => (Style::Warn, "Paused"),
        _ => (Style::Warn, "Cancelled"),
    };
    let took = over
        .finished_at
        .map(|end| format!(" in {}", span(over.created_at, end)));
    screen.line(&format!(
        "{}{}: {}: {}",
        screen.paint(style, word),
        took.unwrap_or_default(),
        over.kind,
        tally(&over.counts)
    ))?;
    if let Some(reason) = &over.reason {
        screen.line(&format!("  {reason}"))?;
    }
    show::not_well(client, screen, over).await?;
    let id = over.id;
    if over.state == OperationState::Paused {
        screen.line(&format!("Go on with: kolga op resume {id}"))?;
    } else if over.state == OperationState::Finished && !well {
        screen.line(&format!(
            "Once more for these: kolga op resume {id} --retry-failed"
        ))?;
    }
    Ok(())
}

/// Follows the stream, again where it broke, until the operation is at rest.
async fn watch(
    client: &Client,
    operation: &Operation,
    line: &mut Line<'_>,
) -> Result<Operation, Trouble> {
    let path = format!("/v1/operations/{}", operation.id);
    let mut give_up = Instant::now() + PATIENCE;
    let mut pause = FIRST_PAUSE;
    loop {
        match follow(client, &path, line).await {
            Ok(Some(over)) => return Ok(over),
            Ok(None) => {
                give_up = Instant::now() + PATIENCE;
                pause = FIRST_PAUSE;
            }
            Err(trouble) if trouble.may_pass() && Instant::now() < give_up => {}
            Err(trouble) => return Err(trouble),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// One stream, to its end; the operation, if it is at rest then.
async fn follow(
    client: &Client,
    path: &str,
    line: &mut Line<'_>,
) -> Result<Option<Operation>, Trouble> {
    let mut stream = client.stream(&format!("{path}/events"), None).await?;
    let mut parser = Parser::default();
    // Closed or broken, all the same: what is told at its beginning is how things stand.
    while let Ok(Some(bytes)) = stream.chunk().await {
        for operation in parser.take::<Operation>(&bytes) {
            line.show(&operation)?;
            if operation.state.is_at_rest() {
                return Ok(Some(operation));
            }
        }
    }
    Ok(None)
}

/// Items of which nothing more will come by itself.
pub(super) fn done(counts: &Counts) -> u64 {
    counts.total - counts.waiting - counts.open
}

/// Items that were not carried out well.
pub(super) fn not_well(counts: &Counts) -> u64 {
    counts.failed + counts.skipped + counts.cancelled
}

/// What stands on the screen.
struct Line<'a> {
    screen: &'a Screen,
    live: bool,
    /// One line is written over and over.
    over: bool,
    told: Option<(u64, u64)>,
}

impl<'a> Line<'a> {
    fn new(screen: &'a Screen, live: bool) -> Self {
        Self {
            screen,
            live,
            over: !screen.is_json() && screen.width().is_some(),
            told: None,
        }
    }

    fn begin(&self, operation: &Operation) -> std::io::Result<()> {
        if self.live && !self.screen.is_json() {
            self.screen.line(&headline(self.screen, operation))?;
        }
        Ok(())
    }

    fn show(&mut self, operation: &Operation) -> std::io::Result<()> {
        if !self.live {
            return Ok(());
        }
        if self.screen.is_json() {
            return self.screen.json_line(operation);
        }
        let counts = &operation.counts;
        let told = match operation.kind == MOVE {
            true => relocation::now(operation),
            false => tally(counts),
        };
        let text = format!("{} {told}", bar(counts));
        if self.over {
            let room = self.screen.width().unwrap_or(80).saturating_sub(1);
            let text: String = text.chars().take(room).collect();
            return self.screen.write(&format!("\r\x1b[K{text}"));
        }
        let tenth = (done(counts) * 10 / counts.total.max(1), not_well(counts));
        if self.told.replace(tenth) == Some(tenth) {
            return Ok(());
        }
        self.screen.line(&text)
    }

    fn end(&self) -> std::io::Result<()> {
        if self.live && self.over {
            self.screen.write("\r\x1b[K")?;
        }
        Ok(())
    }
}

/// `[#####>····]`: done, open, to come.
fn bar(counts: &Counts) -> String {
    let of = |number: u64| {
        let total = counts.total.max(1);
        usize::try_from(number * BAR as u64 / total).unwrap_or(BAR)
    };
    let done_to = of(done(counts));
    let open_to = of(done(counts) + counts.open).max(done_to);
    format!(
        "[{}{}{}]",
        "#".repeat(done_to),
        "-".repeat(open_to - done_to),
        " ".repeat(BAR - open_to)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_as_full_as_the_operation_is_done() {
        let counts = |waiting, open, succeeded| Counts {
            total: waiting + open + succeeded,
            waiting,
            open,
            succeeded,
            ..Counts::default()
        };
        assert_eq!(bar(&counts(8, 0, 0)), "[                        ]");
        assert_eq!(bar(&counts(4, 2, 2)), "[######------            ]");
        assert_eq!(bar(&counts(0, 0, 8)), "[########################]");
        assert_eq!(bar(&counts(0, 0, 0)).len(), BAR + 2);
    }
}
