//! Whether a text is what a parameter may be.

use std::path::{Component, Path};

use anyhow::Context as _;
use kolga_protocol::names::HostName;

use super::manifest::{Class, Kind};

/// The longest text that a recipe can allow.
pub const LONGEST: usize = 1024;

/// What stands in a command for a text that was given for a parameter.
///
/// # Errors
/// Why it may not be given.
pub fn judge(kind: &Kind, text: &str) -> anyhow::Result<String> {
    anyhow::ensure!(
        text.len() <= LONGEST,
        "it is longer than {LONGEST} characters"
    );
    match kind {
        Kind::String { allow, max } => {
            if let Some(other) = text.chars().find(|c| !allow.iter().any(|a| a.holds(*c))) {
                anyhow::bail!("{other:?} is not allowed in it");
            }
            anyhow::ensure!(text.len() <= *max, "it is longer than {max} characters");
            anyhow::ensure!(!text.is_empty(), "it is empty");
            Ok(text.to_owned())
        }
        Kind::Integer { min, max } => {
            let number: i64 = text
                .parse()
                .with_context(|| format!("{text:?} is no whole number"))?;
            anyhow::ensure!(
                (*min..=*max).contains(&number),
                "{number} is not between {min} and {max}"
            );
            Ok(number.to_string())
        }
        Kind::Boolean => {
            anyhow::ensure!(
                matches!(text, "true" | "false"),
                "{text:?} is neither true nor false"
            );
            Ok(text.to_owned())
        }
        Kind::Choice { of } => {
            let known = of.iter().any(|one| one == text);
            anyhow::ensure!(known, "{text:?} is none of {}", of.join(", "));
            Ok(text.to_owned())
        }
        Kind::Host => Ok(text.parse::<HostName>()?.to_string()),
        Kind::Path { below } => {
            let plain = text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
            let inside = Path::new(text)
                .components()
                .all(|part| matches!(part, Component::Normal(_)));
            anyhow::ensure!(
                plain && inside && !text.is_empty(),
                "{text:?} is no path of letters, digits and . _ - below {}",
                below.display()
            );
            Ok(below.join(text).display().to_string())
        }
    }
}

impl Class {
    fn holds(self, c: char) -> bool {
        match self {
            Self::Lower => c.is_ascii_lowercase(),
            Self::Upper => c.is_ascii_uppercase(),
            Self::Digits => c.is_ascii_digit(),
            Self::Dash => c == '-',
            Self::Underscore => c == '_',
            Self::Dot => c == '.',
            Self::Colon => c == ':',
            Self::Slash => c == '/',
            Self::Space => c == ' ',
            Self::Punctuation => c.is_ascii_punctuation() && !"-_.:/".contains(c),
        }
    }
}
