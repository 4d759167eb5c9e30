//! What is right and what is wrong with this machine: everything that tasks will need, tried before one
//! needs it. All is probed; the first failure does not hide the second.
//!
//! `kolga-worker check` prints it to an operator on the spoke; the step [`crate::steps::probe_server`] does the same as a
//! task. Each probe says what was found or, when it failed, what to do.

mod confinement;
pub mod database;
mod folders;
mod include;
mod programs;

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use futures_util::future::BoxFuture;
use kolga_protocol::id::{Attempt, Run, TaskId};
use kolga_protocol::message::Level;
use kolga_protocol::names::Engine;
use kolga_protocol::task::server_verify::Check;

use crate::cx::{Cx, LogSink, StepLog, Stop};
use crate::spoke::Spoke;

/// Probes everything, in an order in which a cause comes before what it causes. Leaves nothing behind but
/// what a crash in the middle of [`database::probe`] does, which [`database::remove`] removes. Only in
/// those database servers that are `probed` anything is made.
///
/// # Errors
/// Only when the task should stop.
pub async fn all(cx: &Cx, probed: &[Engine]) -> anyhow::Result<Vec<Check>> {
    let mut checks = folders::checks(cx);
    let words = cx.spoke.supervision.words();
    checks.push(check("children", Ok(words.to_owned())));
    checks.push(check("confinement", confinement::possible(cx)));
    checks.push(check("profiles", profiles(cx)));
    if let Some(tls) = &cx.spoke.tls {
        checks.push(check("certificates", tls.probe(cx).await));
    }
    if !cx.spoke.config.recipes.directories.is_empty() {
        checks.push(check("recipes", recipes(cx)));
    }
    cx.stop.check()?;
    checks.extend(programs::nginx(cx).await);
    cx.stop.check()?;
    if let Some(php) = &cx.spoke.php {
        checks.extend(programs::php(cx, php).await);
    }
    if let Some(composer) = &cx.spoke.config.composer {
        checks.push(check("composer", programs::composer(composer)));
    }
    cx.stop.check()?;
    if let (Some(pools), Some(php)) = (&cx.spoke.pools, &cx.spoke.php) {
        checks.extend(programs::pools(cx, pools, php).await);
    }
    cx.stop.check()?;
    for service in cx.spoke.databases() {
        let probing = probed.contains(&service.engine());
        checks.extend(database::checks(cx, service, probing).await);
        cx.stop.check()?;
    }
    if let Some(backups) = &cx.spoke.backups {
        let version = backups.version(cx).await;
        checks.push(check(
            "backups",
            version.and_then(|it| confinement::of_backups(cx, it)),
        ));
    }
    Ok(checks)
}

/// Whether the configuration, which holds the broker's password, is the worker's alone.
#[must_use]
pub fn config_file(path: &Path) -> Check {
    use std::os::unix::fs::PermissionsExt as _;
    let shown = path.display();
    let mode = std::fs::metadata(path)
        .with_context(|| format!("cannot look at {shown}"))
        .and_then(|found| {
            let mode = found.permissions().mode() & 0o7777;
            anyhow::ensure!(
                mode & 0o037 == 0,
                "{shown} has mode {mode:04o}, but holds the broker's password: chmod 0640 {shown}"
            );
            Ok(format!("{shown}, mode {mode:04o}"))
        });
    check("configuration file", mode)
}

/// A context to check in when there is no task: what children say goes nowhere, the checks say it.
#[must_use]
pub fn context(spoke: Arc<Spoke>) -> Cx {
    struct Nowhere;
    impl LogSink for Nowhere {
        fn line(&self, _step: Option<&str>, _level: Level, _text: &str) {}

        fn room(&self) -> BoxFuture<'_, ()> {
            Box::pin(std::future::ready(()))
        }
    }
    Cx {
        spoke,
        run: Run::new(TaskId::generate(), Attempt::FIRST),
        log: StepLog::new(Arc::new(Nowhere)),
        stop: Stop::never(),
    }
}

fn profiles(cx: &Cx) -> anyhow::Result<String> {
    let profiles = &cx.spoke.profiles;
    anyhow::ensure!(
        profiles.problems().is_empty(),
        "{}",
        profiles.problems().join("; ")
    );
    let names: Vec<&str> = profiles
        .usable()
        .map(|profile| profile.manifest.name.as_str())
        .collect();
    Ok(names.join(", "))
}

fn recipes(cx: &Cx) -> anyhow::Result<String> {
    let recipes = &cx.spoke.recipes;
    let missing = recipes.good.values().flat_map(|recipe| {
        let name = &recipe.manifest.name;
        let missing = recipe.missing().into_iter();
        missing.map(move |what| format!("recipe {name}: {what}"))
    });
    let problems: Vec<String> = recipes.broken.iter().cloned().chain(missing).collect();
    anyhow::ensure!(problems.is_empty(), "{}", problems.join("; "));
    let names: Vec<&str> = recipes.good.keys().map(AsRef::as_ref).collect();
    Ok(match names.as_slice() {
        [] => "none".to_owned(),
        names => names.join(", "),
    })
}

/// From what was found, or what is wrong.
pub(crate) fn check(name: &str, found: anyhow::Result<String>) -> Check {
    let (passed, detail) = match found {
        Ok(detail) => (true, detail),
        Err(error) => (false, format!("{error:#}")),
    };
    Check {
        name: name.to_owned(),
        passed,
        detail,
    }
}

#[cfg(test)]
mod tests;
