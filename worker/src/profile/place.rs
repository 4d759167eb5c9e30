//! Small types of a manifest, each an allow-list: a path below a folder, a pattern of such paths, and a mode.

use serde::Deserialize;

/// A relative path of plain parts, such as `content/uploads`: letters, digits and `. _ -`, no `..`.
/// It may stand in a path and in nginx's configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Place(String);

impl Place {
    /// The checked text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<std::path::Path> for Place {
    fn as_ref(&self) -> &std::path::Path {
        std::path::Path::new(&self.0)
    }
}

impl std::str::FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = !text.is_empty()
            && text.len() <= 200
            && text.split('/').all(|part| {
                !matches!(part, "" | "." | "..")
                    && part
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
            });
        if plain {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "{text:?} must be a relative path of letters, digits and . _ - without '..'"
            ))
        }
    }
}

impl TryFrom<String> for Place {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// A place with stars: each stands for any name, or a part of one, in one part of the path.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern(String);

impl Pattern {
    /// Its parts, from the top; each holds one star at most.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let one_each = text.split('/').all(|part| part.matches('*').count() < 2);
        match text.replace('*', "x").parse::<Place>() {
            Ok(_) if one_each && text.contains('*') => Ok(Self(text)),
            _ => Err(format!(
                "{text:?} must be a relative path of letters, digits and . _ - without '..', with a * for any \
                 name, one in each part at most"
            )),
        }
    }
}

/// The mode of a file or folder, written in octal: `"0440"`. No set-id bits, and nothing that everybody
/// may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Mode(pub u32);

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let rule = || {
            format!(
                "{text:?} is not a mode: write four octal digits such as \"0750\", without set-id \
                 bits and without write permission for everybody"
            )
        };
        if text.len() != 4 || !text.starts_with('0') {
            return Err(rule());
        }
        let bits = u32::from_str_radix(&text, 8).map_err(|_| rule())?;
        if bits & !0o775 == 0 && bits & 0o400 != 0 {
            Ok(Self(bits))
        } else {
            Err(rule())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_never_leaves_its_folder() {
        for hostile in [
            "", "/etc", "../x", "a/../b", "a//b", "a/", "a b", "a\nb", "a;b", "ä", "$x",
        ] {
            assert!(hostile.parse::<Place>().is_err(), "{hostile:?}");
        }
        assert!("content/up-loads/.keep_1".parse::<Place>().is_ok());
    }

    #[test]
    fn a_pattern_is_a_place_with_a_star_in_a_part() {
        for wrong in ["plain", "../*", "/*", "a/**/b", "a*b*/c", "*;"] {
            assert!(Pattern::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
        assert!(Pattern::try_from("plugins/*/*.php".to_owned()).is_ok());
    }

    #[test]
    fn a_mode_gives_no_set_id_and_nothing_to_everybody() {
        for wrong in [
            "4755", "0777", "0666", "755", "0x1f", "0o75", "+755", "0088", "0070",
        ] {
            assert!(Mode::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
        assert_eq!(Mode::try_from("0440".to_owned()), Ok(Mode(0o440)));
    }
}
