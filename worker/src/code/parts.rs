//! What is installed in a platform: plugins, themes, extensions, as the profile's `[[platform.parts]]` finds them.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use kolga_protocol::task::platform_verify::Part;

use crate::cx::Stop;
use crate::profile::manifest::PartRule;

/// Applications read no more of a file for its header either.
const HEAD: u64 = 64 * 1024;
/// More than any platform has.
const MOST: usize = 5000;

/// Everything that the rules find below `code`, by kind and name. What cannot be read is not there.
///
/// # Errors
/// When the task should stop.
pub fn find(code: &Path, rules: &[PartRule], stop: &Stop) -> anyhow::Result<Vec<Part>> {
    let mut found = BTreeSet::new();
    let Ok(root) = code.canonicalize() else {
        return Ok(Vec::new());
    };
    for rule in rules {
        for (path, name) in matching(&root, rule) {
            stop.check()?;
            // The worker's own tree, whose links were checked; one that leads elsewhere by now is no part of it.
            let inside = path.canonicalize().is_ok_and(|led| led.starts_with(&root));
            let Some(text) = inside.then(|| head(&path)).flatten() else {
                continue;
            };
            if found.len() < MOST && rule.having.as_ref().is_none_or(|mark| text.contains(mark)) {
                let version = rule.version.read(&text);
                found.insert((rule.kind.to_string(), name, version));
            }
        }
    }
    let part = |(kind, name, version)| Part {
        kind,
        name,
        version,
    };
    Ok(found.into_iter().map(part).collect())
}

/// The files of a rule, and for each what stood in place of the first star.
fn matching(root: &Path, rule: &PartRule) -> Vec<(PathBuf, String)> {
    let mut reached = vec![(root.to_owned(), None::<String>)];
    for part in rule.files.parts() {
        let mut next = Vec::new();
        for (folder, name) in reached {
            let Some((before, after)) = part.split_once('*') else {
                next.push((folder.join(part), name));
                continue;
            };
            let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            for entry in entries {
                let Ok(text) = entry.file_name().into_string() else {
                    continue;
                };
                let middle = text
                    .strip_prefix(before)
                    .and_then(|rest| rest.strip_suffix(after));
                if let Some(middle) = middle.filter(|middle| !middle.is_empty()) {
                    let name = name.clone().unwrap_or_else(|| middle.to_owned());
                    next.push((entry.path(), Some(name)));
                }
            }
        }
        reached = next;
    }
    reached
        .into_iter()
        .map(|(path, name)| (path, name.unwrap_or_default()))
        .collect()
}

fn head(path: &Path) -> Option<String> {
    let file = std::fs::File::open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(HEAD).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    #[test]
    fn parts_are_found_by_rules_with_their_versions_and_nothing_outside_is_read() {
        let scratch = Scratch::new();
        let write = |path: &str, text: &str| {
            let path = scratch.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        write(
            "code/plugins/shop/shop.php",
            "/*\n * Plugin Name: A shop\n * Version: 2.1\n */",
        );
        write("code/plugins/shop/helper.php", "<?php // Version: 9");
        write(
            "code/plugins/hello.php",
            "/* Plugin Name: Hello\nVersion: 1.7.2\n*/",
        );
        write("code/plugins/nameless/x.php", "/* Plugin Name: X */");
        write("outside/x.php", "/* Plugin Name: Y\nVersion: 1 */");
        let link = scratch.path().join("code/plugins/led");
        std::os::unix::fs::symlink(scratch.path().join("outside"), link).expect("a link");
        let rules = "parts = [
            { kind = 'plugin', files = 'plugins/*/*.php', having = 'Plugin Name:', version = { after = 'Version:' } },
            { kind = 'plugin', files = 'plugins/*.php', having = 'Plugin Name:', version = { after = 'Version:' } },
        ]";
        #[derive(serde::Deserialize)]
        struct Rules {
            parts: Vec<PartRule>,
        }
        let rules: Rules = toml::from_str(rules).expect("rules");
        let code = scratch.path().join("code");
        let found = find(&code, &rules.parts, &Stop::never()).expect("found");
        let told: Vec<_> = found
            .iter()
            .map(|part| (part.name.as_str(), part.version.as_deref()))
            .collect();
        assert_eq!(
            told,
            [
                ("hello", Some("1.7.2")),
                ("nameless", None),
                ("shop", Some("2.1"))
            ]
        );
    }
}
