//! Strings that may reach a path, a config file, an SQL identifier or an argv, as types.
//!
//! Each is an allow-list: whoever holds the type may put it there without looking again. They are
//! parsed at the hub's border and, since deserialising parses too, again at the worker's.

mod backup;
mod command;
mod database;
mod engine;
mod folder;
mod host;
mod option;
mod path;
mod platform;
mod profile;
mod recipe;
mod server;
mod source;

pub use backup::BackupName;
pub use command::CommandName;
pub use database::DatabaseName;
pub use engine::{DATABASE_OPTION, Engine};
pub use folder::FolderName;
pub use host::{HostName, SiteAlias};
pub use option::{OptionName, OptionValue};
pub use path::SpokePath;
pub use platform::PlatformName;
pub use profile::ProfileName;
pub use recipe::{ParamName, ParamValue, RecipeName};
pub use server::ServerName;
pub use source::{GitCommit, GitUrl, Origin, PlatformSource};

/// Why a text is not a name of the wanted sort. The text itself is shown escaped and cut, since it
/// may be hostile and the sentence may reach a terminal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{shown} is not a {what}: {rule}")]
pub struct NameError {
    what: &'static str,
    rule: String,
    shown: String,
}

impl NameError {
    fn new(what: &'static str, text: &str, rule: impl Into<String>) -> Self {
        let cut: String = text.chars().take(60).collect();
        let more = if cut.len() < text.len() { "…" } else { "" };
        Self {
            what,
            rule: rule.into(),
            shown: format!("\"{}{more}\"", cut.escape_default()),
        }
    }
}

/// Declares a name: a string that only `$check` lets in, with the conversions that every name has.
macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:path) => {
        $(#[$doc])*
        #[derive(
            Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
        )]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The checked text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::names::NameError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $check(text)
                    .map(Self)
                    .map_err(|rule| $crate::names::NameError::new($what, text, rule))
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::names::NameError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}
use name_type;

/// The shape that most names share: ASCII, `first` to begin with, `rest` after that, at most `max`
/// bytes, ending in a letter or a digit.
fn ascii_name(
    text: &str,
    max: usize,
    first: fn(u8) -> bool,
    rest: fn(u8) -> bool,
    rule: &str,
) -> Result<String, String> {
    let bytes = text.as_bytes();
    let ok = (1..=max).contains(&bytes.len())
        && first(bytes[0])
        && bytes.iter().all(|&b| rest(b))
        && bytes[bytes.len() - 1].is_ascii_alphanumeric();
    if ok {
        Ok(text.to_owned())
    } else {
        Err(rule.to_owned())
    }
}

fn lower_or_digit(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}
