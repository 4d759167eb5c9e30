//! The name of a folder that an operator wants on a spoke, below one that the spoke's configuration names.

use super::{ascii_name, lower_or_digit, name_type};

name_type!(
    /// A folder: 1 to 64 of `a-z 0-9 . _ -`, beginning with a letter or a digit, without `..`. One part of a path and
    /// nothing else.
    FolderName,
    "folder name",
    check
);

fn check(text: &str) -> Result<String, String> {
    const RULE: &str =
        "use 1 to 64 of a-z, 0-9, '.', '_' and '-', beginning and ending with a letter or a digit";
    if text.contains("..") {
        return Err(RULE.to_owned());
    }
    ascii_name(
        text,
        64,
        lower_or_digit,
        |b| lower_or_digit(b) || b"._-".contains(&b),
        RULE,
    )
}
