//! The name of a spoke: part of queue names, routing keys and the broker user's name.

use super::{ascii_name, lower_or_digit, name_type};

name_type!(
    /// A server: 1 to 40 of `a-z 0-9 -`, beginning and ending with a letter or a digit.
    ServerName,
    "server name",
    check
);

fn check(text: &str) -> Result<String, String> {
    ascii_name(
        text,
        40,
        lower_or_digit,
        |b| lower_or_digit(b) || b == b'-',
        "use 1 to 40 of a-z, 0-9 and -, beginning and ending with a letter or a digit",
    )
}
