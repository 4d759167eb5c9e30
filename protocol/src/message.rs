//! The messages between hub and worker. What each one is for, and in which queue it lies, is told by
//! [`crate::topology`]; how it becomes bytes, by [`crate::envelope`].

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::id::{Attempt, Run, TaskId, UnixMillis};
use crate::names::ServerName;
use crate::object::Lane;
use crate::state::{Event, State};
use crate::task::{Kind, Payload};

/// The longest line of a log, in bytes; a longer one is cut by the worker, with a mark.
pub const LOG_LINE_BYTES: usize = 8 * 1024;
/// The most bytes of text in one [`LogLines`]: what a report costs is then shared by many lines, and what a
/// reader holds of one is bounded.
pub const LOG_TEXT_BYTES: usize = 32 * 1024;

/// Hub → worker: run this. Sent again with the same identity whenever the hub is not sure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskMessage {
    /// Which attempt at which task.
    pub run: Run,
    /// For which server it is meant; a worker refuses what is not for its own.
    pub server: ServerName,
    /// When the hub made the attempt.
    pub issued_at: UnixMillis,
    /// After this the worker refuses to begin it.
    pub expires_at: Option<UnixMillis>,
    /// Who asked, for the worker's log.
    pub requested_by: String,
    /// What to run. Its kind may be unknown to the worker, which then rejects it by name.
    pub payload: Payload,
}

/// Hub → worker: several tasks of one server in one message, since what a message costs at the broker is the
/// same for one and for many. The worker takes each for itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tasks {
    /// The tasks, in the order in which they were asked for.
    pub items: Vec<TaskMessage>,
}

/// Hub → worker, beside the queue of tasks so that a full backlog cannot hold it up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Control {
    /// Drop the attempt or roll it back.
    Cancel {
        /// Which.
        run: Run,
        /// Who asked.
        requested_by: String,
    },
    /// Which of these does your journal not know? Answered by an [`Answer`], which says again what was asked.
    Query {
        /// The attempts that the hub believes to be with the worker.
        runs: Vec<Asked>,
    },
}

/// An attempt that a worker is asked about. Question and answer carry where it stood: only what the worker had
/// taken by then can have been forgotten, however late the answer comes, or how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Which.
    pub run: Run,
    /// Where it stood, as far as the hub knew when it asked.
    pub state: State,
}

/// Worker → hub: a batch of what its spool holds, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reports {
    /// Who reports.
    pub server: ServerName,
    /// The journal that it comes from: a new one after a machine was rebuilt.
    pub journal: Uuid,
    /// The reports, in the order in which they were made.
    pub items: Vec<Report>,
}

/// One thing that happened to an attempt. `seq` begins at 1 and has no gap within (task, attempt), so
/// the receiver sees doubled and missing ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Which attempt at which task.
    pub run: Run,
    /// Its number within the attempt.
    pub seq: u64,
    /// When, by the worker's clock.
    pub at: UnixMillis,
    /// What.
    pub body: ReportBody,
}

/// What a report tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReportBody {
    /// The attempt changed its state.
    State(StateReport),
    /// A step began or ended.
    Step(StepReport),
    /// Lines of the log.
    Log(LogLines),
    /// A cancel was refused; the task goes on.
    CancelRefused {
        /// Why, for the operator.
        reason: String,
    },
}

/// A change of state and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateReport {
    /// The event; [`crate::state::State::on`] says what it means.
    pub event: Event,
    /// Why: for every end but success, and for rolling back and stuck.
    pub failure: Option<Failure>,
    /// The result, with success only.
    pub output: Option<Payload>,
}

/// What went wrong, for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The step, where one was at fault.
    pub step: Option<String>,
    /// A sentence: what happened, to what, what to do.
    pub message: String,
    /// What is still there, when an undo failed.
    pub left_behind: Vec<String>,
}

/// Progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepReport {
    /// The step's name, `verb_noun`.
    pub name: String,
    /// Its place, from 1.
    pub position: u16,
    /// How many there are.
    pub total: u16,
    /// What it does now.
    pub phase: StepPhase,
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepPhase {
    /// It begins.
    Applying,
    /// It is done.
    Applied,
    /// It is being undone.
    Undoing,
    /// It has been undone.
    Undone,
    /// Past the point of no return it failed and will be tried again.
    Retrying,
}

/// Lines of output that came one after the other, of a child or of the worker itself, as they came: showing
/// them safely is the duty of whoever shows them ([`crate::message::printable`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLines {
    /// How serious.
    pub level: Level,
    /// The step that they came from.
    pub step: Option<String>,
    /// One line or more, with a line feed between two and none after the last: each of at most
    /// [`LOG_LINE_BYTES`], all together of at most [`LOG_TEXT_BYTES`].
    pub text: String,
}

/// How serious a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// What a child wrote to its standard output.
    Output,
    /// What a child wrote to its standard error.
    Error,
    /// What the worker says.
    Info,
    /// What the worker warns of, such as a gap in a log that was too long.
    Warn,
}

/// Worker → hub: the answer to a [`Control::Query`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Who answers.
    pub server: ServerName,
    /// Its journal.
    pub journal: Uuid,
    /// The attempts it was asked about that its journal does not hold.
    pub unknown: Vec<Asked>,
}

/// Worker → hub, now and then, not durable: I live, and this is what I do. Sent by the loop that
/// consumes, so that a worker that is deaf to its queue falls silent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Who.
    pub server: ServerName,
    /// Its journal.
    pub journal: Uuid,
    /// When, by its clock.
    pub at: UnixMillis,
    /// The worker's version.
    pub version: String,
    /// What it does.
    pub mood: Mood,
    /// Attempts running or rolling back.
    pub running: u32,
    /// Attempts accepted and waiting.
    pub waiting: u32,
    /// Attempts stuck.
    pub stuck: u32,
    /// Reports not yet confirmed by the broker.
    pub spooled: u64,
    /// The load average over one minute, in thousandths.
    pub load_milli: u32,
    /// Free bytes where sites lie.
    pub disk_free: u64,
    /// Why tasks wait that could begin otherwise.
    pub deferring: Option<Deferral>,
}

/// A worker lets tasks wait until its machine has room for them. It never makes one fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deferral {
    /// A sentence: what was measured, the bound, who waits.
    pub reason: String,
    /// Whether only those heavy tasks wait that take up room on the disk.
    pub growing_only: bool,
}

impl Deferral {
    /// Whether a task of this type waits.
    #[must_use]
    pub fn holds(&self, kind: Kind) -> bool {
        kind.lane() == Lane::Heavy && (!self.growing_only || kind.grows())
    }
}

/// What a worker does with its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mood {
    /// It takes tasks.
    Consuming,
    /// It takes none until there is room in its backlog.
    Full,
    /// An operator told it to take none.
    Paused,
    /// It is stopping.
    Draining,
}

impl StateReport {
    /// An event with nothing more to say.
    #[must_use]
    pub fn bare(event: Event) -> Self {
        Self {
            event,
            failure: None,
            output: None,
        }
    }

    /// An event and the reason for it.
    #[must_use]
    pub fn because(event: Event, failure: Failure) -> Self {
        Self {
            event,
            failure: Some(failure),
            output: None,
        }
    }
}

impl Failure {
    /// A failure of no step in particular, that left nothing behind.
    #[must_use]
    pub fn plain(message: impl Into<String>) -> Self {
        Self {
            step: None,
            message: message.into(),
            left_behind: Vec::new(),
        }
    }
}

impl Run {
    /// An attempt at a task.
    #[must_use]
    pub fn new(task: TaskId, attempt: Attempt) -> Self {
        Self { task, attempt }
    }
}

/// The text as it may be shown: control characters, escape sequences and the marks that turn the
/// direction of writing become visible, so that a log can neither drive a terminal nor forge a line.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let turns_writing = matches!(
            c,
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{061c}'
        );
        match c {
            '\t' => shown.push_str("    "),
            _ if c.is_control() || turns_writing || matches!(c, '\u{2028}' | '\u{2029}') => {
                shown.extend(c.escape_default());
            }
            _ => shown.push(c),
        }
    }
    shown
}
