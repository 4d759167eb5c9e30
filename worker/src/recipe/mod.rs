//! Recipes: what an operator lets the hub ask of this server, as data. A recipe is one file `NAME.toml`
//! ([`manifest`]) of typed parameters ([`param`]) and steps; a step is up to three commands, as lists of arguments.
//!
//! [`load`] reads the operator's folders, whole and once, at start and at every reload. From the hub come a
//! recipe's name and values for its parameters, never a command: [`values`] judges them by the
//! types that the recipe declares, [`needs`] looks whether all is there, [`argv`] puts each value into one argument,
//! through no shell, and [`call`] runs the result. [`crate::tasks`] makes a plan of it, whose steps are those of
//! [`crate::steps::run_recipe_step`] and [`crate::steps::finish_recipe_step`].

pub mod argv;
pub mod call;
mod check;
mod load;
pub mod manifest;
pub mod needs;
pub mod param;
mod trust;
pub mod values;

use std::path::PathBuf;

use kolga_protocol::object::{Access, Claim, Object};
use kolga_protocol::task::Params;

pub use load::{Recipes, read};
pub use manifest::Manifest;

/// One recipe, checked.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// What the file says.
    pub manifest: Manifest,
    /// The file, for messages.
    pub file: PathBuf,
}

/// What a task needs for itself on this spoke: what its parameters say, and of recipes that allow others beside them
/// no more than a share.
#[must_use]
pub fn claims(params: &Params, recipes: &Recipes) -> Vec<Claim> {
    let parallel = match params {
        Params::RecipeRun(run) => recipes
            .good
            .get(&run.recipe)
            .is_some_and(|recipe| recipe.manifest.parallel),
        _ => false,
    };
    match parallel {
        true => shared(params.claims()),
        false => params.claims(),
    }
}

/// The claims of an attempt that was running before a restart. Those that ran side by side then go on side by side,
/// whatever their recipes say by now; who comes after them waits for all of them, unless it is parallel.
#[must_use]
pub fn claims_held(params: &Params) -> Vec<Claim> {
    shared(params.claims())
}

fn shared(mut claims: Vec<Claim>) -> Vec<Claim> {
    for claim in &mut claims {
        if matches!(claim.object, Object::Recipe(_) | Object::Recipes) {
            claim.access = Access::Shared;
        }
    }
    claims
}

#[cfg(test)]
mod tests;
