//! Where the packages of platforms may come from, and whether code of theirs may run while they are installed.
//!
//! [`super::Config`] holds it; [`crate::services::composer`] does by it.

use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

/// composer, when platforms may have packages of its.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Composer {
    /// The program, which PHP runs.
    #[serde(default = "program")]
    pub program: PathBuf,
    /// Packages come only from addresses that begin with one of these, such as `https://repo.example.org/`, or from
    /// files below one of these folders; and from the code itself.
    pub sources: Vec<String>,
    /// Whether plugins among the packages run. They run as the worker's user, so whoever writes such code can do what
    /// the worker can.
    #[serde(default)]
    pub plugins: bool,
}

fn program() -> PathBuf {
    PathBuf::from("/usr/bin/composer")
}

impl Composer {
    /// What is wrong with it.
    pub(super) fn problems(&self) -> Vec<String> {
        let good = |source: &String| match source.strip_prefix("https://") {
            Some(rest) => !rest.starts_with('/') && is_plain(rest) && !rest.is_empty(),
            None => Path::new(source).is_absolute() && is_plain(source),
        };
        match self.sources.iter().all(good) {
            true => Vec::new(),
            false => vec![
                "composer.sources must begin with https:// and a host, or be absolute paths".into(),
            ],
        }
    }

    /// The folders among the sources.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        let sources = self.sources.iter().map(Path::new);
        sources.filter(|source| source.is_absolute())
    }

    /// Whether a package may come from there: an address of the web or a path as composer writes it. What is relative is
    /// the code's own.
    ///
    /// # Errors
    /// Why not.
    pub fn allows(&self, url: &str) -> Result<(), String> {
        if !is_plain(url) {
            return Err(format!("{url:?} is no plain address"));
        }
        let local = url.strip_prefix("file://").unwrap_or(url);
        let known = if local.starts_with('/') {
            self.folders()
                .any(|folder| local != "/" && Path::new(local).starts_with(folder))
        } else if url.starts_with("https://") {
            self.sources.iter().any(|source| {
                let rest = url.strip_prefix(source.trim_end_matches('/'));
                rest.is_some_and(|rest| rest.starts_with('/'))
            })
        } else {
            !url.is_empty() && !url.contains(':')
        };
        match known {
            true => Ok(()),
            false => Err(format!("{url} begins with none of this spoke's sources")),
        }
    }
}

/// Nothing in it that one program takes for something else than another does.
fn is_plain(text: &str) -> bool {
    let good = |c: char| c.is_ascii_graphic() && !"\\\"'`<>@#^{|}".contains(c);
    // Dots that lead upwards may be written so, too.
    let encoded = text.to_ascii_lowercase().contains("%2e");
    let up = Path::new(text)
        .components()
        .any(|part| part == Component::ParentDir);
    !encoded && !up && text.chars().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn composer(sources: &[&str]) -> Composer {
        Composer {
            program: program(),
            sources: sources.iter().map(|&source| source.to_owned()).collect(),
            plugins: false,
        }
    }

    #[test]
    fn packages_come_only_from_where_the_operator_says_or_out_of_the_code() {
        let composer = composer(&["https://repo.example.org/php/", "/srv/packages"]);
        assert_eq!(composer.problems(), Vec::<String>::new());
        for good in [
            "https://repo.example.org/php/a/b-1.0.zip",
            "/srv/packages/b.zip",
            "file:///srv/packages/b.zip",
            "packages/b.zip",
            "./packages/b",
        ] {
            composer.allows(good).expect(good);
        }
        for bad in [
            "http://repo.example.org/php/b.zip",
            "https://repo.example.org/phpother/b.zip",
            "https://repo.example.org/php/../b.zip",
            "https://repo.example.org/php/%2E%2e/b.zip",
            "https://repo.example.org.evil.org/php/b.zip",
            "https://a@repo.example.org/php/b.zip",
            "/srv/packages-of-others/b.zip",
            "/srv/packages/../../etc/passwd",
            "file:///etc/passwd",
            "file://localhost/etc/passwd",
            "../../etc",
            "php://filter/read=x",
            "phar:///srv/packages/x.phar",
            "ssh://git.example.org/x",
            "git@example.org:x",
            "data:,x",
        ] {
            assert!(composer.allows(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_source_is_an_address_over_https_or_a_folder() {
        for bad in [
            "http://repo.example.org/",
            "https://",
            "packages",
            "https:///x",
            "/srv/../x",
        ] {
            assert_eq!(composer(&[bad]).problems().len(), 1, "{bad}");
        }
    }
}
