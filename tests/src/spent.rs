//! Where the time of a run of tests goes: parts with names, added up and told at the end.

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};
use std::time::{Duration, Instant};

/// Time by what it was spent on, and how often.
#[derive(Clone, Debug, Default)]
pub struct Spent(BTreeMap<&'static str, (Duration, u32)>);

impl Spent {
    /// Adds what has passed since `began`.
    pub fn since(&mut self, what: &'static str, began: Instant) {
        self.add(what, began.elapsed(), 1);
    }

    /// Adds what another has.
    pub fn join(&mut self, other: Self) {
        for (what, (time, times)) in other.0 {
            self.add(what, time, times);
        }
    }

    fn add(&mut self, what: &'static str, time: Duration, times: u32) {
        let known = self.0.entry(what).or_default();
        known.0 += time;
        known.1 += times;
    }
}

impl Display for Spent {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let mut parts: Vec<_> = self.0.iter().collect();
        parts.sort_by_key(|(_, (time, _))| std::cmp::Reverse(*time));
        for (number, (what, (time, times))) in parts.into_iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{what} {:.1} s in {times}", time.as_secs_f64())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_added_up_and_the_longest_is_told_first() {
        let mut spent = Spent::default();
        spent.add("short", Duration::from_millis(100), 1);
        spent.add("long", Duration::from_secs(2), 1);
        let mut other = Spent::default();
        other.add("short", Duration::from_millis(200), 2);
        spent.join(other);
        assert_eq!(spent.to_string(), "long 2.0 s in 1, short 0.3 s in 3");
    }
}
