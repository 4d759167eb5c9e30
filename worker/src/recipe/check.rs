//! What types cannot see in a recipe: where its parts do not fit together. Called by [`super::load`].

use std::collections::BTreeSet;

use super::argv::Argument;
use super::manifest::{Manifest, Step};
use super::param::Kind;
use super::values::SITE;

/// As many as a task's report can number, and far more than make sense.
const MOST_STEPS: usize = 100;

/// What is wrong, each with a text that stands on the line to look at.
pub(super) fn problems(
    file_stem: &str,
    manifest: &Manifest,
    users: &[String],
) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut problem = |at: &str, text: String| found.push((at.to_owned(), text));
    if manifest.name.as_str() != file_stem {
        let text = format!(
            "it is called {}, but its file {file_stem}.toml",
            manifest.name
        );
        problem("name", text);
    }
    for (name, param) in &manifest.params {
        if matches!(param.kind, Kind::Site) != (name.as_str() == SITE) {
            let text = "a parameter of type site is called site, and no other is";
            problem(&format!("[params.{name}]"), text.to_owned());
        }
    }
    if !(1..=MOST_STEPS).contains(&manifest.steps.len()) {
        problem("steps", format!("a recipe has 1 to {MOST_STEPS} steps"));
    }
    let needs = &manifest.needs;
    for argument in needs.paths.iter().chain(&needs.absent) {
        let mut wrong = unknown(argument, manifest);
        if !argument.is_absolute() {
            wrong.push("a path begins with / or {{ site.folder }}".to_owned());
        }
        for text in wrong {
            problem("[needs]", format!("needs: {text}"));
        }
    }
    for program in needs.programs.iter().filter(|path| !path.is_absolute()) {
        let text = format!("needs: {} is no absolute path", program.display());
        problem("[needs]", text);
    }
    for unit in needs.units.iter().filter(|unit| !is_unit(unit)) {
        problem("[needs]", format!("needs: {unit:?} is no unit's name"));
    }
    let mut names = BTreeSet::new();
    let mut finals = false;
    for step in &manifest.steps {
        let at = format!("{:?}", step.name);
        if !names.insert(&step.name) {
            problem(&at, format!("two steps are called {}", step.name));
        }
        if finals && !step.last {
            let text = "a step that is not final comes after a final one";
            problem(&at, format!("step {}: {text}", step.name));
        }
        finals |= step.last;
        for text in step_problems(step, manifest, users) {
            problem(&at, format!("step {}: {text}", step.name));
        }
    }
    found
}

fn step_problems(step: &Step, manifest: &Manifest, users: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    if !is_step_name(&step.name) {
        found.push("a step's name is 1 to 40 of a-z, 0-9, - and _, a letter first".to_owned());
    }
    for (what, command) in step.commands() {
        let program = command.first().and_then(Argument::literal);
        if !program.is_some_and(|program| program.starts_with('/')) {
            found.push(format!(
                "{what} begins with a program's absolute path, without parameters"
            ));
        }
        let texts = command
            .iter()
            .flat_map(|argument| unknown(argument, manifest));
        found.extend(texts.map(|text| format!("{what}: {text}")));
    }
    if let Some(text) = &step.stdin {
        let texts = unknown(text, manifest);
        found.extend(texts.into_iter().map(|text| format!("stdin: {text}")));
    }
    let said = [step.undo.is_some(), step.nothing_to_undo, step.last];
    if said.iter().filter(|said| **said).count() != 1 {
        found.push("it needs one of undo, nothing_to_undo = true, final = true".to_owned());
    }
    if !(1..=86_400).contains(&step.timeout_seconds) {
        found.push("timeout_seconds is 1 to 86400".to_owned());
    }
    if let Some(user) = &step.run_as
        && !users.contains(user)
    {
        found.push(format!(
            "the worker's configuration does not let recipes run as {user}: see [recipes] users"
        ));
    }
    if step.confined_to_site && !manifest.has_site() {
        found.push("confined_to_site is for recipes with a parameter site".to_owned());
    }
    if step.confined_to_site && step.run_as.is_some() {
        found.push("confined_to_site and run_as do not go together: sudo is outside".to_owned());
    }
    found
}

/// What the argument speaks of and there is not.
fn unknown(argument: &Argument, manifest: &Manifest) -> Vec<String> {
    let params = argument.params();
    let mut found: Vec<String> = params
        .filter(|name| !manifest.params.contains_key(*name))
        .map(|name| format!("there is no parameter {name}"))
        .collect();
    if argument.has_site_folder() && !manifest.has_site() {
        found.push("site.folder is for recipes with a parameter site".to_owned());
    }
    found
}

fn is_step_name(text: &str) -> bool {
    text.len() <= 40
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
}

fn is_unit(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.@:\\".contains(&b);
    !text.starts_with('.') && text.contains('.') && text.bytes().all(plain)
}
