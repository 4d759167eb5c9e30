//! Which backups of a site are kept: so many of the last days, weeks and months in which there are some, the newest of each,
//! and always the newest of all. Days are those of UTC, weeks begin on Monday.

use std::collections::{BTreeMap, BTreeSet};

use kolga_protocol::id::UnixMillis;
use kolga_protocol::names::HostName;
use kolga_protocol::task::backup_list::Backup;

const DAY: i64 = 24 * 60 * 60 * 1000;

/// To which day, week or month a day belongs.
type Period = fn(i64) -> i64;

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Days.
    pub daily: u32,
    /// Weeks.
    pub weekly: u32,
    /// Months.
    pub monthly: u32,
}

impl Policy {
    /// Of these times, the newest first, those that are kept.
    #[must_use]
    pub fn kept(self, newest_first: &[UnixMillis]) -> Vec<bool> {
        let mut kept: Vec<bool> = newest_first.iter().map(|_| false).collect();
        if let Some(newest) = kept.first_mut() {
            *newest = true;
        }
        let rules: [(u32, Period); 3] = [
            (self.daily, |day| day),
            (self.weekly, week),
            (self.monthly, month),
        ];
        for (most, period) in rules {
            let mut seen = BTreeSet::new();
            for (at, kept) in newest_first.iter().zip(&mut kept) {
                if seen.len() < most as usize && seen.insert(period(at.0.div_euclid(DAY))) {
                    *kept = true;
                }
            }
        }
        kept
    }

    /// Of these backups, those that are not kept, the newest first. Each site is judged by itself.
    #[must_use]
    pub fn outdated(self, all: Vec<Backup>) -> Vec<Backup> {
        let mut sites: BTreeMap<HostName, Vec<Backup>> = BTreeMap::new();
        for backup in all {
            sites.entry(backup.site.clone()).or_default().push(backup);
        }
        let mut gone = Vec::new();
        for mut backups in sites.into_values() {
            backups.sort_by_key(newest_first);
            let times: Vec<_> = backups.iter().map(|backup| backup.at).collect();
            let judged = backups.into_iter().zip(self.kept(&times));
            gone.extend(judged.filter(|(_, kept)| !kept).map(|(backup, _)| backup));
        }
        gone.sort_by_key(newest_first);
        gone
    }
}

fn newest_first(backup: &Backup) -> std::cmp::Reverse<(i64, String)> {
    std::cmp::Reverse((backup.at.0, backup.id.clone()))
}

/// The week of a day since 1970, which began on a Thursday.
fn week(day: i64) -> i64 {
    (day + 3).div_euclid(7)
}

/// The month of a day since 1970, counted from year 0: the days of 400 years are always as many
/// (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
fn month(day: i64) -> i64 {
    let day = day + 719_468;
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    // Years that begin in March.
    let from_march = (5 * of_year + 2) / 153;
    (era * 400 + year) * 12 + from_march
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Days since 1970.
    fn kept(policy: (u32, u32, u32), days: &[i64]) -> Vec<i64> {
        let (daily, weekly, monthly) = policy;
        let policy = Policy {
            daily,
            weekly,
            monthly,
        };
        let times: Vec<UnixMillis> = days.iter().map(|day| UnixMillis(day * DAY + 1)).collect();
        let kept = policy.kept(&times);
        days.iter()
            .zip(kept)
            .filter(|(_, kept)| *kept)
            .map(|(day, _)| *day)
            .collect()
    }

    #[test]
    fn of_each_day_week_and_month_the_newest_is_kept_and_the_newest_of_all_always() {
        // 2026-03-02 is a Monday: day 20514.
        let monday = 20_514;
        let days: Vec<i64> = (0..100).map(|back| monday - back).collect();
        assert_eq!(kept((3, 0, 0), &days), [monday, monday - 1, monday - 2]);
        assert_eq!(
            kept((0, 3, 0), &days),
            [monday, monday - 1, monday - 8],
            "Sundays"
        );
        // The last days of February and January.
        assert_eq!(kept((0, 0, 3), &days), [monday, monday - 2, monday - 30]);
        assert_eq!(kept((1, 2, 2), &days), [monday, monday - 1, monday - 2]);
        assert_eq!(kept((0, 0, 0), &days), [monday]);
        assert_eq!(
            kept((2, 0, 0), &[9, 9, 9, 7, 7, 1]),
            [9, 7],
            "periods without any do not count"
        );
        assert!(kept((9, 9, 9), &[]).is_empty());
    }

    #[test]
    fn each_site_is_judged_by_itself_and_what_goes_is_named_the_newest_first() {
        let backup = |id: &str, site: &str, day: i64| Backup {
            id: id.to_owned(),
            site: site.parse().expect("a host"),
            at: UnixMillis(day * DAY),
        };
        let all = vec![
            backup("1", "a.test", 1),
            backup("2", "b.test", 1),
            backup("3", "a.test", 2),
            backup("4", "a.test", 3),
            backup("5", "b.test", 9),
        ];
        let policy = Policy {
            daily: 1,
            weekly: 0,
            monthly: 0,
        };
        let gone = policy.outdated(all);
        let gone: Vec<&str> = gone.iter().map(|backup| &*backup.id).collect();
        assert_eq!(gone, ["3", "2", "1"]);
    }

    #[test]
    fn months_change_where_the_calendar_says() {
        // 1970-01-31/02-01, 2000-02-29/03-01, 2024-02-29/03-01, 2100-02-28/03-01.
        for last in [30, 11_016, 19_782, 47_540] {
            assert_eq!(month(last) + 1, month(last + 1), "day {last}");
            assert_eq!(month(last), month(last - 27), "day {last}");
        }
    }

    proptest::proptest! {
        /// The same said otherwise: a backup is kept when it is the newest of all, or the newest of a day, week or month
        /// than which fewer later ones have backups than the policy names.
        #[test]
        fn a_backup_is_kept_exactly_when_the_policy_says_so(
            times in proptest::collection::vec(0_i64..1000 * DAY, 0..60),
            daily in 0_u32..10, weekly in 0_u32..6, monthly in 0_u32..30,
        ) {
            let mut times: Vec<UnixMillis> = times.into_iter().map(UnixMillis).collect();
            times.sort_by_key(|time| std::cmp::Reverse(time.0));
            let policy = Policy { daily, weekly, monthly };
            let kept = policy.kept(&times);
            proptest::prop_assert_eq!(kept.len(), times.len());
            for (at, time) in times.iter().enumerate() {
                let wanted = at == 0 || [
                    (daily, (|day| day) as Period), (weekly, week), (monthly, month),
                ].into_iter().any(|(most, period)| {
                    let own = period(time.0.div_euclid(DAY));
                    let newer = times[..at].iter().map(|time| period(time.0.div_euclid(DAY)));
                    let newer: BTreeSet<i64> = newer.collect();
                    !newer.contains(&own) && newer.len() < most as usize
                });
                proptest::prop_assert_eq!(kept[at], wanted, "{} of {:?}", at, times);
            }
        }
    }
}
