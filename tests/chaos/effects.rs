//! The effects' log, which installers write and no rollback takes back: who began, who ended, who met another.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What installers did.
#[derive(Debug, Default)]
pub struct Effects {
    /// Task and attempt, with how often each began.
    begins: BTreeMap<(String, u64), u64>,
    ends: BTreeSet<(String, u64)>,
    /// Where one met another at work on the same site.
    pub overlaps: Vec<String>,
}

impl Effects {
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        let mut effects = Self::default();
        for line in text.lines() {
            let mut words = line.split(' ').skip(1);
            let (what, run) = (words.next(), words.next().unwrap_or_default());
            let (task, attempt) = run.rsplit_once('.').unwrap_or((run, ""));
            let run = (task.to_owned(), attempt.parse().unwrap_or_default());
            match what {
                Some("begin") => *effects.begins.entry(run).or_default() += 1,
                Some("end") => drop(effects.ends.insert(run)),
                _ => effects.overlaps.push(line.to_owned()),
            }
        }
        Ok(effects)
    }

    /// Attempts that began.
    pub fn begun(&self) -> usize {
        self.begins.len()
    }

    /// Attempts that began more than once.
    pub fn begun_twice(&self) -> Vec<String> {
        let twice = self.begins.iter().filter(|(_, times)| **times > 1);
        twice
            .map(|((task, attempt), times)| format!("{task}.{attempt}: begun {times} times"))
            .collect()
    }

    /// The attempts of each task that began.
    pub fn by_task(&self) -> BTreeMap<&String, Vec<u64>> {
        let mut tasks: BTreeMap<&String, Vec<u64>> = BTreeMap::new();
        for (task, attempt) in self.begins.keys() {
            tasks.entry(task).or_default().push(*attempt);
        }
        tasks
    }

    /// Whether an attempt began and ended.
    pub fn whole(&self, task: &str, attempt: u64) -> bool {
        let run = (task.to_owned(), attempt);
        self.begins.contains_key(&run) && self.ends.contains(&run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_twice_or_at_once_is_found() {
        let path = std::env::temp_dir().join(format!("kolga-effects-{}", uuid::Uuid::now_v7()));
        let text = "1 begin a.1 h\n2 end a.1 h\n3 begin b.1 h\n4 begin b.2 h\n5 overlap c.1 h\n6 begin a.1 h\n";
        std::fs::write(&path, text).expect("a file");
        let effects = Effects::read(&path).expect("read");
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(effects.begun_twice(), ["a.1: begun 2 times"]);
        assert_eq!(effects.overlaps, ["5 overlap c.1 h"]);
        assert_eq!(effects.by_task()[&"b".to_owned()], [1, 2]);
        assert!(effects.whole("a", 1) && !effects.whole("b", 2));
        assert!(Effects::read(&path).expect("none is none").begun() == 0);
    }
}
