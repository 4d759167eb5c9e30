//! What differs between two worlds, as lines that a person can read.

use std::fmt::{Display, Formatter};

use super::{Thing, World};

/// Sorts of things that come and go while programs come to rest.
const PASSING: &[&str] = &[
    "descriptor",
    "process",
    "cgroup",
    "queue",
    "temporary",
    "web",
];

/// One thing that is not the same in both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    name: String,
    before: Option<Thing>,
    after: Option<Thing>,
}

impl Difference {
    /// Whether some open descriptors of one sort are closed by now: nobody leaks what he closes, and what a program had
    /// open for a moment longer may have been in the picture before.
    fn is_closed(&self) -> bool {
        let count = |thing: &Option<Thing>| match thing {
            None => Some(0),
            Some(thing) => thing.shape.strip_prefix('×')?.parse::<u64>().ok(),
        };
        self.name.starts_with("descriptor ") && count(&self.after) < count(&self.before)
    }

    /// Whether it may still go away by itself.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        let sort = self.name.split(' ').next().unwrap_or_default();
        PASSING.contains(&sort)
    }
}

impl Display for Difference {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self {
            name,
            before,
            after,
        } = self;
        match (before, after) {
            (Some(before), None) => write!(f, "gone     {name}  {before}"),
            (None, Some(after)) => write!(f, "new      {name}  {after}"),
            (Some(before), Some(after)) => {
                write!(f, "changed  {name}  {before}  →  {after}")
            }
            (None, None) => Ok(()),
        }
    }
}

impl Display for Thing {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { shape, content } = self;
        match content.char_indices().nth(60) {
            Some((end, _)) => write!(f, "{shape} {}…", &content[..end]),
            None => write!(f, "{shape} {content}"),
        }
    }
}

impl World {
    /// Everything that differs.
    #[must_use]
    pub fn compare(&self, after: &Self) -> Vec<Difference> {
        let names: std::collections::BTreeSet<&String> =
            self.0.keys().chain(after.0.keys()).collect();
        names
            .into_iter()
            .map(|name| Difference {
                name: name.clone(),
                before: self.0.get(name).cloned(),
                after: after.0.get(name).cloned(),
            })
            .filter(|it| it.before != it.after && !it.is_closed())
            .collect()
    }

    /// What differs, a line each; nothing when they are equal.
    #[must_use]
    pub fn difference(&self, after: &Self) -> Vec<String> {
        self.compare(after)
            .iter()
            .map(ToString::to_string)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_new_and_changed_is_told_and_nothing_else() {
        let mut before = World::default();
        before.note("file /a".into(), "644 1:1".into(), "one".into());
        before.note("file /b".into(), "644 1:1".into(), "two".into());
        before.note("file /same".into(), "755 0:0".into(), String::new());
        let mut after = World::default();
        after.note("file /b".into(), "640 1:1".into(), "two".into());
        after.note("file /c".into(), "600 1:1".into(), "x".repeat(100));
        after.note("file /same".into(), "755 0:0".into(), String::new());
        let told = before.difference(&after);
        assert_eq!(told.len(), 3, "{told:#?}");
        assert_eq!(told[0], "gone     file /a  644 1:1 one");
        assert_eq!(told[1], "changed  file /b  644 1:1 two  →  640 1:1 two");
        assert!(told[2].starts_with("new      file /c  600 1:1 xxx"));
        assert!(told[2].ends_with('…'));
    }

    #[test]
    fn files_do_not_go_away_by_themselves_and_open_descriptors_do() {
        let empty = World::default();
        let mut world = World::default();
        world.note("file /a".into(), String::new(), String::new());
        world.counted([("descriptor socket".into(), 2)].into());
        let found = empty.compare(&world);
        let passing: Vec<bool> = found.iter().map(Difference::is_passing).collect();
        assert_eq!(passing, [true, false]);
        assert!(found[0].to_string().contains("×2"), "{}", found[0]);
        let closed = world.compare(&empty);
        assert_eq!(closed.len(), 1, "only the file is missed: {closed:?}");
        let mut more = World::default();
        more.counted([("descriptor socket".into(), 12)].into());
        more.note("file /a".into(), String::new(), String::new());
        assert_eq!(
            world.compare(&more).len(),
            1,
            "what is open longer is a leak"
        );
        assert!(more.compare(&world).is_empty());
    }
}
