//! An argument of a recipe's command: text with places for `{{ params.NAME }}`, `{{ site.folder }}` and `{{ run }}`.
//!
//! It is taken apart once, when the recipe is read. There is no expression language and nothing is read
//! twice, so a value that looks like a place for another stays what it is; each argument stays one.

use kolga_protocol::names::ParamName;
use serde::{Deserialize, Serialize};

use super::values::Values;

/// The longest command that is made of a recipe and its values, all arguments together.
const LONGEST: usize = 128 * 1024;

/// An argument.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Argument(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Param(ParamName),
    SiteFolder,
    Run,
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
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(place(inside.trim()).ok_or_else(|| {
                format!("{text:?}: {{{{ params.NAME }}}}, {{{{ site.folder }}}} and {{{{ run }}}} are all that can stand there")
            })?);
            rest = after;
        }
        if !rest.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }
}

fn place(inside: &str) -> Option<Piece> {
    match inside {
        "run" => Some(Piece::Run),
        "site.folder" => Some(Piece::SiteFolder),
        _ => {
            let name = inside.strip_prefix("params.")?;
            Some(Piece::Param(name.parse().ok()?))
        }
    }
}

impl From<Argument> for String {
    fn from(argument: Argument) -> Self {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Param(name) => format!("{{{{ params.{name} }}}}"),
            Piece::SiteFolder => "{{ site.folder }}".to_owned(),
            Piece::Run => "{{ run }}".to_owned(),
        };
        argument.0.iter().map(text).collect()
    }
}

impl Argument {
    /// The parameters that it holds.
    pub fn params(&self) -> impl Iterator<Item = &ParamName> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Param(name) => Some(name),
            _ => None,
        })
    }

    /// Whether it speaks of the site's folder.
    #[must_use]
    pub fn has_site_folder(&self) -> bool {
        self.0.contains(&Piece::SiteFolder)
    }

    /// The text, when it is nothing else.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether what becomes of it is an absolute path, whatever the values.
    #[must_use]
    pub fn is_absolute(&self) -> bool {
        match self.0.first() {
            Some(Piece::Text(text)) => text.starts_with('/'),
            Some(Piece::SiteFolder) => true,
            _ => false,
        }
    }

    /// The text with the values in place.
    ///
    /// # Errors
    /// When something has no value.
    pub fn fill(&self, values: &Values) -> anyhow::Result<String> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(part) => text.push_str(part),
                Piece::Param(name) => text.push_str(values.param(name)?),
                Piece::SiteFolder => text.push_str(values.site_folder()?),
                Piece::Run => text.push_str(&values.run.to_string()),
            }
        }
        Ok(text)
    }

    fn begins_with_param(&self) -> bool {
        matches!(self.0.first(), Some(Piece::Param(_)))
    }
}

/// A command with the values in place.
///
/// # Errors
/// When a value would make an option of an argument: it begins with `-`, begins the argument, and no
/// `--` stands before it. What has no value, or becomes too long, is refused too.
pub fn render(command: &[Argument], values: &Values) -> anyhow::Result<Vec<String>> {
    let mut options_end = false;
    let mut argv = Vec::with_capacity(command.len());
    for argument in command {
        let text = argument.fill(values)?;
        anyhow::ensure!(
            options_end || !(argument.begins_with_param() && text.starts_with('-')),
            "{text:?} would be taken for an option: a value there must not begin with -"
        );
        options_end |= argument.literal() == Some("--");
        argv.push(text);
    }
    let length: usize = argv.iter().map(String::len).sum();
    anyhow::ensure!(
        length <= LONGEST,
        "with these values the command is {length} bytes long, which is more than {LONGEST}"
    );
    Ok(argv)
}
