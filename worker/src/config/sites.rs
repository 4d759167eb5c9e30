//! Where sites and platforms lie, what describes them, and how long what was theirs is kept: `[sites]`, `[profiles]`,
//! `[recipes]`, `[trash]`, `[cron]`.

use std::path::PathBuf;

use serde::Deserialize;

/// Folders of sites.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sites {
    /// One folder a site, named by its host.
    pub root: PathBuf,
    /// One folder a platform.
    pub platforms: PathBuf,
    /// Platforms are built only from what lies below one of these.
    #[serde(default)]
    pub platform_sources: Vec<PathBuf>,
    /// Sites that Kolga has not made are imported only from what lies below one of these. Nothing is without.
    #[serde(default)]
    pub import_from: Vec<PathBuf>,
    /// Platforms are fetched by git only from addresses that begin with one of these, such as
    /// `https://git.example.org/shops/`.
    #[serde(default)]
    pub git_sources: Vec<String>,
    /// The user as whom nginx reads sites, and the php-fpm that they share unless `php.user` says another.
    #[serde(default = "www_data")]
    pub web_user: String,
}

impl Sites {
    /// What makes no sense.
    pub(super) fn problems(&self) -> Option<String> {
        let absolute = self.import_from.iter().all(|it| it.is_absolute());
        (!absolute).then(|| "sites.import_from must be absolute paths".into())
    }
}

/// Kinds of sites.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profiles {
    /// Folders with one folder a profile. A later one wins over an earlier and over the built-in.
    pub directories: Vec<PathBuf>,
}

/// Recipes of the operator's.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipes {
    /// Folders with one file a recipe, `NAME.toml`. Nobody but root and the worker's user may write there.
    pub directories: Vec<PathBuf>,
    /// As whom steps of recipes may run besides the worker's own user; sudoers has to allow it too.
    pub users: Vec<String>,
}

impl Recipes {
    /// What makes no sense.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !self.directories.iter().all(|it| it.is_absolute()) {
            problems.push("recipes.directories must be absolute paths".into());
        }
        let is_user = |name: &String| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
            !name.is_empty() && !name.starts_with('-') && name.bytes().all(plain)
        };
        if !self.users.iter().all(is_user) {
            problems.push("recipes.users must be names of users".into());
        }
        problems
    }
}

/// What was a site's: the folder and the database of one that was deleted, the database of one that moved.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trash {
    /// Days after which the worker destroys it by itself. With 0 nothing is kept: the task itself destroys it.
    pub keep_days: u32,
}

impl Default for Trash {
    fn default() -> Self {
        Self { keep_days: 14 }
    }
}

/// What the profiles of sites have done at regular times.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cron {
    /// Whether the worker does it.
    pub enabled: bool,
}

impl Default for Cron {
    fn default() -> Self {
        Self { enabled: true }
    }
}

fn www_data() -> String {
    "www-data".to_owned()
}
