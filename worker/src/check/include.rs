//! Whether nginx's configuration includes ours: read as nginx reads it, as far as includes go.
//!
//! `nginx -T` would tell too, but prints every certificate's and password's place to whoever may run it,
//! so the worker is not given it.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::config;

/// Where nginx's configuration lies unless its argv says otherwise.
const DEFAULT: &str = "/etc/nginx/nginx.conf";
const MOST_FILES: usize = 500;

/// Whether the configuration that `nginx.test` tests leads to `nginx.include`, and that to the sites.
pub(super) fn included(config: &config::Nginx) -> anyhow::Result<String> {
    let main = main_file(&config.test);
    let sites = format!("{}/*.conf", config.sites_dir.display());
    let include = &config.include;
    let text = std::fs::read_to_string(include)
        .with_context(|| format!("cannot read {}", include.display()))?;
    anyhow::ensure!(
        includes(&text).any(|pattern| pattern == sites),
        "{} does not include the sites: it should hold `include {sites};`",
        include.display()
    );
    anyhow::ensure!(
        leads_to(&main, include)?,
        "{} does not include {}: add `include {};` to its http block",
        main.display(),
        include.display(),
        include.display()
    );
    Ok(format!("{} includes {}", main.display(), include.display()))
}

fn main_file(argv: &[String]) -> PathBuf {
    let given = argv.iter().skip_while(|arg| *arg != "-c").nth(1);
    given.map_or_else(|| PathBuf::from(DEFAULT), PathBuf::from)
}

fn leads_to(main: &Path, wanted: &Path) -> anyhow::Result<bool> {
    let root = main
        .parent()
        .context("nginx's configuration lies in a folder")?;
    let mut waiting = vec![main.to_owned()];
    let mut read = 0;
    while let Some(file) = waiting.pop() {
        read += 1;
        anyhow::ensure!(read <= MOST_FILES, "{} includes itself", main.display());
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if file == main => {
                return Err(error).with_context(|| format!("cannot read {}", file.display()));
            }
            // One that only root may read is not where ours is expected.
            Err(_) => continue,
        };
        for pattern in includes(&text) {
            let pattern = root.join(pattern);
            if pattern == wanted || matches(&pattern, wanted) {
                return Ok(true);
            }
            waiting.extend(files_of(&pattern));
        }
    }
    Ok(false)
}

/// What `include` directives name, comments left out.
fn includes(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter_map(|line| line.split('#').next())
        .flat_map(|line| line.split([';', '{', '}']))
        .filter_map(|directive| directive.trim().strip_prefix("include"))
        .filter(|rest| rest.starts_with(char::is_whitespace))
        .map(|rest| rest.trim().trim_matches(['"', '\'']))
}

/// The files that a pattern names; a `*` counts in the last part only, where everybody puts it.
fn files_of(pattern: &Path) -> Vec<PathBuf> {
    if !pattern.to_string_lossy().contains('*') {
        return vec![pattern.to_owned()];
    }
    let Some(entries) = pattern
        .parent()
        .and_then(|folder| std::fs::read_dir(folder).ok())
    else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_file() && matches(pattern, path))
        .collect()
}

fn matches(pattern: &Path, path: &Path) -> bool {
    let name = |path: &Path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    let (Some(wanted), Some(found)) = (name(pattern), name(path)) else {
        return false;
    };
    let Some((before, after)) = wanted.split_once('*') else {
        return pattern == path;
    };
    pattern.parent() == path.parent()
        && found.len() >= before.len() + after.len()
        && found.starts_with(before)
        && found.ends_with(after)
}
