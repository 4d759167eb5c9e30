//! The name of one of a profile's maintenance commands.

use super::{ascii_name, lower_or_digit, name_type};

name_type!(
    /// A command of a profile, such as `cache_clear`: 1 to 32 of `a-z 0-9 _`, beginning with a letter. It is a
    /// name for what the spoke has, never something to run.
    CommandName,
    "command name",
    check
);

fn check(text: &str) -> Result<String, String> {
    ascii_name(
        text,
        32,
        |b| b.is_ascii_lowercase(),
        |b| lower_or_digit(b) || b == b'_',
        "use 1 to 32 of a-z, 0-9 and '_', beginning with a letter and ending with a letter or a \
         digit",
    )
}
