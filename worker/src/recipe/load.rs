//! From the operator's folders to recipes. Whoever can write there says what the hub can have run here, so
//! folder and file must belong to root or the worker's user, and nobody else may be able to write them.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::{FileType, Mode, OFlags};

use super::{Manifest, Recipe, check};

/// The longest file that is read.
const LONGEST: u64 = 64 * 1024;

/// All recipes that this server offers.
#[derive(Clone, Debug, Default)]
pub struct Recipes {
    /// By name.
    pub good: BTreeMap<String, Recipe>,
    /// What is wrong with others, which stop none of these.
    pub broken: Vec<String>,
}

impl Recipes {
    /// Reads each `NAME.toml` of the folders; of two of one name neither counts.
    #[must_use]
    pub fn load(folders: &[PathBuf]) -> Self {
        let mut all = Self::default();
        let mut twice: Vec<String> = Vec::new();
        for folder in folders {
            let files = match files(folder) {
                Ok(files) => files,
                Err(error) => {
                    all.broken.push(format!("{}: {error:#}", folder.display()));
                    continue;
                }
            };
            for file in files {
                match read(&file) {
                    Err(error) => all.broken.push(format!("{error:#}")),
                    Ok(recipe) => {
                        let name = recipe.manifest.name.clone();
                        if let Some(other) = all.good.insert(name.clone(), recipe) {
                            let (a, b) = (other.file.display(), file.display());
                            all.broken
                                .push(format!("{a} and {b} are both called {name}"));
                            twice.push(name);
                        }
                    }
                }
            }
        }
        for name in twice {
            all.good.remove(&name);
        }
        all
    }
}

fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A recipe out of its file.
///
/// # Errors
/// What is wrong, with file and line.
pub fn read(file: &Path) -> anyhow::Result<Recipe> {
    let at = file.display();
    let text = trusted_text(file).with_context(|| at.to_string())?;
    let manifest: Manifest = toml::from_str(&text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = 1 + text[..start].matches('\n').count();
        anyhow::anyhow!("{at}:{line}: {}", error.message())
    })?;
    let line_of = |mark: &str| {
        1 + text
            .split(mark)
            .next()
            .map_or(0, |s| s.matches('\n').count())
    };
    let stem = file
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    let problems: Vec<String> = check::problems(stem, &manifest)
        .into_iter()
        .map(|(mark, problem)| {
            let line = if text.contains(&mark) {
                line_of(&mark)
            } else {
                1
            };
            format!("{at}:{line}: {problem}")
        })
        .collect();
    anyhow::ensure!(problems.is_empty(), "{}", problems.join("; "));
    let file = file.to_owned();
    Ok(Recipe { manifest, file })
}

/// What the file holds, when only root or the worker's user can have written it. The folder is opened
/// first and the file reached from it, so that what was judged is what is read.
fn trusted_text(file: &Path) -> anyhow::Result<String> {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let name = file.file_name().context("it is no file's path")?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let folder = folder.unwrap_or(Path::new("."));
    let folder = rustix::fs::open(folder, flags | OFlags::DIRECTORY, Mode::empty())
        .context("its folder cannot be opened, or is a symbolic link")?;
    trusted(&rustix::fs::fstat(&folder)?, "its folder")?;
    let opened =
        rustix::fs::openat(&folder, name, flags, Mode::empty()).map_err(|error| match error {
            rustix::io::Errno::LOOP => anyhow::anyhow!("it is a symbolic link"),
            error => error.into(),
        })?;
    let stat = rustix::fs::fstat(&opened)?;
    anyhow::ensure!(
        FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile,
        "it is no ordinary file"
    );
    trusted(&stat, "it")?;
    let mut text = String::new();
    let mut limited = std::fs::File::from(opened).take(LONGEST + 1);
    limited
        .read_to_string(&mut text)
        .context("it is not text")?;
    anyhow::ensure!(text.len() as u64 <= LONGEST, "it is longer than 64 KiB");
    Ok(text)
}

fn trusted(stat: &rustix::fs::Stat, what: &str) -> anyhow::Result<()> {
    let own = rustix::process::geteuid().as_raw();
    anyhow::ensure!(
        (stat.st_uid == 0 || stat.st_uid == own) && stat.st_mode & 0o022 == 0,
        "{what} can be written by others than root and the worker's user: chown and chmod go-w it"
    );
    Ok(())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
