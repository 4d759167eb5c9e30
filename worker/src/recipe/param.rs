//! A parameter of a recipe: what may be given for it, and whether a text is that.

use anyhow::Context as _;
use kolga_protocol::names::{HostName, ParamValue};
use regex_lite::Regex;
use serde::Deserialize;

/// The longest text that a recipe can allow; the hub lets nothing longer through.
pub const LONGEST: usize = 1024;
/// How much work a pattern may be made of.
const PATTERN_BYTES: usize = 1024 * 1024;

/// A parameter. There is no type for secrets: they do not travel through the hub.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Param {
    /// What it is for.
    pub description: String,
    /// What holds when it is not given; it must be given when there is none.
    pub default: Option<String>,
    /// What it may be.
    pub kind: Kind,
}

/// What a parameter may be.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Text.
    String {
        /// What all of it must match.
        pattern: Option<Pattern>,
        /// Or else which texts there are.
        choices: Vec<String>,
        /// The fewest bytes.
        min: usize,
        /// The most bytes.
        max: usize,
    },
    /// A whole number.
    Integer {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// `true` or `false`.
    Boolean,
    /// A host name.
    Host,
    /// A site of this spoke, which the task then has for itself.
    Site,
}

/// A regular expression that a whole text must match.
#[derive(Clone, Debug)]
pub struct Pattern {
    written: String,
    whole: Regex,
}

/// As it stands in the file: every key there is, so that a misspelt one is an error.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(rename = "type")]
    kind: RawKind,
    #[serde(default)]
    description: String,
    default: Option<Plain>,
    pattern: Option<String>,
    choices: Option<Vec<String>>,
    min_length: Option<usize>,
    max_length: Option<usize>,
    min: Option<i64>,
    max: Option<i64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawKind {
    String,
    Integer,
    Bool,
    Host,
    Site,
}

/// A default, written as what it is.
#[derive(Deserialize)]
#[serde(untagged)]
enum Plain {
    Text(String),
    Integer(i64),
    Boolean(bool),
}

impl TryFrom<Raw> for Param {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        let texts = raw.pattern.is_some()
            || raw.choices.is_some()
            || raw.min_length.is_some()
            || raw.max_length.is_some();
        if texts && raw.kind != RawKind::String {
            return Err(
                "pattern, choices, min_length and max_length are for type = \"string\"".to_owned(),
            );
        }
        if (raw.min.is_some() || raw.max.is_some()) && raw.kind != RawKind::Integer {
            return Err("min and max are for type = \"integer\"".to_owned());
        }
        let kind = match raw.kind {
            RawKind::String => Kind::String {
                pattern: raw.pattern.map(Pattern::new).transpose()?,
                choices: raw.choices.unwrap_or_default(),
                min: raw.min_length.unwrap_or(1),
                max: raw.max_length.unwrap_or(255),
            },
            RawKind::Integer => match (raw.min, raw.max) {
                (Some(min), Some(max)) if min <= max => Kind::Integer { min, max },
                _ => return Err("an integer needs min and max, min not above max".to_owned()),
            },
            RawKind::Bool => Kind::Boolean,
            RawKind::Host => Kind::Host,
            RawKind::Site => Kind::Site,
        };
        if let Kind::String {
            pattern,
            choices,
            min,
            max,
        } = &kind
        {
            if pattern.is_none() == choices.is_empty() {
                return Err("a string needs a pattern or choices, and not both".to_owned());
            }
            if min > max || *max > LONGEST {
                return Err(format!(
                    "min_length must not be above max_length, and that not above {LONGEST}"
                ));
            }
        }
        let default = raw.default.map(|default| match default {
            Plain::Text(text) => text,
            Plain::Integer(number) => number.to_string(),
            Plain::Boolean(yes) => yes.to_string(),
        });
        if let Some(default) = &default {
            if matches!(kind, Kind::Site) {
                return Err("which site it is cannot be left out: no default".to_owned());
            }
            // Judged as if it had come from the hub.
            let value = default.parse::<ParamValue>().map_err(anyhow::Error::from);
            value
                .and_then(|value| kind.judge(value.as_str()))
                .map_err(|error| format!("its default is refused: {error:#}"))?;
        }
        Ok(Self {
            description: raw.description,
            default,
            kind,
        })
    }
}

impl Pattern {
    fn new(written: String) -> Result<Self, String> {
        let built = |text: &str| {
            regex_lite::RegexBuilder::new(text)
                .size_limit(PATTERN_BYTES)
                .build()
                .map_err(|error| format!("the pattern {written:?} cannot be read: {error}"))
        };
        // By itself first: it must not end the group that is put around it.
        built(&written)?;
        let whole = built(&format!(r"\A(?:{written})\z"))?;
        Ok(Self { written, whole })
    }
}

impl Kind {
    /// Its name in files and lists.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::String { .. } => "string",
            Self::Integer { .. } => "integer",
            Self::Boolean => "bool",
            Self::Host => "host",
            Self::Site => "site",
        }
    }

    /// What it takes, for a person.
    #[must_use]
    pub fn accepts(&self) -> String {
        match self {
            Self::String {
                pattern: Some(pattern),
                min,
                max,
                ..
            } => format!("{min} to {max} bytes matching {}", pattern.written),
            Self::String { choices, .. } => format!("one of {}", choices.join(", ")),
            Self::Integer { min, max } => format!("{min} to {max}"),
            Self::Boolean => "true or false".to_owned(),
            Self::Host => "a host name".to_owned(),
            Self::Site => "a site of the server".to_owned(),
        }
    }

    /// What stands in a command for a text that was given.
    ///
    /// # Errors
    /// Why it may not be given.
    pub fn judge(&self, text: &str) -> anyhow::Result<String> {
        match self {
            Self::String {
                pattern,
                choices,
                min,
                max,
            } => {
                anyhow::ensure!(
                    (*min..=*max).contains(&text.len()),
                    "it is {} bytes long, not {min} to {max}",
                    text.len()
                );
                match pattern {
                    Some(pattern) => anyhow::ensure!(
                        pattern.whole.is_match(text),
                        "{text:?} does not match {}",
                        pattern.written
                    ),
                    None => anyhow::ensure!(
                        choices.iter().any(|choice| choice == text),
                        "{text:?} is none of {}",
                        choices.join(", ")
                    ),
                }
                Ok(text.to_owned())
            }
            Self::Integer { min, max } => {
                let number: i64 = text
                    .parse()
                    .with_context(|| format!("{text:?} is no whole number"))?;
                anyhow::ensure!(
                    (*min..=*max).contains(&number),
                    "{number} is not {min} to {max}"
                );
                Ok(number.to_string())
            }
            Self::Boolean => {
                anyhow::ensure!(
                    matches!(text, "true" | "false"),
                    "{text:?} is neither true nor false"
                );
                Ok(text.to_owned())
            }
            Self::Host | Self::Site => Ok(text.parse::<HostName>()?.to_string()),
        }
    }
}
