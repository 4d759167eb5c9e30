//! An argument of a recipe's command: text with places for parameters, `{{ params.NAME }}`.
//!
//! It is taken apart once, when the recipe is read. There is no expression language and nothing is read
//! twice, so a value that looks like a place for another stays what it is; each argument stays one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// An argument.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Argument(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Param(String),
}

impl TryFrom<String> for Argument {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.contains('\0') {
            return Err("an argument cannot hold a zero byte".to_owned());
        }
        let mut pieces = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, from)) = rest.split_once("{{") {
            let (inside, after) = from
                .split_once("}}")
                .ok_or_else(|| format!("{text:?}: {{{{ without }}}}"))?;
            let name = inside
                .trim()
                .strip_prefix("params.")
                .filter(|name| super::check::is_name(name, '_'))
                .ok_or_else(|| format!("{text:?}: only {{{{ params.NAME }}}} can stand there"))?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::Param(name.to_owned()));
            rest = after;
        }
        if !rest.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }
}

impl From<Argument> for String {
    fn from(argument: Argument) -> Self {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Param(name) => format!("{{{{ params.{name} }}}}"),
        };
        argument.0.iter().map(text).collect()
    }
}

impl Argument {
    /// The parameters that it holds.
    pub fn params(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Param(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// The text, when it holds no parameter.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    fn begins_with_param(&self) -> bool {
        matches!(self.0.first(), Some(Piece::Param(_)))
    }
}

/// A command with its parameters' values in place.
///
/// # Errors
/// When a value would make an option of an argument: it begins with `-`, begins the argument, and no
/// `--` stands before it. A parameter that has no value is refused too.
pub fn render(
    command: &[Argument],
    values: &BTreeMap<String, String>,
) -> anyhow::Result<Vec<String>> {
    let mut options_end = false;
    let mut argv = Vec::with_capacity(command.len());
    for argument in command {
        let mut text = String::new();
        for piece in &argument.0 {
            text.push_str(match piece {
                Piece::Text(text) => text,
                Piece::Param(name) => values
                    .get(name)
                    .ok_or_else(|| anyhow::anyhow!("the parameter {name} has no value"))?,
            });
        }
        anyhow::ensure!(
            options_end || !(argument.begins_with_param() && text.starts_with('-')),
            "{text:?} would be taken for an option: a value there must not begin with -"
        );
        options_end |= argument.literal() == Some("--");
        argv.push(text);
    }
    Ok(argv)
}
