//! From the operator's folders to recipes: read whole, checked whole. A broken one is kept as the sentence that says
//! what is wrong with it, and stops no other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kolga_protocol::names::RecipeName;

use super::{Manifest, Recipe, check, trust};
use crate::config;

/// All recipes that this server offers.
#[derive(Clone, Debug, Default)]
pub struct Recipes {
    /// By name.
    pub good: BTreeMap<RecipeName, Recipe>,
    /// What is wrong with others.
    pub broken: Vec<String>,
}

impl Recipes {
    /// Reads each `NAME.toml` of the folders; of two of one name neither counts.
    #[must_use]
    pub fn load(config: &config::Recipes) -> Self {
        let mut all = Self::default();
        let mut twice = BTreeSet::new();
        for folder in &config.directories {
            let files = match files(folder) {
                Ok(files) => files,
                Err(error) => {
                    let shown = folder.display();
                    let text = format!("cannot read the folder of recipes {shown}: {error}");
                    all.broken.push(text);
                    continue;
                }
            };
            for file in files {
                match read(&file, &config.users) {
                    Err(error) => all.broken.push(format!("{error:#}")),
                    Ok(recipe) => {
                        let name = recipe.manifest.name.clone();
                        if let Some(other) = all.good.insert(name.clone(), recipe) {
                            let (a, b) = (other.file.display(), file.display());
                            all.broken
                                .push(format!("{a} and {b} are both called {name}"));
                            twice.insert(name);
                        }
                    }
                }
            }
        }
        all.good.retain(|name, _| !twice.contains(name));
        all
    }

    /// One by its name.
    ///
    /// # Errors
    /// When there is none, with those that there are.
    pub fn get(&self, name: &RecipeName) -> anyhow::Result<&Recipe> {
        self.good.get(name).with_context(|| {
            let offered: Vec<&str> = self.good.keys().map(AsRef::as_ref).collect();
            let offered = match offered.as_slice() {
                [] => "none".to_owned(),
                names => names.join(", "),
            };
            let broken = match self.broken.len() {
                0 => String::new(),
                count => {
                    format!("; {count} are broken, as `kolga-worker check` tells on the server")
                }
            };
            format!("there is no recipe {name} on this server; it offers {offered}{broken}")
        })
    }
}

fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let extension = path.extension();
        if extension.is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A recipe out of its file, whose steps may run as these users.
///
/// # Errors
/// What is wrong, with file and line.
pub fn read(file: &Path, users: &[String]) -> anyhow::Result<Recipe> {
    let at = file.display();
    let text = trust::text(file).with_context(|| at.to_string())?;
    let manifest: Manifest = toml::from_str(&text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = 1 + text[..start].matches('\n').count();
        anyhow::anyhow!("{at}:{line}: {}", error.message())
    })?;
    let line_of = |mark: &str| match text.split_once(mark) {
        Some((before, _)) => 1 + before.matches('\n').count(),
        None => 1,
    };
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    let problems: Vec<String> = check::problems(stem.unwrap_or_default(), &manifest, users)
        .into_iter()
        .map(|(mark, problem)| format!("{at}:{}: {problem}", line_of(&mark)))
        .collect();
    anyhow::ensure!(problems.is_empty(), "{}", problems.join("; "));
    let file = file.to_owned();
    Ok(Recipe { manifest, file })
}
