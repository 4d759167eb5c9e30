//! Whether programs can be confined to some folders, and what is refused where they cannot. What needs it is never done
//! without, so whoever installs a spoke learns it here and not from the first backup.

use crate::cx::Cx;
use crate::process::TO_CONFINE;

/// Fails where something that this spoke is set up for needs it.
pub(super) fn possible(cx: &Cx) -> anyhow::Result<String> {
    let Some(why) = cx.spoke.supervision.unconfined() else {
        return Ok("programs can be kept to some folders (Landlock)".to_owned());
    };
    let (refused, later) = (refused(cx)?, later(cx));
    anyhow::ensure!(
        refused.is_empty(),
        "{why}. Refused before anything is touched is therefore: {}. What to do: {TO_CONFINE}",
        refused.join("; ")
    );
    let later = later.map(|later| format!(", but {later}"));
    Ok(format!(
        "not possible, and nothing here needs it{}: {why}",
        later.unwrap_or_default()
    ))
}

/// What restic is worth where it cannot be confined.
pub(super) fn of_backups(cx: &Cx, version: String) -> anyhow::Result<String> {
    anyhow::ensure!(
        cx.spoke.supervision.unconfined().is_none(),
        "{version}, which is not run where it cannot be confined: see `confinement`"
    );
    Ok(version)
}

/// What this spoke is set up for and does not do.
fn refused(cx: &Cx) -> anyhow::Result<Vec<String>> {
    let mut refused = Vec::new();
    if cx.spoke.backups.is_some() {
        let tasks = "making and restoring backups (site.backup, site.restore, backup.extract, moves, and site.delete but with \
                     --no-backup)";
        refused.push(tasks.to_owned());
    }
    if cx.spoke.config.composer.is_some() {
        refused.push("building platforms with composer".to_owned());
    }
    for recipe in cx.spoke.recipes.good.values() {
        let manifest = &recipe.manifest;
        if manifest.steps.iter().any(|step| step.confined_to_site) {
            refused.push(format!("recipe {}", manifest.name));
        }
    }
    for entry in cx.spoke.registry.sites.list()? {
        if entry.pool.is_none() && confined(cx).any(|profile| profile == entry.profile.as_str()) {
            let host = &entry.host;
            refused.push(format!("scripts of {host}, cron among them"));
        }
    }
    Ok(refused)
}

/// What would be refused, were it asked for.
fn later(cx: &Cx) -> Option<String> {
    cx.spoke.php.as_ref()?;
    let profiles: Vec<&str> = confined(cx).collect();
    let profiles = (!profiles.is_empty()).then(|| profiles.join(", "))?;
    Some(format!(
        "no site of {profiles} can be installed without a pool of its own"
    ))
}

/// Profiles whose scripts are confined.
fn confined(cx: &Cx) -> impl Iterator<Item = &str> {
    let usable = cx.spoke.profiles.usable().map(|it| &it.manifest);
    let confined = usable.filter(|it| it.confined);
    confined.map(|it| it.name.as_str())
}
