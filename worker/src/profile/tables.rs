//! Tables of a site's database by name, as a manifest says it: those whose rows no copy of the database takes along.
//!
//! A manifest's `[backup] without_rows` is parsed into these; what dumps a database ([`crate::services::database`]) asks them.

use serde::Deserialize;

/// One table, or all whose names begin alike: `cache`, `cache_*`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Tables(String);

impl Tables {
    /// As it is written; PostgreSQL's programs understand it so.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this table is one of them. What a tenant has called otherwise than in plain letters is none.
    #[must_use]
    pub fn hold(&self, table: &str) -> bool {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let fits = match self.0.strip_suffix('*') {
            Some(beginning) => table.starts_with(beginning),
            None => table == self.0,
        };
        fits && table.len() <= 64 && table.bytes().all(plain)
    }
}

impl TryFrom<String> for Tables {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let name = text.strip_suffix('*').unwrap_or(&text);
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        // A star alone would leave nothing.
        match (1..=64).contains(&name.len()) && name.bytes().all(plain) {
            true => Ok(Self(text)),
            false => Err(format!(
                "{text:?} must be the name of a table, of lower-case letters, digits and _, or how several begin, \
                 with a * at the end"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_named_whole_or_by_how_they_begin() {
        let tables = |text: &str| Tables::try_from(text.to_owned());
        let several = tables("cache_*").expect("right");
        assert!(several.hold("cache_") && several.hold("cache_render"));
        for other in [
            "cache",
            "cachetags",
            "a_cache_b",
            "cache_a.b",
            "cache_a b",
            "cache_\u{e4}",
        ] {
            assert!(!several.hold(other), "{other}");
        }
        let one = tables("cache").expect("right");
        assert!(one.hold("cache") && !one.hold("cache_"));
        for wrong in [
            "", "*", "a*b", "*a", "A", "a.b", "a-b", "a b", "a?", "a|b", "$a",
        ] {
            assert!(tables(wrong).is_err(), "{wrong:?}");
        }
    }
}
