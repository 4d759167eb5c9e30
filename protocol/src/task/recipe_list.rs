//! `recipe.list`: what recipes a spoke offers, and what each can be told.

use serde::{Deserialize, Serialize};

use super::Task;
use crate::names::{ParamName, RecipeName};
use crate::object::{Claim, Lane};

/// Nothing has to be said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// What there is, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// As many as one answer holds.
    pub recipes: Vec<Offered>,
    /// How many more there are.
    pub more: u32,
    /// What is wrong with files that hold none.
    pub broken: Vec<String>,
}

/// A recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offered {
    /// Its name.
    pub name: RecipeName,
    /// What it does.
    pub description: String,
    /// Whether others that say so too may run at the same time.
    pub parallel: bool,
    /// What it can be told.
    pub params: Vec<Param>,
}

/// A parameter of a recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Param {
    /// Its name.
    pub name: ParamName,
    /// `string`, `integer`, `bool`, `host` or `site`.
    pub kind: String,
    /// What of that it takes, for a person.
    pub accepts: String,
    /// What it is for.
    pub description: String,
    /// What holds when it is not given; without one it must be given.
    pub default: Option<String>,
}

impl Task for Params {
    const VERSION: u16 = 1;
    const LANE: Lane = Lane::Light;
    const REPEATABLE: bool = true;
    const GROWS: bool = false;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        Vec::new()
    }
}
