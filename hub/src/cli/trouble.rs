//! What keeps a command from being done, as a person reads it and as an exit code. Every command ends
//! here when it does not end well.

use std::io;
use std::process::ExitCode;

use kolga_protocol::message::printable;

use super::screen::{Screen, Style};
use crate::wire;

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// A task did not succeed; it has been shown already.
    #[error("the task did not succeed")]
    TaskFailed,
    /// An operation stopped early, and can be resumed; it has been shown already.
    #[error("the operation is paused")]
    Paused,
    /// The hub answered, and would not.
    #[error("{}", error.message)]
    Refused {
        /// Why, in its words.
        error: wire::Error,
    },
    /// The command line is wrong in a way that clap cannot see.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: String,
    },
    /// Nothing that is a hub answers.
    #[error("the hub at {hub} cannot be reached: {reason}")]
    Unreachable {
        /// Where it should be.
        hub: String,
        /// Why not.
        reason: String,
    },
    /// The operator has seen enough.
    #[error("interrupted")]
    Interrupted,
    /// The hub could not start, or not go on.
    #[error("{0:#}")]
    Daemon(#[from] anyhow::Error),
    /// Something on this machine, most likely stdout.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Trouble {
    /// Whether it may be over by itself in a moment, such as a hub that starts again.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { error } => matches!(error.code.as_str(), "stopping" | "too_slow"),
            _ => false,
        }
    }

    /// What happened, for programs: the same shape as the hub's own errors.
    fn as_error(&self) -> wire::Error {
        let (code, hint) = match self {
            Self::Refused { error } => return error.clone(),
            Self::TaskFailed => ("task_failed", None),
            Self::Paused => ("operation_paused", None),
            Self::Usage { hint, .. } => ("usage", Some(hint.clone())),
            Self::Unreachable { .. } => (
                "hub_unreachable",
                Some(
                    "Is it running (`systemctl status kolga`, or `kolga serve`)? Is the address \
                     right (--hub, KOLGA_HUB)?"
                        .to_owned(),
                ),
            ),
            Self::Interrupted => ("interrupted", None),
            Self::Daemon(_) => ("not_started", None),
            Self::Io(_) => ("io", None),
        };
        wire::Error {
            code: code.to_owned(),
            message: self.to_string(),
            hint,
        }
    }

    /// Tells the operator, and gives the process its exit code.
    pub(super) fn show(&self, screen: &Screen) -> ExitCode {
        match self {
            // Whoever reads our output has closed it: `kolga task list | head`.
            Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                return ExitCode::SUCCESS;
            }
            Self::TaskFailed | Self::Paused | Self::Interrupted => {}
            _ => {
                let error = self.as_error();
                let name = screen.paint_stderr(Style::Bad, "error:");
                screen.note(&format!("{name} {}", printable(&error.message)));
                if let Some(hint) = &error.hint {
                    screen.note(&format!("  {}", printable(hint)));
                }
                if screen.is_json() {
                    // Nothing is left to be done when this fails too.
                    drop(screen.json(&wire::ErrorBody { error }));
                }
            }
        }
        ExitCode::from(self.exit_code())
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::TaskFailed | Self::Refused { .. } | Self::Daemon(_) | Self::Io(_) => 1,
            Self::Usage { .. } => 2,
            Self::Unreachable { .. } => 3,
            Self::Paused => 4,
            // 128 + SIGINT, as shells report it.
            Self::Interrupted => 130,
        }
    }
}
