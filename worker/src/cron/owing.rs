//! Snapshots that do not count, of backups that were undone or forgotten while their host was away, go once it answers: it is asked
//! a moment after the first was noted, and then after pauses that grow, for as long as something is owed.

use std::sync::Arc;

use super::kept::Kept;
use super::{context, unless_halted};
use crate::run::Turn;
use crate::spoke::Spoke;

/// Seconds until the first try, and between two at most.
const FIRST: u64 = 1;
const LONGEST: u64 = 3600;

/// When it is tried next.
#[derive(Debug, Default)]
pub(super) struct Owing(Option<Next>);

#[derive(Debug)]
struct Next {
    at: u64,
    pause: u64,
}

impl Owing {
    /// Looks whether something is owed.
    pub(super) fn read(&mut self, spoke: &Spoke, now: u64) {
        match count(spoke) {
            Ok(owed) => self.know(owed > 0, now),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(error, "what is owed to the backups cannot be read");
            }
        }
    }

    fn know(&mut self, owes: bool, now: u64) {
        if !owes {
            self.0 = None;
            return;
        }
        let next = self.0.get_or_insert(Next {
            at: now + FIRST,
            pause: FIRST,
        });
        // The clock was set back since.
        next.at = next.at.min(now + next.pause);
    }

    /// Whether it is time to try; the next time comes later than this one did.
    pub(super) fn is_due(&mut self, now: u64) -> bool {
        let Some(next) = self.0.as_mut().filter(|next| next.at <= now) else {
            return false;
        };
        next.pause = (next.pause * 2).min(LONGEST);
        next.at = now + next.pause;
        true
    }

    /// The backups were in use this time.
    pub(super) fn postpone(&mut self, at: u64) {
        if let Some(next) = &mut self.0 {
            next.at = next.at.min(at);
        }
    }

    /// Seconds until the next try; `None` when nothing is owed.
    pub(super) fn pause(&self, now: u64) -> Option<u64> {
        let next = self.0.as_ref()?;
        Some(next.at.saturating_sub(now))
    }
}

/// How many backups do not count and are to go.
pub(super) fn count(spoke: &Spoke) -> anyhow::Result<usize> {
    match &spoke.backups {
        Some(restic) => Ok(restic.owed(&spoke.config.state_dir)?.len()),
        None => Ok(0),
    }
}

/// Tries once.
pub(super) async fn once(spoke: Arc<Spoke>, turn: Turn) {
    let kept = Arc::new(Kept::default());
    let cx = context(spoke, &turn, &kept);
    let settled = unless_halted(&cx, &turn, async {
        cx.spoke.need_backups()?.settle_owed(&cx).await
    });
    match settled.await {
        Ok(gone) => tracing::info!(gone, "backups that did not count are forgotten"),
        Err(error) => {
            let (error, said) = (format!("{error:#}"), kept.said());
            tracing::warn!(
                error,
                said,
                "backups that do not count cannot be forgotten yet"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_asked_soon_then_seldom_and_not_at_all_when_nothing_is_owed() {
        let (mut owing, mut now) = (Owing::default(), 1_000_000);
        owing.know(false, now);
        assert_eq!((owing.is_due(now), owing.pause(now)), (false, None));
        let mut pauses = Vec::new();
        for _ in 0..13 {
            owing.know(true, now);
            let pause = owing.pause(now).expect("it is owed");
            assert!(!owing.is_due(now + pause - 1));
            now += pause;
            assert!(owing.is_due(now) && !owing.is_due(now));
            pauses.push(pause);
        }
        assert_eq!((pauses[0], pauses[1], pauses[12]), (1, 2, 3600));
        owing.postpone(now + 60);
        assert_eq!(owing.pause(now), Some(60), "the backups were in use");
        owing.know(true, now - 100_000);
        let pause = owing.pause(now - 100_000).expect("owed");
        assert!(pause <= 3600, "the clock was set back: {pause}");
        owing.know(false, now);
        owing.know(true, now);
        assert_eq!(owing.pause(now), Some(1), "begins anew");
    }
}
