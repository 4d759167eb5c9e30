//! How often, as a profile says it (`15m`), and when a site's turn is: at the same distance from its neighbours'
//! every time, by its name, so that a spoke with many sites is never asked for all of them at once.

use kolga_protocol::names::HostName;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// Seconds between two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Every(u64);

impl Every {
    /// The first moment after `now` at which it is this site's turn; seconds since 1970.
    #[must_use]
    pub fn next(self, host: &HostName, now: u64) -> u64 {
        let digest = Sha256::digest(host.as_str().as_bytes());
        let number = digest
            .iter()
            .take(8)
            .fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        let offset = number % self.0;
        let since = (now + self.0 - offset) % self.0;
        now - since + self.0
    }
}

impl TryFrom<String> for Every {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        const DAY: u64 = 86_400;
        let number = text.get(..text.len().saturating_sub(1));
        let unit = match text.chars().last() {
            Some('m') => Some(60),
            Some('h') => Some(3600),
            Some('d') => Some(DAY),
            _ => None,
        };
        number
            .and_then(|number| number.parse::<u64>().ok())
            .zip(unit)
            .and_then(|(number, unit)| number.checked_mul(unit))
            .filter(|seconds| (60..=7 * DAY).contains(seconds))
            .map(Self)
            .ok_or_else(|| format!("{text:?} is no time from 1m to 7d, such as 15m or 1h"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every(text: &str) -> Result<Every, String> {
        Every::try_from(text.to_owned())
    }

    #[test]
    fn times_are_minutes_hours_or_days_and_neither_too_short_nor_too_long() {
        assert_eq!(every("15m"), Ok(Every(900)));
        assert_eq!(every("1h"), Ok(Every(3600)));
        assert_eq!(every("7d"), Ok(Every(7 * 86_400)));
        for wrong in [
            "",
            "m",
            "15",
            "0m",
            "8d",
            "-1m",
            "15s",
            "99999999999999999999d",
            "1é",
        ] {
            assert!(every(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_sites_turns_are_evenly_apart_and_sites_are_spread() {
        let every = every("15m").expect("right");
        let mut minutes = std::collections::BTreeSet::new();
        for number in 0..60 {
            let host = format!("site{number}.example.org").parse().expect("a host");
            let first = every.next(&host, 1_700_000_000);
            assert!((1..=900).contains(&(first - 1_700_000_000)), "{first}");
            assert_eq!(every.next(&host, first), first + 900);
            assert_eq!(every.next(&host, first - 1), first);
            minutes.insert(first / 60);
        }
        assert!(minutes.len() > 10, "60 sites in {} minutes", minutes.len());
    }
}
