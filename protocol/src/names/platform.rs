//! The name of a platform: a folder below the spoke's platforms, part of a config file.

use super::{ascii_name, lower_or_digit, name_type};

name_type!(
    /// A platform: 1 to 64 of `a-z 0-9 . _ -`, beginning and ending with a letter or a digit, no
    /// two dots in a row.
    PlatformName,
    "platform name",
    check
);

fn check(text: &str) -> Result<String, String> {
    let rule = "use 1 to 64 of a-z, 0-9, '.', '_' and '-', beginning and ending with a letter or \
                a digit, without two dots in a row";
    if text.contains("..") {
        return Err(rule.to_owned());
    }
    ascii_name(
        text,
        64,
        lower_or_digit,
        |b| lower_or_digit(b) || matches!(b, b'.' | b'_' | b'-'),
        rule,
    )
}
