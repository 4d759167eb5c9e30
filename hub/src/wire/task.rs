//! Tasks over HTTP: what is asked for, how it goes, its log, and the live stream of both.

use kolga_protocol::id::{Attempt, TaskId, UnixMillis};
use kolga_protocol::message::{Failure, Level, StepPhase};
use kolga_protocol::names::ServerName;
use kolga_protocol::object::Lane;
use kolga_protocol::state::State;
use kolga_protocol::task::Output;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::OperationId;

/// A task as it stands: what lists show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its identity; ids sort by the time of asking.
    pub id: TaskId,
    /// Where it runs.
    pub server: ServerName,
    /// Its type, `site.install`.
    pub kind: String,
    /// What it changes, `site:blog.example.org`; none where it changes nothing.
    pub object: Option<String>,
    /// The operation that it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationId>,
    /// Which of the worker's lanes it runs in.
    pub lane: Lane,
    /// The state of its newest attempt.
    pub state: State,
    /// Whether nothing more happens by itself: its newest attempt has ended and no other is planned.
    pub finished: bool,
    /// Its newest attempt.
    pub attempt: Attempt,
    /// When the hub will make the next attempt, after an interruption.
    pub retry_at: Option<UnixMillis>,
    /// Whether somebody has asked to cancel it.
    pub cancel_requested: bool,
    /// Who asked for it.
    pub requested_by: String,
    /// When it was asked for.
    pub created_at: UnixMillis,
    /// When its newest attempt began, by the worker's clock.
    pub started_at: Option<UnixMillis>,
    /// When its newest attempt ended, by the worker's clock.
    pub ended_at: Option<UnixMillis>,
    /// The step that its newest attempt is at, or was last at.
    pub step: Option<StepEntry>,
    /// Why it did not succeed, or why it rolls back or is stuck.
    pub failure: Option<Failure>,
    /// What it waits for, while something is in its way that somebody should look at: a server without
    /// a queue, a server that is silent, a broker that cannot be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
    /// Whether its log, or the beginning of it, and the steps in it are gone (`[retention]` of the hub).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub log_pruned: bool,
}

/// `GET /v1/tasks/{id}`, where `{id}` may also be an unambiguous beginning or end of an id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskDetail {
    /// The task as lists show it.
    #[serde(flatten)]
    pub task: Task,
    /// What was asked for: the parameters of its kind.
    pub params: Value,
    /// What came of it: the output of its kind, once it succeeded.
    pub output: Option<Value>,
    /// Every attempt, the first first.
    pub attempts: Vec<AttemptDetail>,
}

/// One try at a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptDetail {
    /// Which.
    pub attempt: Attempt,
    /// Where it stands.
    pub state: State,
    /// When the hub made it.
    pub created_at: UnixMillis,
    /// When it began, by the worker's clock.
    pub started_at: Option<UnixMillis>,
    /// When it ended, by the worker's clock.
    pub ended_at: Option<UnixMillis>,
    /// Why it did not succeed, or why it rolls back or is stuck.
    pub failure: Option<Failure>,
    /// Every report about its steps, in order.
    pub steps: Vec<StepEntry>,
}

/// `POST /v1/tasks`: tasks of any kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTask {
    /// Where to run it.
    pub server: ServerName,
    /// Its type, `ping`.
    pub kind: String,
    /// The parameters of that kind; `{}` where left out.
    #[serde(default = "empty")]
    pub params: Value,
    /// How many such tasks to make, in one transaction; one where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
}

fn empty() -> Value {
    Value::Object(serde_json::Map::new())
}

/// The answer to `POST /v1/tasks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTasks {
    /// The tasks that were made, in order.
    pub tasks: Vec<TaskId>,
}

/// The answer to what makes or changes a task: verify, delete, cancel, retry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskAnswer {
    /// The task as it stands now.
    pub task: Task,
}

/// Lines of a task's log that came one after the other.
///
/// `seq`, here and in the other entries, is the hub's own number: it grows over all attempts and all
/// sorts of entries of one task, with gaps. It is the `after` of the log, the `id:` of the stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Its place among the task's entries.
    pub seq: i64,
    /// The attempt that wrote them.
    pub attempt: Attempt,
    /// When the last of them came, by the worker's clock.
    pub at: UnixMillis,
    /// How serious.
    pub level: Level,
    /// The step that they came from.
    pub step: Option<String>,
    /// The text, as it came: one line or more, with a line feed between two.
    pub text: String,
}

/// A step began, ended, or was undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepEntry {
    /// Its place among the task's entries.
    pub seq: i64,
    /// The attempt whose step it is.
    pub attempt: Attempt,
    /// When, by the worker's clock.
    pub at: UnixMillis,
    /// The step's name, `verb_noun`.
    pub name: String,
    /// Its place, from 1.
    pub position: u16,
    /// How many there are.
    pub total: u16,
    /// What it does.
    pub phase: StepPhase,
}

/// The task changed its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateEntry {
    /// Its place among the task's entries.
    pub seq: i64,
    /// The attempt that it is about.
    pub attempt: Attempt,
    /// When, by the clock of whoever changed it.
    pub at: UnixMillis,
    /// What it is now.
    pub state: State,
    /// [`Task::finished`]: the stream ends after an entry that says so.
    pub finished: bool,
    /// When the hub will make the next attempt.
    pub retry_at: Option<UnixMillis>,
    /// Why.
    pub failure: Option<Failure>,
}

/// `GET /v1/tasks/{id}/events`: one message of the stream. `event:` is [`Event::name`], `id:` is
/// [`Event::seq`], `data:` is this as JSON in one line. The stream begins with what is already known
/// (after `Last-Event-ID`, where the client sends one), so that nothing between two requests is lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// Lines of the log.
    Log(LogEntry),
    /// Progress.
    Step(StepEntry),
    /// A change of state.
    State(StateEntry),
}

impl Event {
    /// The stream's name for it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Log(_) => "log",
            Self::Step(_) => "step",
            Self::State(_) => "state",
        }
    }

    /// Its place among the task's entries.
    #[must_use]
    pub fn seq(&self) -> i64 {
        match self {
            Self::Log(entry) => entry.seq,
            Self::Step(entry) => entry.seq,
            Self::State(entry) => entry.seq,
        }
    }
}

/// An output without the kind around it, as [`TaskDetail::output`] has it.
///
/// # Errors
/// None that outputs of today's types can cause; kept so that nobody has to unwrap.
pub fn output_json(output: &Output) -> Result<Value, serde_json::Error> {
    let mut tagged = serde_json::to_value(output)?;
    Ok(tagged["output"].take())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kolga_protocol::task::ping;

    #[test]
    fn an_event_reads_back_from_one_line_of_json() {
        let event = Event::Step(StepEntry {
            seq: 7,
            attempt: Attempt::FIRST,
            at: UnixMillis(1),
            name: "create_database".to_owned(),
            position: 3,
            total: 9,
            phase: StepPhase::Applied,
        });
        let line = serde_json::to_string(&event).expect("events are plain data");
        assert!(line.starts_with(r#"{"type":"step","seq":7,"#), "{line}");
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Event>(&line).ok(), Some(event));
    }

    #[test]
    fn an_output_stands_without_its_kind() {
        let output = Output::Ping(ping::Output {
            worker_version: "1.2.3".to_owned(),
            at_micros: 7,
        });
        let json = output_json(&output).expect("outputs are plain data");
        assert_eq!(
            json,
            serde_json::json!({"worker_version": "1.2.3", "at_micros": 7})
        );
    }

    #[test]
    fn a_misspelt_field_of_a_request_is_an_error() {
        let wrong = serde_json::json!({"server": "web1", "kind": "ping", "cuont": 3});
        assert!(serde_json::from_value::<NewTask>(wrong).is_err());
    }
}
