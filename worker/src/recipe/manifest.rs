//! What a recipe's file may say, as types. [`super::check`] judges what types cannot.

use std::collections::BTreeMap;
use std::path::PathBuf;

use kolga_protocol::names::{ParamName, RecipeName};
use serde::Deserialize;

use super::argv::Argument;
use super::param::Param;

/// A recipe's file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Its name, which is the file's.
    pub name: RecipeName,
    /// What it does, in a line.
    pub description: String,
    /// Whether others that say so too may run at the same time, and this one more than once.
    #[serde(default)]
    pub parallel: bool,
    /// What must be there, besides the programs of its steps.
    #[serde(default)]
    pub needs: Needs,
    /// What it may be given.
    #[serde(default)]
    pub params: BTreeMap<ParamName, Param>,
    /// What it does, in order.
    pub steps: Vec<Step>,
}

/// What must be there, or must not, before anything is done.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Needs {
    /// Programs that its steps' programs use in turn.
    pub programs: Vec<PathBuf>,
    /// Files and folders that must be there.
    pub paths: Vec<Argument>,
    /// Files and folders that must not.
    pub absent: Vec<Argument>,
    /// systemd's units that must be installed.
    pub units: Vec<String>,
}

/// A step: up to three commands.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What it is called in reports.
    pub name: String,
    /// Ends with 0 when all is as `do` makes it, with 1 when not. Asked before `do`, which is left out when all is so
    /// already; after it; and after `undo`.
    #[serde(default)]
    pub check: Option<Vec<Argument>>,
    /// What it does.
    #[serde(rename = "do")]
    pub action: Vec<Argument>,
    /// What `do` reads from its standard input.
    #[serde(default)]
    pub stdin: Option<Argument>,
    /// Takes back what `do` did. It must be right where `do` never ran, ran by half, or ran whole, and twice.
    #[serde(default)]
    pub undo: Option<Vec<Argument>>,
    /// Said of a step that changes nothing, or nothing that matters when the recipe does not come to its end.
    #[serde(default)]
    pub nothing_to_undo: bool,
    /// Said of a step that destroys: it comes after the point of no return, and is done again until it succeeds.
    #[serde(default, rename = "final")]
    pub last: bool,
    /// As whom its commands run; as the worker's own user unless said.
    #[serde(default)]
    pub run_as: Option<String>,
    /// Whether its commands can open nothing but programs and the site's folder.
    #[serde(default)]
    pub confined_to_site: bool,
    /// How long each of the commands may take.
    #[serde(default = "a_minute")]
    pub timeout_seconds: u32,
}

fn a_minute() -> u32 {
    60
}

impl Step {
    /// Its commands, and what each is called.
    pub fn commands(&self) -> impl Iterator<Item = (&'static str, &[Argument])> {
        let all = [
            ("check", self.check.as_ref()),
            ("do", Some(&self.action)),
            ("undo", self.undo.as_ref()),
        ];
        let there = all.into_iter();
        there.filter_map(|(what, command)| Some((what, command?.as_slice())))
    }
}

impl Manifest {
    /// Whether it works on a site.
    #[must_use]
    pub fn has_site(&self) -> bool {
        self.params
            .keys()
            .any(|name| name.as_str() == super::values::SITE)
    }
}
