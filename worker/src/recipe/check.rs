//! What types cannot see in a recipe: where its parts do not fit together. Called by [`super::load`].

use super::manifest::{Kind, Manifest, Step};
use super::value;

/// What is wrong, each with a text that stands on the line to look at.
pub(super) fn problems(file_stem: &str, manifest: &Manifest) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut problem = |at: &str, text: String| found.push((at.to_owned(), text));
    if !is_name(&manifest.name, '-') {
        problem(
            "name",
            "a name is 1 to 40 of a-z, 0-9 and -, a letter first".into(),
        );
    }
    if manifest.name != file_stem {
        let text = format!(
            "it is called {}, but its file {file_stem}.toml",
            manifest.name
        );
        problem("name", text);
    }
    for (name, param) in &manifest.params {
        let at = format!("[params.{name}]");
        if !is_name(name, '_') {
            problem(
                &at,
                "a parameter's name is 1 to 40 of a-z, 0-9 and _, a letter first".into(),
            );
        }
        match &param.kind {
            Kind::Path { below } if !below.is_absolute() => {
                problem(&at, "below must be an absolute path".into());
            }
            Kind::String { max, .. } if *max == 0 || *max > value::LONGEST => {
                problem(&at, format!("max must be 1 to {}", value::LONGEST));
            }
            Kind::String { allow, .. } if allow.is_empty() => {
                problem(
                    &at,
                    "allow must name at least one class of characters".into(),
                );
            }
            _ => {}
        }
        if let Some(Err(error)) = param.default.as_ref().map(|d| value::judge(&param.kind, d)) {
            problem(&at, format!("its default is refused: {error:#}"));
        }
    }
    if manifest.steps.is_empty() {
        problem("steps", "a recipe has at least one step".into());
    }
    for step in &manifest.steps {
        for text in step_problems(step, manifest) {
            problem(
                &format!("{:?}", step.name),
                format!("step {}: {text}", step.name),
            );
        }
    }
    found
}

fn step_problems(step: &Step, manifest: &Manifest) -> Vec<String> {
    let mut found = Vec::new();
    let commands = [
        ("check", step.check.as_ref()),
        ("do", Some(&step.action)),
        ("undo", step.undo.as_ref()),
    ];
    for (what, command) in commands {
        let Some(command) = command else { continue };
        let program = command.first().and_then(|program| program.literal());
        if !program.is_some_and(|program| program.starts_with('/')) {
            found.push(format!(
                "{what} begins with a program's absolute path, without parameters"
            ));
        }
        for name in command.iter().flat_map(|argument| argument.params()) {
            if !manifest.params.contains_key(name) {
                found.push(format!("{what}: there is no parameter {name}"));
            }
        }
    }
    let said = [step.undo.is_some(), step.irreversible, step.read_only];
    if said.iter().filter(|said| **said).count() != 1 {
        found.push("it needs one of undo, irreversible = true, read_only = true".to_owned());
    }
    if !(1..=86_400).contains(&step.timeout_seconds) {
        found.push("timeout_seconds is 1 to 86400".to_owned());
    }
    found
}

/// Whether it is 1 to 40 of a-z, 0-9 and the joiner, a letter first.
pub(super) fn is_name(text: &str, joiner: char) -> bool {
    text.len() <= 40
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == joiner)
}
