//! What a recipe's file may say, as types. [`super::check`] judges what types cannot.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::argv::Argument;

/// A recipe's file.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Its name, which is the file's.
    pub name: String,
    /// What it does, in a line.
    pub description: String,
    /// What it may be given.
    #[serde(default)]
    pub params: BTreeMap<String, Param>,
    /// What it does, in order.
    pub steps: Vec<Step>,
}

/// A parameter.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Param {
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// What holds when it is not given; it must be given when there is none.
    #[serde(default)]
    pub default: Option<String>,
    /// What it may be.
    #[serde(flatten)]
    pub kind: Kind,
}

/// What a parameter may be. There is none for secrets: they do not travel through the hub.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Kind {
    /// Text of allowed characters, of bound length.
    String {
        /// Which characters.
        allow: Vec<Class>,
        /// The most of them.
        max: usize,
    },
    /// A whole number.
    Integer {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// `true` or `false`.
    Boolean,
    /// One of a list.
    Choice {
        /// The list.
        of: Vec<String>,
    },
    /// A host name.
    Host,
    /// A path below a folder, given relative to it; it becomes the absolute path.
    Path {
        /// The folder.
        below: PathBuf,
    },
}

/// Characters that a text may hold: all are ASCII and none is a control character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// `a-z`
    Lower,
    /// `A-Z`
    Upper,
    /// `0-9`
    Digits,
    /// `-`
    Dash,
    /// `_`
    Underscore,
    /// `.`
    Dot,
    /// `:`
    Colon,
    /// `/`
    Slash,
    /// The blank.
    Space,
    /// Everything else that ASCII can print.
    Punctuation,
}

/// A step: up to three commands.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What it is called in reports.
    pub name: String,
    /// Ends with 0 when all is as wanted already, and the step is skipped.
    #[serde(default)]
    pub check: Option<Vec<Argument>>,
    /// What it does.
    #[serde(rename = "do")]
    pub action: Vec<Argument>,
    /// Takes back what `do` did. It must be right where `do` never ran, ran by half, or ran whole.
    #[serde(default)]
    pub undo: Option<Vec<Argument>>,
    /// Said of a step that changes something and has no `undo`.
    #[serde(default)]
    pub irreversible: bool,
    /// Said of a step that changes nothing.
    #[serde(default)]
    pub read_only: bool,
    /// How long each of the commands may take.
    pub timeout_seconds: u32,
}
