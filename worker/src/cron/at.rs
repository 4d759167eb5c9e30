//! When in a day or a week, as the configuration says it (`03:30`, `sunday 03:30`), by UTC. Spokes that share what they work on
//! come one after the other, each by its name, within half an hour of that time.

use kolga_protocol::names::ServerName;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

const DAY: u64 = 86_400;
/// Within so many seconds they all come.
const SPREAD: u64 = 1800;
const DAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

/// A time of each day, or of one day of each week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct At {
    /// 0 is Monday.
    day: Option<u64>,
    /// Seconds since midnight.
    seconds: u64,
}

impl At {
    /// The first moment after `now` at which it is this spoke's turn; seconds since 1970.
    #[must_use]
    pub fn next(self, server: &ServerName, now: u64) -> u64 {
        let digest = Sha256::digest(server.as_str().as_bytes());
        let number = u64::from(digest[0]) << 8 | u64::from(digest[1]);
        let of_day = self.seconds + number % SPREAD;
        // A time shortly before midnight may come on the day after the one that is named.
        let first = (now / DAY).saturating_sub(1);
        let mut days = first..first + 10;
        let next = days.find(|day| {
            // 1970 began on a Thursday.
            let fits = self.day.is_none_or(|wanted| (day + 3) % 7 == wanted);
            fits && day * DAY + of_day > now
        });
        next.map_or(now + DAY, |day| day * DAY + of_day)
    }
}

impl TryFrom<String> for At {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let read = || {
            let mut words = text.split(' ');
            let (first, second) = (words.next()?, words.next());
            let (day, time) = match second {
                Some(time) => (Some(DAYS.iter().position(|&name| name == first)?), time),
                None => (None, first),
            };
            let (hours, minutes) = time.split_once(':')?;
            let number = |text: &str, most: u64| -> Option<u64> {
                let plain = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
                text.parse().ok().filter(|&number| plain && number < most)
            };
            let seconds = number(hours, 24)? * 3600 + number(minutes, 60)? * 60;
            words.next().is_none().then_some(Self {
                day: day.map(|day| day as u64),
                seconds,
            })
        };
        read().ok_or_else(|| {
            format!("{text:?} is no time such as \"03:30\" or \"sunday 03:30\", by UTC")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Result<At, String> {
        At::try_from(text.to_owned())
    }

    #[test]
    fn a_time_is_of_each_day_or_of_one_day_of_the_week() {
        let server: ServerName = "web1".parse().expect("a name");
        // 2026-03-02 is a Monday: day 20514.
        let midnight = 20_514 * DAY;
        let spread = at("00:00").expect("right").next(&server, midnight - 1) - midnight;
        assert!(spread < SPREAD, "{spread}");
        let half_past_three = 3 * 3600 + 1800 + spread;
        let daily = at("03:30").expect("right");
        assert_eq!(daily.next(&server, midnight), midnight + half_past_three);
        let first = midnight + half_past_three;
        assert_eq!(daily.next(&server, first), first + DAY);
        assert_eq!(daily.next(&server, first - 1), first);
        let weekly = at("monday 03:30").expect("right");
        assert_eq!(weekly.next(&server, midnight), first);
        assert_eq!(weekly.next(&server, first), first + 7 * DAY);
        let sunday = at("sunday 03:30").expect("right");
        assert_eq!(sunday.next(&server, midnight), first + 6 * DAY);
        // Past midnight, yet of Sunday.
        let late = at("sunday 23:59").expect("right");
        let then = midnight - 60 + spread;
        assert_eq!(late.next(&server, midnight - DAY), then);
        assert_eq!(late.next(&server, then), then + 7 * DAY);
    }

    #[test]
    fn spokes_come_one_after_the_other() {
        let daily = at("03:30").expect("right");
        let times = (0..60).map(|number| {
            let server = format!("web{number}").parse().expect("a name");
            daily.next(&server, 20_514 * DAY)
        });
        let minutes: std::collections::BTreeSet<u64> = times.map(|time| time / 60).collect();
        assert!(minutes.len() > 15, "60 spokes in {} minutes", minutes.len());
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for wrong in [
            "",
            "3:30",
            "24:00",
            "03:60",
            "0330",
            "Sunday 03:30",
            "sunday",
            "sunday  03:30",
            "sunday 03:30 ",
            "+3:30",
            "03:30 sunday",
        ] {
            assert!(at(wrong).is_err(), "{wrong}");
        }
    }
}
