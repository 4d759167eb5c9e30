//! How far a phase is, for whoever waits for it: on stderr, once a second, and not at all when it is quick.

use std::time::{Duration, Instant};

use crate::cli::screen::Screen;

const EVERY: Duration = Duration::from_secs(1);

/// One phase.
pub(super) struct Progress<'a> {
    screen: &'a Screen,
    total: u64,
    what: &'static str,
    next: Instant,
}

impl<'a> Progress<'a> {
    pub(super) fn new(screen: &'a Screen, total: u64, what: &'static str) -> Self {
        Self {
            screen,
            total,
            what,
            next: Instant::now() + EVERY,
        }
    }

    /// So much is done.
    pub(super) fn tell(&mut self, done: u64) {
        if Instant::now() >= self.next {
            self.next += EVERY;
            let Self { total, what, .. } = self;
            self.screen.note(&format!("  {done} of {total} {what}"));
        }
    }
}
