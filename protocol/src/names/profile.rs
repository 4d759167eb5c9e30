//! The name of a profile: a folder below the worker's profiles.

use super::{ascii_name, lower_or_digit, name_type};

name_type!(
    /// A profile: 1 to 32 of `a-z 0-9 _ -`, beginning with a letter.
    ProfileName,
    "profile name",
    check
);

fn check(text: &str) -> Result<String, String> {
    ascii_name(
        text,
        32,
        |b| b.is_ascii_lowercase(),
        |b| lower_or_digit(b) || matches!(b, b'_' | b'-'),
        "use 1 to 32 of a-z, 0-9, '_' and '-', beginning with a letter and ending with a letter \
         or a digit",
    )
}
