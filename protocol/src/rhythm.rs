//! Rhythm: common moments for what a process does now and then, so that it wakes once for all of it. A timer
//! that nobody shares costs up to three wake-ups: tokio's wheel of timers looks again whenever a coarser ring
//! hands over to a finer one.
//!
//! Kept by the links' questions to the broker (`link/pulse.rs`) and by the worker's heartbeat.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::time::Instant;

/// From one moment to the next.
pub const EVERY: Duration = Duration::from_secs(20);

/// The last moment until `latest`, if there is one after `earliest`; else `latest`.
#[must_use]
pub fn moment(earliest: Instant, latest: Instant) -> Instant {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let since = latest.saturating_duration_since(*BEGAN);
    let over = since.as_nanos() % EVERY.as_nanos();
    let moment = latest - Duration::from_nanos(u64::try_from(over).unwrap_or(0));
    if moment > earliest { moment } else { latest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_may_wait_until_about_the_same_time_comes_at_the_same_moment() {
        let now = Instant::now();
        let first = moment(now, now + 2 * EVERY);
        assert!(first > now && first <= now + 2 * EVERY);
        let at = |millis| moment(now, first + Duration::from_millis(millis));
        assert_eq!((at(0), at(1), at(19_999)), (first, first, first));
        assert_eq!((at(20_000), at(39_999)), (first + EVERY, first + EVERY));
    }

    #[test]
    fn what_cannot_wait_for_a_moment_comes_when_it_has_to() {
        let first = moment(Instant::now(), Instant::now() + 2 * EVERY);
        let earliest = first + Duration::from_secs(1);
        let latest = first + Duration::from_secs(3);
        assert_eq!(moment(earliest, latest), latest);
        assert_eq!(moment(latest, latest), latest);
    }
}
