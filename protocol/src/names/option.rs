//! Options of a profile: what an operator may set at a site's installation, such as its title.

use super::{ascii_name, lower_or_digit, name_type};

name_type!(
    /// The name of an option: 1 to 32 of `a-z 0-9 _`, beginning with a letter.
    OptionName,
    "option name",
    name
);

name_type!(
    /// The value of an option: at most 1,024 bytes of text without control characters. It is free
    /// text, so it never reaches a path, an argv, a config file or SQL: profiles get it as JSON.
    OptionValue,
    "option value",
    value
);

fn name(text: &str) -> Result<String, String> {
    ascii_name(
        text,
        32,
        |b| b.is_ascii_lowercase(),
        |b| lower_or_digit(b) || b == b'_',
        "use 1 to 32 of a-z, 0-9 and '_', beginning with a letter and ending with a letter or a \
         digit",
    )
}

fn value(text: &str) -> Result<String, String> {
    if text.len() > 1024 {
        return Err("it is longer than 1024 bytes".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("it holds a control character".to_owned());
    }
    Ok(text.to_owned())
}
