//! `recipe.run`: one of the operator's recipes that the spoke offers, by its name and values for its parameters. What
//! it does is the spoke's: no command crosses the wire.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Task;
use crate::names::{HostName, ParamName, ParamValue, RecipeName};
use crate::object::{Claim, Lane, Object};

/// Which recipe, and with what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Its name.
    pub recipe: RecipeName,
    /// The site that it works on, for a recipe that has a parameter of that type. Apart from the others, since the
    /// task claims it.
    #[serde(default)]
    pub site: Option<HostName>,
    /// Values for its other parameters, as text; the spoke judges them by the types that the recipe declares.
    #[serde(default)]
    pub params: BTreeMap<ParamName, ParamValue>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The recipe that was run.
    pub recipe: RecipeName,
    /// Its steps that can be undone, in order; final ones come after the result is made.
    pub steps: Vec<Done>,
}

/// A step of a recipe that was run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// What the recipe calls it.
    pub name: String,
    /// `done`, or `was so already`.
    pub outcome: String,
}

impl Task for Params {
    const VERSION: u16 = 1;
    const LANE: Lane = Lane::Heavy;
    // What an operator's commands do to the world besides is the operator's to know, so whether an interrupted one
    // is to be done again is for a person to say.
    const REPEATABLE: bool = false;
    const GROWS: bool = false;
    type Output = Output;

    /// Recipes are alone unless they say otherwise, which the spoke alone knows: `recipe::claims` of the worker makes
    /// of these what is needed there.
    fn claims(&self) -> Vec<Claim> {
        let site = self.site.clone().map(Object::Site);
        let own = [Object::Recipe(self.recipe.clone()), Object::Recipes];
        site.into_iter().chain(own).map(Claim::exclusive).collect()
    }
}
