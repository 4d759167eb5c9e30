//! `composer.lock` as composer is told it: the packages that are not for development only, each with the one place that it
//! comes from, where that is one of the operator's sources or the code itself.

use std::collections::BTreeSet;

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use crate::config;
use crate::cx::StepLog;

/// What is kept of the lock, besides the packages. Not what it says of another PHP than the one that is here.
const KEPT: [&str; 6] = [
    "aliases",
    "content-hash",
    "minimum-stability",
    "platform",
    "plugin-api-version",
    "stability-flags",
];
/// What is kept of a package.
const OF_A_PACKAGE: [&str; 20] = [
    "abandoned",
    "autoload",
    "bin",
    "conflict",
    "default-branch",
    "description",
    "dist",
    "extra",
    "include-path",
    "license",
    "name",
    "php-ext",
    "provide",
    "replace",
    "require",
    "target-dir",
    "time",
    "type",
    "version",
    "version_normalized",
];
/// What composer unpacks without a program of its own for it; `path` is a folder of the code.
const UNPACKED: [&str; 3] = ["path", "tar", "zip"];
/// So many of the things that are wrong are told.
const MOST_PROBLEMS: usize = 20;
/// More than any project has.
const MOST_PACKAGES: usize = 5000;

/// It, for composer.
#[derive(Debug)]
pub(super) struct Locked {
    pub(super) text: Vec<u8>,
    pub(super) packages: u64,
    /// Those of which the lock says no checksum.
    unchecked: Vec<String>,
    plugins: Vec<String>,
}

impl Locked {
    /// What an operator should know of it.
    pub(super) fn tell(&self, log: &StepLog, plugins: bool) {
        log.info(format!("{} packages", self.packages));
        if !self.unchecked.is_empty() {
            log.warn(format!(
                "the lock has no checksum of {} of them, so only where they come from says what they are: {}",
                self.unchecked.len(),
                some(&self.unchecked)
            ));
        }
        if !self.plugins.is_empty() {
            let what = match plugins {
                true => "these plugins run as the worker's user",
                false => {
                    "these plugins are installed and not run, so packages lie where composer puts them without"
                }
            };
            log.warn(format!("{what}: {}", some(&self.plugins)));
        }
    }
}

/// Reads the code's, and refuses what may not be installed here.
pub(super) fn read(text: &[u8], may: &config::Composer) -> anyhow::Result<Locked> {
    let lock: Map<String, Value> = serde_json::from_slice(text)?;
    let packages = lock.get("packages").and_then(Value::as_array);
    let packages = packages.context("it has no list of packages")?;
    anyhow::ensure!(
        packages.len() <= MOST_PACKAGES,
        "it names more than {MOST_PACKAGES} packages"
    );
    let mut locked = Locked {
        text: Vec::new(),
        packages: packages.len() as u64,
        unchecked: Vec::new(),
        plugins: Vec::new(),
    };
    let (mut kept, mut problems, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
    for package in packages {
        let told = package.get("name").and_then(Value::as_str);
        let name = told.filter(|name| is_name(name) && names.insert((*name).to_owned()));
        let Some(name) = name else {
            problems.push(format!(
                "{told:?} is no name of a package, or is there twice"
            ));
            continue;
        };
        match locked.package(name, package, may) {
            Ok(package) => kept.push(package),
            Err(problem) => problems.push(format!("{name}: {problem}")),
        }
    }
    anyhow::ensure!(
        problems.is_empty(),
        "what it names may not be installed here: {}",
        some(&problems)
    );
    let mut told = only(&lock, &KEPT);
    told.insert("packages".to_owned(), Value::Array(kept));
    told.insert("packages-dev".to_owned(), json!([]));
    locked.text = serde_json::to_vec(&told)?;
    Ok(locked)
}

impl Locked {
    fn package(
        &mut self,
        name: &str,
        package: &Value,
        may: &config::Composer,
    ) -> Result<Value, String> {
        let package = package.as_object().ok_or("it is no package")?;
        let mut kept = only(package, &OF_A_PACKAGE);
        let sort = package.get("type").and_then(Value::as_str);
        if matches!(sort, Some("composer-plugin" | "composer-installer")) {
            self.plugins.push(name.to_owned());
        }
        // One that is only the sum of others has nothing to be had.
        if sort == Some("metapackage") {
            kept.remove("dist");
            return Ok(Value::Object(kept));
        }
        let dist = package.get("dist").and_then(Value::as_object).ok_or(
            "it comes from a repository of a version control system and not as an archive: run composer with \
             --prefer-dist where the lock is made",
        )?;
        let text = |key: &str| dist.get(key).and_then(Value::as_str).unwrap_or_default();
        let (unpacked, url) = (text("type"), text("url"));
        if !UNPACKED.contains(&unpacked) {
            return Err(format!(
                "{unpacked:?} is no sort of archive that is known here"
            ));
        }
        may.allows(url)?;
        if unpacked == "path" {
            if url.contains(':') || url.starts_with('/') {
                return Err(format!("{url} is no folder of the code"));
            }
            let options = json!({"symlink": false, "relative": true});
            kept.insert("transport-options".to_owned(), options);
        } else if text("shasum").is_empty() {
            self.unchecked.push(name.to_owned());
        }
        // No mirrors.
        let dist = only(dist, &["type", "url", "reference", "shasum"]);
        kept.insert("dist".to_owned(), Value::Object(dist));
        Ok(Value::Object(kept))
    }
}

fn only(object: &Map<String, Value>, keys: &[&str]) -> Map<String, Value> {
    let kept = object
        .iter()
        .filter(|(key, _)| keys.contains(&key.as_str()));
    kept.map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn some(all: &[String]) -> String {
    let shown = all[..all.len().min(MOST_PROBLEMS)].join("; ");
    match all.len().saturating_sub(MOST_PROBLEMS) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

/// `vendor/name`, which becomes two folders.
fn is_name(name: &str) -> bool {
    let part = |part: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain)
    };
    let parts = name.split_once('/');
    name.len() <= 200 && parts.is_some_and(|(vendor, name)| part(vendor) && part(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may() -> config::Composer {
        let text = "sources = ['https://repo.example.org/']";
        toml::from_str(text).expect("a configuration")
    }

    fn package(name: &str, more: Value) -> Value {
        let mut package = json!({
            "name": name, "version": "1.0.0", "type": "library",
            "dist": {"type": "zip", "url": "https://repo.example.org/x.zip", "shasum": "00"},
        });
        let fields = more.as_object().expect("fields").clone();
        package.as_object_mut().expect("fields").extend(fields);
        package
    }

    fn lock(packages: &[Value]) -> anyhow::Result<Locked> {
        let lock =
            json!({"content-hash": "x", "packages": packages, "packages-dev": [{"name": "bad"}]});
        read(&serde_json::to_vec(&lock).expect("JSON"), &may())
    }

    #[test]
    fn of_a_package_only_what_installing_needs_is_told_and_nothing_else_that_could_be_asked() {
        let told = lock(&[
            package(
                "a/a",
                json!({
                    "source": {"type": "git", "url": "ext::sh -c id", "reference": "x"},
                    "notification-url": "http://169.254.169.254/",
                    "transport-options": {"ssl": {"local_cert": "/etc/x"}},
                    "dist": {"type": "zip", "url": "https://repo.example.org/x.zip", "shasum": "",
                             "mirrors": [{"url": "http://evil.org/", "preferred": true}]},
                }),
            ),
            package("a/plugin", json!({"type": "composer-plugin"})),
            package("a/all", json!({"type": "metapackage", "dist": null})),
            package(
                "a/own",
                json!({"dist": {"type": "path", "url": "packages/own"}, "transport-options": {"symlink": true}}),
            ),
        ]);
        let told = told.expect("it is right");
        assert_eq!(told.packages, 4);
        assert_eq!(
            (told.unchecked, told.plugins),
            (vec!["a/a".to_owned()], vec!["a/plugin".to_owned()])
        );
        let text = String::from_utf8(told.text).expect("text");
        for bad in [
            "git",
            "169.254",
            "local_cert",
            "evil",
            "bad",
            "\"symlink\":true",
        ] {
            assert!(!text.contains(bad), "{bad}: {text}");
        }
        for kept in [
            "\"content-hash\":\"x\"",
            "https://repo.example.org/x.zip",
            "\"packages-dev\":[]",
        ] {
            assert!(text.contains(kept), "{kept}: {text}");
        }
    }

    #[test]
    fn all_that_may_not_be_installed_is_told_at_once() {
        let dist = |dist: Value| json!({"dist": dist});
        let said = lock(&[
            package(
                "a/elsewhere",
                dist(json!({"type": "zip", "url": "https://evil.org/x.zip"})),
            ),
            package("a/file", dist(json!({"type": "tar", "url": "/etc/shadow"}))),
            package("a/up", dist(json!({"type": "path", "url": "../../etc"}))),
            package(
                "a/absolute",
                dist(json!({"type": "path", "url": "file:///etc"})),
            ),
            package(
                "a/git",
                dist(json!({"type": "git", "url": "https://repo.example.org/x"})),
            ),
            package("a/none", json!({"dist": null, "source": {"type": "git"}})),
            package("../x", json!({})),
            package("a/..", json!({})),
            package("a/b/c", json!({})),
        ]);
        let said = format!("{:#}", said.expect_err("refused"));
        for part in [
            "a/elsewhere: https://evil.org/x.zip begins with none",
            "a/file: /etc/shadow begins with none",
            "a/up: ",
            "a/absolute: ",
            "a/git: \"git\" is no sort of archive",
            "a/none: it comes from a repository",
            "\"../x\"",
            "\"a/..\"",
            "\"a/b/c\"",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let twice = lock(&[package("a/a", json!({})), package("a/a", json!({}))]);
        assert!(format!("{:#}", twice.expect_err("refused")).contains("twice"));
    }
}
