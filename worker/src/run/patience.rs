//! Patience: for how long what has to be done, an undo or a final step, is tried again before a person has
//! to look. A database server that is being restarted must not make a task stuck.
//!
//! Used by [`super::rollback`] and [`super::finish`].

use std::time::Duration;

use tokio::time::Instant;

use super::attempt::Attempt;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// What is left of it once the worker has been told to go at once.
const IN_A_HURRY: Duration = Duration::from_secs(2);

/// How patience ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Worn {
    /// It was tried for long enough.
    Out,
    /// The worker goes; its next start has new patience.
    Halted,
}

/// That of one step.
pub(super) struct Patience<'a> {
    attempt: &'a Attempt,
    until: Instant,
    pause: Duration,
}

impl<'a> Patience<'a> {
    pub(super) fn new(attempt: &'a Attempt) -> Self {
        let seconds = attempt.spoke.config.limits.undo_patience_seconds;
        Self {
            attempt,
            until: Instant::now() + Duration::from_secs(seconds),
            pause: FIRST_PAUSE,
        }
    }

    /// Waits before the next try.
    pub(super) async fn pause(&mut self) -> Result<(), Worn> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Worn::Out);
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        let over = Instant::now() + pause.min(left);
        tokio::select! {
            () = tokio::time::sleep_until(over) => Ok(()),
            () = self.hurried() => Err(Worn::Halted),
        }
    }

    async fn hurried(&self) {
        self.attempt.halt.cancelled().await;
        tokio::time::sleep(IN_A_HURRY).await;
    }
}
