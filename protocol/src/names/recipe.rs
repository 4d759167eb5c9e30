//! Names of an operator's recipes and of what can be told to one.

use super::{ascii_name, lower_or_digit, name_type};

name_type!(
    /// A recipe that a spoke may offer, such as `clear-nginx-cache`: 1 to 40 of `a-z 0-9 -`, beginning with a letter.
    /// It is a name for what the spoke has, never something to run and never a path.
    RecipeName,
    "recipe name",
    recipe
);

name_type!(
    /// The name of a recipe's parameter: 1 to 40 of `a-z 0-9 _`, beginning with a letter.
    ParamName,
    "parameter name",
    param
);

name_type!(
    /// What is given for a parameter, as text: at most 1,024 bytes without control characters. It is free text until
    /// the spoke has judged it by the type that the recipe declares; only then it reaches an argv.
    ParamValue,
    "parameter value",
    value
);

fn recipe(text: &str) -> Result<String, String> {
    ascii_name(
        text,
        40,
        |b| b.is_ascii_lowercase(),
        |b| lower_or_digit(b) || b == b'-',
        "use 1 to 40 of a-z, 0-9 and '-', beginning with a letter and ending with a letter or a \
         digit",
    )
}

fn param(text: &str) -> Result<String, String> {
    ascii_name(
        text,
        40,
        |b| b.is_ascii_lowercase(),
        |b| lower_or_digit(b) || b == b'_',
        "use 1 to 40 of a-z, 0-9 and '_', beginning with a letter and ending with a letter or a \
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
