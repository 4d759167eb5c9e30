//! What the settings of a site say that Kolga has not made, by the names that its profile's `[import.settings]` lists.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;

use kolga_protocol::names::{Engine, OptionName, OptionValue};

use super::Source;
use super::literals::{Literals, Value};
use crate::files::Dir;
use crate::profile::manifest::{ForeignEngine, ForeignSettings, Loads};
use crate::services::database::Account;

/// So many of the names that are not taken over are told.
const MOST_NAMES: usize = 60;
/// No settings are longer.
const LONGEST: u64 = 1024 * 1024;

/// What they tell.
#[derive(Debug, Default)]
pub struct Told {
    /// In which server its database is, where they say.
    pub engine: Option<Engine>,
    /// Its database's host, as it is written.
    pub host: String,
    /// And the port of a PostgreSQL.
    pub port: String,
    /// How the application gets at its database.
    pub account: Option<Account>,
    /// How the names of its tables begin.
    pub prefix: String,
    /// What of that is an option of the profile's, whatever an operator says.
    pub options: Vec<(OptionName, OptionValue)>,
    /// What is one unless an operator says otherwise.
    pub defaults: Vec<(OptionName, OptionValue)>,
    /// Why the site must not be seen before an operator has seen to it.
    pub off: Option<String>,
    /// What an operator should know.
    pub remarks: Vec<String>,
    /// What is not told, or cannot be taken over.
    pub problems: Vec<String>,
}

/// Reads them. Where they do not say in which server its database is, it is in this one.
#[must_use]
pub fn told(source: &Source, rules: &ForeignSettings, otherwise: Engine) -> Told {
    let mut told = Told::default();
    let text = match read(&source.dir, rules.file.as_ref()) {
        Ok(text) => text,
        Err(error) => {
            told.problems.push(format!("{error:#}"));
            return told;
        }
    };
    // Where the code lies is no text that differs from one site to another.
    let base = rules.loads.as_ref().and_then(|rule| rule.base.as_ref());
    let text = base.map_or(text.clone(), |base| {
        text.replace(&format!("\"{base}/"), "\"/")
    });
    let literals = Literals::read(&text);
    let file = &rules.file;
    if let Some(rule) = &rules.engine {
        match engine(&literals, rule) {
            Some(found) => told.engine = Some(found),
            None => told.problems.push(format!(
                "{file} sets {} to something else than {} and {}, with which no site of this profile can be made",
                rule.name, rule.mariadb, rule.postgresql
            )),
        }
    }
    let engine = told.engine.unwrap_or(otherwise);
    let mut need = |name: &str| match literals.get(name) {
        Some(Value::Text(text)) => Some(text.clone()),
        other => {
            let why = match other {
                None => "does not set it (what a file that it includes sets is not read)",
                Some(Value::Twice) => "sets it more than once, which only PHP could choose from",
                _ => "sets it to what only PHP could tell",
            };
            told.problems
                .push(format!("{file} has no plain text for {name}: it {why}"));
            None
        }
    };
    let wanted = &rules.database;
    let [database, user, password, host] =
        [&wanted.name, &wanted.user, &wanted.password, &wanted.host].map(|name| need(name));
    if let Some(name) = wanted
        .port
        .as_ref()
        .filter(|name| literals.get(name).is_some())
    {
        told.port = need(name).unwrap_or_default();
    }
    let prefix = rules.prefix.as_ref().map(|prefix| {
        let is_said = literals.get(&prefix.name).is_some();
        let value = match &prefix.default {
            Some(default) if !is_said => Some(default.clone()),
            _ => need(&prefix.name),
        };
        (prefix, value)
    });
    if let (Some(database), Some(user), Some(password)) = (database, user, password) {
        match Account::new(database, user, password) {
            Ok(account) => told.account = Some(account),
            Err(problem) => told.problems.push(format!("{file}: {problem}")),
        }
    }
    told.host = host.unwrap_or_default();
    if let Some((rule, Some(prefix))) = prefix {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        match prefix.parse() {
            Ok(_) if !prefix.is_empty() && rule.only_in.is_some_and(|only| only != engine) => {
                told.problems.push(format!(
                    "{file} sets {} to {prefix:?}, and in {} the tables of this profile have no such beginning",
                    rule.name,
                    engine.title()
                ));
            }
            Ok(value) if prefix.len() <= 32 && prefix.bytes().all(plain) => {
                told.options.push((rule.option.clone(), value));
                told.prefix = prefix;
            }
            _ => told.problems.push(format!(
                "{file}: the beginning of its tables' names is not of at most 32 letters, digits and _"
            )),
        }
    }
    for name in &rules.refuse {
        let said_no = |text: &str| {
            matches!(
                text.to_ascii_lowercase().as_str(),
                "" | "0" | "false" | "null"
            )
        };
        match literals.get(name) {
            None => {}
            Some(Value::Text(text)) if said_no(text) => {}
            Some(_) => told.problems.push(format!(
                "{file} sets {name}, with which no site of this profile can be made"
            )),
        }
    }
    for (name, wanted) in &rules.only {
        let is_right = |text: &String| text.eq_ignore_ascii_case(wanted);
        match literals.get(name) {
            None => {}
            Some(Value::Text(text)) if is_right(text) => {}
            Some(_) => told.problems.push(format!(
                "{file} sets {name} to something else than {wanted}, with which no site of this profile can be made"
            )),
        }
    }
    not_taken(&literals, rules, &mut told);
    told
}

/// In which server its database is: MariaDB where they do not say.
fn engine(literals: &Literals, rule: &ForeignEngine) -> Option<Engine> {
    let said = match literals.get(&rule.name) {
        None => return Some(Engine::Mariadb),
        Some(Value::Text(text)) => text,
        Some(_) => return None,
    };
    let names = [&rule.mariadb, &rule.postgresql];
    let mut all = names.into_iter().zip(Engine::ALL);
    let found = all.find(|(name, _)| name.eq_ignore_ascii_case(said));
    found.map(|(_, engine)| engine)
}

/// What else they say: options, and what has no place in a site of the profile's.
fn not_taken(literals: &Literals, rules: &ForeignSettings, told: &mut Told) {
    let file = &rules.file;
    for (option, name) in &rules.options {
        match literals.get(name) {
            None => {}
            Some(Value::Text(text)) => match text.parse() {
                Ok(value) => told.defaults.push((option.clone(), value)),
                Err(error) => told.problems.push(format!("{file}: {name}: {error}")),
            },
            Some(_) => told.remarks.push(format!(
                "only PHP could tell what {file} sets {name} to: say --option {option}=… where it should not be the \
                 profile's own"
            )),
        }
    }
    if let Some(rule) = &rules.keep_off {
        let set: Vec<&str> = literals
            .names()
            .filter(|name| rule.names.iter().any(|it| it == name))
            .collect();
        if !set.is_empty() {
            told.off = Some(format!("{file} sets {}: {}", set.join(", "), rule.why));
        }
    }
    if let Some(rule) = &rules.loads
        && let Some(loaded) = loaded(literals, rule)
    {
        let off = format!("{file} loads {loaded}: {}", rule.why);
        told.off = Some(match told.off.take() {
            Some(before) => format!("{before}; {off}"),
            None => off,
        });
    }
    let Some(others) = &rules.others else {
        return;
    };
    let database = &rules.database;
    let of_the_database = [
        &database.name,
        &database.user,
        &database.password,
        &database.host,
    ];
    let used = of_the_database
        .into_iter()
        .chain(&database.port)
        .chain(rules.engine.iter().map(|it| &it.name))
        .chain(rules.prefix.iter().map(|it| &it.name))
        .chain(rules.options.values())
        .chain(rules.only.keys())
        .chain(&rules.refuse)
        .chain(&others.known);
    let used: Vec<&String> = used.collect();
    let set: Vec<&str> = literals
        .names()
        .filter(|name| name.starts_with(&others.begin) && !used.iter().any(|it| it == name))
        .take(MOST_NAMES)
        .collect();
    if !set.is_empty() {
        told.remarks.push(format!(
            "{file} sets these too, which are not taken over: {}",
            set.join(", ")
        ));
    }
}

/// What is loaded besides what the profile knows; `None` when it is nothing.
fn loaded(literals: &Literals, rule: &Loads) -> Option<String> {
    let (mut names, mut unknown) = (BTreeSet::new(), false);
    for what in literals.loaded(&rule.calls) {
        match what {
            Some(name) if rule.known.iter().any(|it| it == name) => {}
            Some(name) => drop(names.insert(name)),
            None => unknown = true,
        }
    }
    let mut all: Vec<&str> = names.into_iter().take(MOST_NAMES).collect();
    if unknown {
        all.push("what only PHP could tell");
    }
    (!all.is_empty()).then(|| all.join(", "))
}

fn read(dir: &Dir, path: &Path) -> anyhow::Result<String> {
    let name = path.file_name().unwrap_or(OsStr::new(""));
    let folder = match path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        Some(parent) => dir.dir(parent)?,
        None => dir.clone(),
    };
    let bytes = folder.read(name, LONGEST)?;
    let bytes = bytes.ok_or_else(|| anyhow::anyhow!("there is no {}", path.display()))?;
    String::from_utf8(bytes).map_err(|_| anyhow::anyhow!("{} is not text in UTF-8", path.display()))
}
