//! The states of one attempt at a task, and the only judge of which event may follow which.
//!
//! The worker's journal, the hub's inbox and relay, the sweeper and the constraints of both databases
//! all follow [`State::on`]. `docs/STATES.md` draws it.
//!
//! Reports may overtake the hub's own bookkeeping (a worker answers before the hub has recorded that
//! the message was confirmed), so an event that tells of something already left behind is
//! [`Next::Stale`]: no error, no change. What could never have happened is an [`IllegalEvent`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where an attempt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The hub has it, with its message in the outbox.
    Queued,
    /// The broker has confirmed it.
    Sent,
    /// The worker's journal has it.
    Accepted,
    /// The worker runs its steps.
    Running,
    /// The worker undoes its steps.
    RollingBack,
    /// An undo failed, or what lies past the point of no return cannot be finished. Its objects stay
    /// locked until an operator decides. Not an end.
    Stuck,
    /// It happened, whole.
    Succeeded,
    /// An error; nothing is left of it (or an operator abandoned what was left).
    Failed,
    /// Somebody cancelled it; nothing is left of it.
    Cancelled,
    /// The worker was stopped or died in the middle; nothing is left of it. The hub makes a new
    /// attempt where the type allows it.
    Interrupted,
    /// The worker would not take it: unknown kind, wrong server, expired, older attempt, bad parameters.
    Rejected,
}

/// What happens to an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The broker confirmed the message.
    Sent,
    /// The worker journaled it.
    Accepted,
    /// Its first step begins.
    Started,
    /// The worker begins to undo; also an operator's `retry-undo`.
    RollingBack,
    /// An undo failed.
    Stuck,
    /// An operator finishes by hand what was stuck past the point of no return.
    Resumed,
    /// All steps are done.
    Succeeded,
    /// Undone after an error, or abandoned by an operator.
    Failed,
    /// Undone (or never begun) after a cancel.
    Cancelled,
    /// Undone (or never begun) after the worker was stopped or died.
    Interrupted,
    /// Refused.
    Rejected,
}

/// What an event changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The attempt is now in this state.
    To(State),
    /// Old news: the attempt is already past that.
    Stale,
}

/// An event that can never follow this state: two parts of the system disagree about the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an attempt that is {state} cannot become {event}")]
pub struct IllegalEvent {
    /// Where the attempt stood.
    pub state: State,
    /// What was said to have happened.
    pub event: Event,
}

impl State {
    /// Every state, in the order in which an attempt may pass through them.
    pub const ALL: [Self; 11] = [
        Self::Queued,
        Self::Sent,
        Self::Accepted,
        Self::Running,
        Self::RollingBack,
        Self::Stuck,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::Interrupted,
        Self::Rejected,
    ];

    /// Whether nothing can follow.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Succeeded | Self::Failed | Self::Cancelled | Self::Interrupted | Self::Rejected
        )
    }

    /// The state after `event`.
    ///
    /// # Errors
    /// [`IllegalEvent`] when `event` can never follow this state.
    pub fn on(self, event: Event) -> Result<Next, IllegalEvent> {
        use State::{
            Accepted, Cancelled, Failed, Interrupted, Queued, Rejected, RollingBack, Running, Sent,
            Stuck, Succeeded,
        };
        let next = match (self, event) {
            (Queued, Event::Sent) => Sent,
            (Queued | Sent, Event::Accepted) => Accepted,
            (Queued | Sent | Accepted, Event::Started) => Running,

            // Undoing begins while running, at recovery, and again when an operator says so.
            (Queued | Sent | Accepted | Running | Stuck, Event::RollingBack) => RollingBack,
            // Stuck without undoing: past the point of no return there is nothing to undo.
            (Queued | Sent | Accepted | Running | RollingBack, Event::Stuck) => Stuck,
            (Queued | Sent | Accepted | Stuck, Event::Resumed) => Running,

            // Out of stuck too, here and below: the news that an operator had it tried again may be lost.
            (Queued | Sent | Accepted | Running | Stuck, Event::Succeeded) => Succeeded,
            // Without an undo before it: a check that refuses before anything is touched, or a task
            // that is dropped before its start.
            (Queued | Sent | Accepted | Running | RollingBack | Stuck, Event::Failed) => Failed,
            (Queued | Sent | Accepted | Running | RollingBack | Stuck, Event::Cancelled) => {
                Cancelled
            }
            (Queued | Sent | Accepted | Running | RollingBack | Stuck, Event::Interrupted) => {
                Interrupted
            }
            (Queued | Sent, Event::Rejected) => Rejected,

            // Late or doubled news of what has been passed.
            (Sent | Accepted | Running | RollingBack | Stuck, Event::Sent)
            | (Accepted | Running | RollingBack | Stuck, Event::Accepted)
            | (Running | RollingBack | Stuck, Event::Started)
            | (RollingBack, Event::RollingBack)
            | (Stuck, Event::Stuck)
            | (Running, Event::Resumed) => return Ok(Next::Stale),
            // The relay may record its confirm after the whole task has ended.
            (
                Succeeded | Failed | Cancelled | Interrupted | Rejected,
                Event::Sent | Event::Accepted | Event::Started,
            )
            | (Succeeded, Event::Succeeded)
            | (Failed, Event::Failed)
            | (Cancelled, Event::Cancelled)
            | (Interrupted, Event::Interrupted)
            | (Rejected, Event::Rejected) => return Ok(Next::Stale),

            (state, event) => return Err(IllegalEvent { state, event }),
        };
        Ok(Next::To(next))
    }

    /// The name by which databases, JSON and people know it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Accepted => "accepted",
            Self::Running => "running",
            Self::RollingBack => "rolling_back",
            Self::Stuck => "stuck",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
            Self::Rejected => "rejected",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text names no state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a task state")]
pub struct UnknownState(String);

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownState(text.to_owned()))
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sent => "sent",
            Self::Accepted => "accepted",
            Self::Started => "started",
            Self::RollingBack => "rolling back",
            Self::Stuck => "stuck",
            Self::Resumed => "resumed",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
            Self::Rejected => "rejected",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: [Event; 11] = [
        Event::Sent,
        Event::Accepted,
        Event::Started,
        Event::RollingBack,
        Event::Stuck,
        Event::Resumed,
        Event::Succeeded,
        Event::Failed,
        Event::Cancelled,
        Event::Interrupted,
        Event::Rejected,
    ];

    #[test]
    fn nothing_leaves_a_terminal_state() {
        for state in State::ALL.into_iter().filter(|s| s.is_terminal()) {
            for event in EVENTS {
                assert!(
                    !matches!(state.on(event), Ok(Next::To(_))),
                    "{state} left by {event}"
                );
            }
        }
    }

    #[test]
    fn every_state_can_reach_an_end() {
        for state in State::ALL.into_iter().filter(|s| !s.is_terminal()) {
            let ends = EVENTS
                .iter()
                .any(|&event| matches!(state.on(event), Ok(Next::To(next)) if next.is_terminal()));
            assert!(ends, "{state} cannot end");
        }
    }

    #[test]
    fn an_event_told_twice_changes_nothing_the_second_time() {
        for state in State::ALL {
            for event in EVENTS {
                if let Ok(Next::To(next)) = state.on(event) {
                    assert!(
                        !matches!(next.on(event), Ok(Next::To(other)) if other != next),
                        "{state} --{event}--> {next} moves again"
                    );
                }
            }
        }
    }

    #[test]
    fn a_rollback_never_ends_as_a_success() {
        assert!(State::RollingBack.on(Event::Succeeded).is_err());
        assert!(State::RollingBack.on(Event::Resumed).is_err());
    }

    /// What a worker may do with an attempt, from its acceptance to its end.
    const WAYS: [&[Event]; 6] = [
        &[Event::Accepted, Event::Started, Event::Succeeded],
        &[
            Event::Accepted,
            Event::Started,
            Event::RollingBack,
            Event::Failed,
        ],
        &[
            Event::Accepted,
            Event::Started,
            Event::RollingBack,
            Event::Stuck,
            Event::RollingBack,
            Event::Cancelled,
        ],
        &[
            Event::Accepted,
            Event::Started,
            Event::RollingBack,
            Event::Stuck,
            Event::RollingBack,
            Event::Interrupted,
        ],
        &[
            Event::Accepted,
            Event::Started,
            Event::Stuck,
            Event::Resumed,
            Event::Stuck,
            Event::Resumed,
            Event::Succeeded,
        ],
        &[Event::Accepted, Event::Started, Event::Stuck, Event::Failed],
    ];

    #[test]
    fn whatever_news_is_lost_the_rest_is_legal_and_the_last_word_counts() {
        let last_of = |way: &[Event]| {
            way.iter().fold(State::Sent, |state, event| {
                match state.on(*event).expect("every part of a way is legal") {
                    Next::To(next) => next,
                    Next::Stale => state,
                }
            })
        };
        for way in WAYS {
            for lost in 0..1_u32 << (way.len() - 1) {
                let heard: Vec<Event> = (0..way.len())
                    .filter(|place| lost & (1 << place) == 0)
                    .map(|place| way[place])
                    .collect();
                assert_eq!(
                    last_of(&heard),
                    last_of(way),
                    "heard of {way:?} only {heard:?}"
                );
            }
        }
    }

    #[test]
    fn every_name_reads_back() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert!("spinning".parse::<State>().is_err());
    }

    #[test]
    fn an_impossible_event_is_told_by_both_names() {
        let illegal = State::RollingBack.on(Event::Succeeded).expect_err("never");
        assert_eq!(
            illegal.to_string(),
            "an attempt that is rolling_back cannot become succeeded"
        );
    }
}
