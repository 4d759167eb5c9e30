//! `kolga-worker journal`: what was taken, what was begun, and what was left to an operator.

use clap::Subcommand;
use kolga_protocol::message::printable;

use super::{Form, ask};
use crate::config::Config;
use crate::control::Request;
use crate::journal::{Reader, TaskView};

#[derive(Debug, Subcommand)]
pub(super) enum Journal {
    /// The newest attempts, those that have not ended first.
    List {
        /// How many.
        #[arg(long, default_value_t = 20)]
        limit: u16,
        #[command(flatten)]
        form: Form,
    },
    /// One task, with the steps that its undoing rests on.
    Show {
        /// The task's id, or a part of it.
        task: String,
        #[command(flatten)]
        form: Form,
    },
    /// Try the undo of a stuck task again, after repairing what made it fail.
    RetryUndo {
        /// The task's id, or a part of it.
        task: String,
    },
    /// Give a stuck task up: it ends as failed, its objects are free, and what it left is yours to remove.
    Abandon {
        /// The task's id, or a part of it.
        task: String,
        /// Why; the hub keeps it.
        #[arg(long)]
        comment: String,
    },
}

impl Journal {
    pub(super) async fn run(self, config: &Config) -> anyhow::Result<()> {
        let mut reader = Reader::open(&config.journal_path())
            .await
            .map_err(|error| {
                anyhow::Error::new(error).context(format!(
                    "cannot read {}: has a worker ever run here?",
                    config.journal_path().display()
                ))
            })?;
        match self {
            Self::List { limit, form } => {
                print(&reader.list(i64::from(limit)).await?, form, false)?
            }
            Self::Show { task, form } => {
                let found = reader.find(&task).await?;
                anyhow::ensure!(!found.is_empty(), "the journal holds no task {task}");
                print(&found, form, true)?;
            }
            Self::RetryUndo { task } => {
                let run = stuck(&mut reader, &task).await?;
                ask(config, &Request::RetryUndo { run: run.clone() }).await?;
                say!("{run} is being undone again: see `kolga-worker status`.");
            }
            Self::Abandon { task, comment } => {
                let run = stuck(&mut reader, &task).await?;
                ask(
                    config,
                    &Request::Abandon {
                        run: run.clone(),
                        comment,
                    },
                )
                .await?;
                say!("{run} has been given up; its objects are free.");
            }
        }
        Ok(())
    }
}

/// The one stuck attempt that the text names.
async fn stuck(reader: &mut Reader, text: &str) -> anyhow::Result<String> {
    let found = reader.find(text).await?;
    anyhow::ensure!(!found.is_empty(), "the journal holds no task {text}");
    let stuck: Vec<&TaskView> = found.iter().filter(|view| view.state == "stuck").collect();
    match stuck.as_slice() {
        [one] => Ok(one.run.clone()),
        [] => anyhow::bail!("task {text} is {}, not stuck", found[0].state),
        several => anyhow::bail!(
            "{text} names {} stuck tasks: write more of the id",
            several.len()
        ),
    }
}

fn print(views: &[TaskView], form: Form, steps: bool) -> anyhow::Result<()> {
    if form.json {
        say!("{}", serde_json::to_string_pretty(views)?);
        return Ok(());
    }
    for view in views {
        let note = match (&view.cause, view.past_no_return) {
            (Some(cause), _) => printable(cause),
            (None, true) if view.ended_at.is_none() => "past its point of no return".to_owned(),
            (None, _) => String::new(),
        };
        say!("{}  {:<12} {:<16} {note}", view.run, view.state, view.kind);
        if steps {
            for step in &view.steps {
                say!("  {:>2} {:<9} {}", step.position, step.state, step.name);
                say!("     {}", printable(&step.record.to_string()));
            }
        }
    }
    Ok(())
}
