//! Recipes: what an operator lets the hub ask of this server, as data. A recipe is one file `NAME.toml`
//! ([`manifest`]) of typed parameters and steps; a step is up to three commands, as lists of arguments.
//!
//! [`load`](Recipes::load) reads the operator's folders, whole and once, at start. From the hub come a
//! recipe's name and values for its parameters, never a command: [`Recipe::values`] judges them by the
//! types that the recipe declares and [`argv`] puts each into one argument, through no shell.

pub mod argv;
mod check;
mod load;
pub mod manifest;
pub mod value;

use std::collections::BTreeMap;
use std::path::PathBuf;

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

impl Recipe {
    /// A value for each parameter, out of what was given and the defaults.
    ///
    /// # Errors
    /// Which parameters are unknown, missing or of the wrong kind; all of them at once.
    pub fn values(
        &self,
        given: &BTreeMap<String, String>,
    ) -> anyhow::Result<BTreeMap<String, String>> {
        let params = &self.manifest.params;
        let mut wrong: Vec<String> = given
            .keys()
            .filter(|name| !params.contains_key(*name))
            .map(|name| format!("there is no parameter {name:?}"))
            .collect();
        let mut values = BTreeMap::new();
        for (name, param) in params {
            match given.get(name).or(param.default.as_ref()) {
                None => wrong.push(format!("the parameter {name} is missing")),
                Some(text) => match value::judge(&param.kind, text) {
                    Ok(value) => drop(values.insert(name.clone(), value)),
                    Err(error) => wrong.push(format!("parameter {name}: {error:#}")),
                },
            }
        }
        let name = &self.manifest.name;
        anyhow::ensure!(wrong.is_empty(), "recipe {name}: {}", wrong.join("; "));
        Ok(values)
    }
}
