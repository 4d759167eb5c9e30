//! Which servers, sites or platforms are meant: all, by name, by where they are and what they stand on, by label.
//! Everything here is parsed at the border, from the command line and from JSON alike; `store::operations` asks it of
//! each of them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use kolga_protocol::names::{HostName, PlatformName, ProfileName, ServerName};
use serde::{Deserialize, Serialize};

use crate::wire::Each;

/// What a server, a site or a platform is marked with.
pub type Labels = BTreeMap<String, String>;

/// Labels on one of them at most.
pub const MOST_LABELS: usize = 64;
const LONGEST: usize = 63;

/// A text that is not of the wanted form, and what that is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{shown}\" is not {rule}")]
pub struct Malformed {
    shown: String,
    rule: &'static str,
}

impl Malformed {
    fn new(text: &str, rule: &'static str) -> Self {
        let cut: String = text.chars().take(80).collect();
        let shown = cut.escape_default().to_string();
        Self { shown, rule }
    }
}

/// Conversions of what is written as one text.
macro_rules! as_text {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = Malformed;

            fn try_from(text: String) -> Result<Self, Malformed> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    };
}

fn is_name(text: &str) -> bool {
    is_value(text)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

fn is_value(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/'))
}

/// A change of labels: `env=test` sets one, `env-` removes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LabelChange {
    /// It has this value from now on.
    Set(String, String),
    /// It is not there any more.
    Remove(String),
}

impl FromStr for LabelChange {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let change = match text.split_once('=') {
            Some((name, value)) if is_name(name) && is_value(value) => {
                Some(Self::Set(name.to_owned(), value.to_owned()))
            }
            Some(_) => None,
            None => text
                .strip_suffix('-')
                .filter(|name| is_name(name))
                .map(|name| Self::Remove(name.to_owned())),
        };
        change.ok_or_else(|| {
            Malformed::new(
                text,
                "NAME=VALUE or NAME-: names and values are of letters, digits and . _ - /, at most 63",
            )
        })
    }
}

impl fmt::Display for LabelChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(name, value) => write!(f, "{name}={value}"),
            Self::Remove(name) => write!(f, "{name}-"),
        }
    }
}
as_text!(LabelChange);

impl LabelChange {
    /// Makes the change.
    pub fn apply(&self, labels: &mut Labels) {
        match self {
            Self::Set(name, value) => {
                labels.insert(name.clone(), value.clone());
            }
            Self::Remove(name) => {
                labels.remove(name);
            }
        }
    }
}

/// What the labels must be: `env=test`, `env!=test` (which having none is, too), `env`, `!env`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LabelWant {
    /// It has this value.
    Is(String, String),
    /// It has another value, or is not there.
    IsNot(String, String),
    /// It is there.
    There(String),
    /// It is not there.
    NotThere(String),
}

impl FromStr for LabelWant {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let pair = |name: &str, value: &str| {
            (is_name(name) && is_value(value)).then(|| (name.to_owned(), value.to_owned()))
        };
        let alone = |name: &str| is_name(name).then(|| name.to_owned());
        let want = if let Some((name, value)) = text.split_once("!=") {
            pair(name, value).map(|(name, value)| Self::IsNot(name, value))
        } else if let Some((name, value)) = text.split_once('=') {
            pair(name, value).map(|(name, value)| Self::Is(name, value))
        } else if let Some(name) = text.strip_prefix('!') {
            alone(name).map(Self::NotThere)
        } else {
            alone(text).map(Self::There)
        };
        want.ok_or_else(|| Malformed::new(text, "NAME=VALUE, NAME!=VALUE, NAME or !NAME"))
    }
}

impl fmt::Display for LabelWant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(name, value) => write!(f, "{name}={value}"),
            Self::IsNot(name, value) => write!(f, "{name}!={value}"),
            Self::There(name) => f.write_str(name),
            Self::NotThere(name) => write!(f, "!{name}"),
        }
    }
}
as_text!(LabelWant);

impl LabelWant {
    fn holds(&self, labels: &Labels) -> bool {
        match self {
            Self::Is(name, value) => labels.get(name) == Some(value),
            Self::IsNot(name, value) => labels.get(name) != Some(value),
            Self::There(name) => labels.contains_key(name),
            Self::NotThere(name) => !labels.contains_key(name),
        }
    }
}

/// A server's name, in which `*` stands for any text and `?` for one character.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Glob(String);

impl FromStr for Glob {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let fits = (1..=LONGEST).contains(&text.len())
            && text.bytes().all(|b| {
                b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'*' | b'?')
            });
        fits.then(|| Self(text.to_owned())).ok_or_else(|| {
            Malformed::new(
                text,
                "a server's name, or one with * and ? in it, in quotation marks",
            )
        })
    }
}

impl From<&ServerName> for Glob {
    fn from(name: &ServerName) -> Self {
        Self(name.to_string())
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
as_text!(Glob);

impl Glob {
    /// The name, where it can be one only.
    #[must_use]
    pub fn exact(&self) -> Option<&str> {
        (!self.0.contains(['*', '?'])).then_some(&self.0)
    }

    fn fits(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut p, mut n) = (0, 0);
        // Where the last star is, and up to where it has been taken to reach.
        let mut star: Option<(usize, usize)> = None;
        while n < name.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    star = Some((p, n));
                    p += 1;
                }
                Some(&c) if c == b'?' || c == name[n] => {
                    p += 1;
                    n += 1;
                }
                _ => {
                    let Some((at, reach)) = star else {
                        return false;
                    };
                    star = Some((at, reach + 1));
                    p = at + 1;
                    n = reach + 1;
                }
            }
        }
        pattern[p..].iter().all(|&c| c == b'*')
    }
}

/// Which servers, sites or platforms. Everything that is said must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// All of them, but for what the rest says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// Just these sites.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<HostName>,
    /// Those on one of these servers; where servers are meant, these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<Glob>,
    /// Sites on this platform; where platforms are meant, those of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<PlatformName>,
    /// Sites of this kind, or platforms for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileName>,
    /// With these labels, all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<LabelWant>,
}

impl Selector {
    /// What does not go together in it, as a sentence, where this is what is meant.
    ///
    /// # Errors
    /// The sentence.
    pub fn check(&self, each: Each) -> Result<(), &'static str> {
        let narrow = !self.on.is_empty()
            || self.platform.is_some()
            || self.profile.is_some()
            || !self.labels.is_empty();
        if !self.sites.is_empty() && (self.all || narrow) {
            return Err("sites are named, so nothing else can be said of which are meant");
        }
        if self.sites.is_empty() && !self.all && !narrow {
            return Err(
                "it is not said which are meant: name sites, or give --all, --on, --platform, --profile or --label",
            );
        }
        let of_sites = self.platform.is_some() || self.profile.is_some();
        match each {
            Each::Server if of_sites || !self.sites.is_empty() => {
                Err("such tasks are about servers: they are chosen by --all, --on and --label")
            }
            Each::Platform if !self.sites.is_empty() => Err(
                "such tasks are about platforms: they are chosen by --all, --on, --platform, --profile and --label",
            ),
            Each::Server | Each::Site | Each::Platform => Ok(()),
        }
    }

    /// Whether a server is meant, by its name.
    #[must_use]
    pub fn takes_server(&self, server: &ServerName) -> bool {
        self.on.is_empty() || self.on.iter().any(|glob| glob.fits(server.as_str()))
    }

    /// Whether what has these labels is meant.
    #[must_use]
    pub fn takes_labels(&self, labels: &Labels) -> bool {
        self.labels.iter().all(|want| want.holds(labels))
    }
}

/// As options of the command line.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: Vec<String> = self.sites.iter().map(ToString::to_string).collect();
        words.extend(self.all.then(|| "--all".to_owned()));
        words.extend(self.on.iter().map(|glob| match glob.exact() {
            Some(name) => format!("--on {name}"),
            None => format!("--on '{glob}'"),
        }));
        words.extend(
            self.platform
                .iter()
                .map(|name| format!("--platform {name}")),
        );
        words.extend(self.profile.iter().map(|name| format!("--profile {name}")));
        words.extend(self.labels.iter().map(|want| {
            let quoted = want.to_string();
            if quoted.contains('!') {
                format!("--label '{quoted}'")
            } else {
                format!("--label {quoted}")
            }
        }));
        f.write_str(&words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(own).collect()
    }

    #[test]
    fn a_glob_takes_what_a_shell_would() {
        for (glob, takes, refuses) in [
            ("web1", &["web1"][..], &["web", "web11", "xweb1"][..]),
            ("web*", &["web", "web1", "web-a-b"], &["we", "aweb"]),
            ("*", &["a", "web1"], &[]),
            ("w*b?", &["web1", "wb1", "wbbb2"], &["web", "web12"]),
            ("*-a*-b", &["x-a-b", "x-ay-z-b"], &["x-a", "-b"]),
        ] {
            let glob: Glob = glob.parse().expect("a glob");
            for name in takes {
                assert!(glob.fits(name), "{glob} {name}");
            }
            for name in refuses {
                assert!(!glob.fits(name), "{glob} {name}");
            }
        }
    }

    #[test]
    fn a_want_is_read_written_and_judged_the_same() {
        let test = labels(&[("env", "test"), ("owner", "anna")]);
        let none = Labels::new();
        for (text, of_test, of_none) in [
            ("env=test", true, false),
            ("env=live", false, false),
            ("env!=test", false, true),
            ("env!=live", true, true),
            ("env", true, false),
            ("!env", false, true),
        ] {
            let want: LabelWant = text.parse().expect("a want");
            assert_eq!(want.to_string(), text);
            assert_eq!(want.holds(&test), of_test, "{text}");
            assert_eq!(want.holds(&none), of_none, "{text}");
        }
    }

    #[test]
    fn what_is_no_label_is_refused_with_the_rule() {
        for text in [
            "", "=", "a=", "=b", "a b=c", "a=b c", "-a=b", "a=\u{f6}", "a", "a\n-",
        ] {
            let error = text.parse::<LabelChange>().expect_err(text);
            assert!(error.to_string().contains("NAME=VALUE"), "{error}");
        }
        for text in ["", "!", "a==b", "a=b=c", "!a=b c", "a!"] {
            assert!(text.parse::<LabelWant>().is_err(), "{text}");
        }
        let long = "a".repeat(64);
        assert!(format!("{long}=b").parse::<LabelChange>().is_err());
        assert!("web1;rm".parse::<Glob>().is_err());
    }

    #[test]
    fn labels_are_set_and_removed() {
        let mut now = labels(&[("env", "test"), ("old", "1")]);
        for change in ["env=live", "old-", "never-"] {
            let change: LabelChange = change.parse().expect("a change");
            change.apply(&mut now);
        }
        assert_eq!(now, labels(&[("env", "live")]));
    }

    #[test]
    fn a_selector_must_say_something_and_nothing_that_contradicts() {
        let of = |text: &str| serde_json::from_str::<Selector>(text).expect("a selector");
        assert!(of("{}").check(Each::Site).is_err());
        assert!(of(r#"{"all": true}"#).check(Each::Site).is_ok());
        let both = r#"{"sites": ["a.example.org"], "on": ["web*"]}"#;
        assert!(of(both).check(Each::Site).is_err());
        let named = of(r#"{"sites": ["a.example.org"]}"#);
        assert!(named.check(Each::Site).is_ok() && named.check(Each::Platform).is_err());
        let platform =
            of(r#"{"platform": "wp61", "labels": ["env!=live"], "on": ["web*", "db1"]}"#);
        assert!(platform.check(Each::Site).is_ok() && platform.check(Each::Platform).is_ok());
        assert!(platform.check(Each::Server).is_err());
        assert_eq!(
            platform.to_string(),
            "--on 'web*' --on db1 --platform wp61 --label 'env!=live'"
        );
    }
}
