//! Which of two versions of an application is the older one.

use std::cmp::Ordering;

/// What comes before a version, in the order in which it comes.
const BEFORE: [&str; 5] = ["dev", "alpha", "beta", "pre", "rc"];

/// A part of a version. In the order of age.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// What is not a release yet.
    Before(usize),
    /// A number.
    Number(u64),
}

/// Whether the first of two versions is surely older than the second: `6.1.9` than `6.2`, `6.2-rc1` than `6.2`. What is
/// neither a number nor known to come before a release does not count.
#[must_use]
pub fn is_older(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (parts(one).into_iter(), parts(other).into_iter());
    loop {
        let (a, b) = (one.next(), other.next());
        if a.is_none() && b.is_none() {
            return false;
        }
        // What says nothing more says zero.
        let or_zero = |part: Option<Part>| part.unwrap_or(Part::Number(0));
        match or_zero(a).cmp(&or_zero(b)) {
            Ordering::Equal => {}
            unequal => return unequal == Ordering::Less,
        }
    }
}

fn parts(version: &str) -> Vec<Part> {
    let version = version.to_ascii_lowercase();
    let mut parts = Vec::new();
    let mut rest = version.as_str();
    while let Some(first) = rest.chars().next() {
        let is_alike = |c: char| match first {
            first if first.is_ascii_digit() => c.is_ascii_digit(),
            first if first.is_ascii_alphabetic() => c.is_ascii_alphabetic(),
            _ => !c.is_ascii_alphanumeric(),
        };
        let end = rest.find(|c| !is_alike(c)).unwrap_or(rest.len());
        let (part, left) = rest.split_at(end);
        rest = left;
        if let Ok(number) = part.parse() {
            parts.push(Part::Number(number));
        } else if let Some(known) = BEFORE.iter().position(|word| *word == part) {
            parts.push(Part::Before(known));
        } else if first.is_ascii_alphabetic() {
            break;
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_as_numbers_and_what_is_no_release_yet_comes_before_it() {
        for (older, newer) in [
            ("6.1.9", "6.1.10"),
            ("6.9", "6.10"),
            ("6.1", "6.1.1"),
            ("1.39.17", "1.43.0"),
            ("6.2-beta3", "6.2-RC1"),
            ("6.2-RC1", "6.2"),
            ("6.2-RC1", "6.2.0"),
            ("10.0.0-alpha1", "10"),
            ("7.98", "10.0.0-alpha1"),
        ] {
            assert!(is_older(older, newer), "{older} {newer}");
            assert!(!is_older(newer, older), "{newer} {older}");
        }
        for (one, other) in [
            ("6.1", "6.1.0"),
            ("6.1.9", "6.1.9"),
            ("6.1+debian", "6.1"),
            ("6.1.9-src", "6.1.9"),
        ] {
            assert!(
                !is_older(one, other) && !is_older(other, one),
                "{one} {other}"
            );
        }
    }
}
