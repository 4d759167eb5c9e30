//! How long history is kept: `[retention]` of the configuration. Parsed and checked by [`super::Config`],
//! carried out by [`crate::janitor`].

use serde::Deserialize;

/// The longest time that can be asked for; more is what 0 is for.
const MOST_DAYS: u32 = 36_500;
/// The smallest number that can be asked for: fewer tasks than one burst make nobody happy.
const FEWEST: u32 = 1000;

/// How long history is kept. Whichever bound is reached first counts; 0 is no bound.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Days for which a task stays after it has ended.
    pub tasks_days: u32,
    /// Tasks that stay, at most.
    pub tasks_most: u32,
    /// Days for which a task's log stays after it has ended.
    pub logs_days: u32,
    /// Entries of logs that stay, of all tasks together, at most.
    pub logs_most: u32,
    /// Days for which it stays on record who did what.
    pub audit_days: u32,
    /// Records of who did what that stay, at most.
    pub audit_most: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            tasks_days: 365,
            tasks_most: 1_000_000,
            logs_days: 90,
            logs_most: 5_000_000,
            audit_days: 730,
            audit_most: 1_000_000,
        }
    }
}

impl Retention {
    /// All that makes no sense, as sentences.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (name, days) in [
            ("tasks_days", self.tasks_days),
            ("logs_days", self.logs_days),
            ("audit_days", self.audit_days),
        ] {
            if days > MOST_DAYS {
                problems.push(format!(
                    "retention.{name} must be at most {MOST_DAYS}, or 0 to keep everything"
                ));
            }
        }
        for (name, most) in [
            ("tasks_most", self.tasks_most),
            ("logs_most", self.logs_most),
            ("audit_most", self.audit_most),
        ] {
            if (1..FEWEST).contains(&most) {
                problems.push(format!(
                    "retention.{name} must be at least {FEWEST}, or 0 to keep everything"
                ));
            }
        }
        if self.tasks_days > 0 && self.logs_days > self.tasks_days {
            problems.push(format!(
                "retention.logs_days ({}) must not be more than retention.tasks_days ({}): a log goes with \
                 its task",
                self.logs_days, self.tasks_days
            ));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_make_sense_and_bound_everything() {
        let usual = Retention::default();
        assert_eq!(usual.problems(), [""; 0]);
        for bound in [
            usual.tasks_days,
            usual.tasks_most,
            usual.logs_days,
            usual.logs_most,
            usual.audit_days,
            usual.audit_most,
        ] {
            assert!(bound > 0);
        }
    }

    #[test]
    fn nothing_is_bounded_by_zero() {
        let all: Retention = toml::from_str(
            "tasks_days = 0\ntasks_most = 0\nlogs_days = 0\nlogs_most = 0\naudit_days = 0\naudit_most = 0",
        )
        .expect("it can be read");
        assert_eq!(all.problems(), [""; 0]);
    }

    #[test]
    fn what_makes_no_sense_is_told_by_name() {
        let wrong: Retention =
            toml::from_str("tasks_days = 30\nlogs_days = 31\ntasks_most = 999\naudit_days = 36501")
                .expect("it can be read");
        let problems = wrong.problems().join("\n");
        for word in ["logs_days (31)", "tasks_most", "audit_days"] {
            assert!(problems.contains(word), "{word} is missing in {problems}");
        }
        assert!(toml::from_str::<Retention>("tasks_days = -1").is_err());
        assert!(toml::from_str::<Retention>("task_days = 1").is_err());
    }
}
