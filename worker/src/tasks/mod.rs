//! One recipe a task type: which steps, in which order. The list is [`plan`], and the compiler asks it for
//! every type that the protocol knows.
//!
//! Called by the executor ([`crate::run`]), which carries the plan out.

mod adapt;
mod backup_delete;
mod backup_extract;
mod backup_list;
mod backup_prune;
mod backup_verify;
mod ping;
mod platform_build;
mod platform_delete;
mod platform_verify;
mod recipe_list;
mod recipe_run;
mod reshape;
mod server_inventory;
mod server_print;
mod server_verify;
mod site_backup;
mod site_clone;
mod site_delete;
mod site_enable;
mod site_hold;
mod site_https;
mod site_import;
mod site_install;
mod site_login;
mod site_migrate;
mod site_names;
mod site_pool;
mod site_receive;
mod site_release;
mod site_restore;
mod site_run;
mod site_verify;
mod trash_empty;
mod trash_list;
mod trash_restore;

use kolga_protocol::object::Object;
use kolga_protocol::task::{Kind, Output, Params, Payload};

use crate::cx::Cx;
use crate::plan::Plan;

/// The result of a task that has no step and touches nothing ([`kolga_protocol::object::Lane::Instant`]).
/// Such a task is not run: intake has its result written together with its acceptance.
#[must_use]
pub fn instant(params: &Params) -> Option<Output> {
    match params {
        Params::Ping(_) => Some(ping::answer()),
        _ => None,
    }
}

/// What to do for these parameters. Only looks; an error here means that nothing was touched.
///
/// # Errors
/// When it is plain from the start that the task cannot be done, and why.
pub async fn plan(params: &Params, cx: &Cx) -> anyhow::Result<Plan> {
    refuse_held(params, cx)?;
    recipe(params, cx).await?.closed().ready(cx).await
}

async fn recipe(params: &Params, cx: &Cx) -> anyhow::Result<Plan> {
    match params {
        Params::Ping(_) => Ok(ping::plan()),
        Params::PlatformBuild(params) => platform_build::plan(params, cx),
        Params::PlatformDelete(params) => platform_delete::plan(params, cx),
        Params::PlatformVerify(params) => platform_verify::plan(params, cx),
        Params::SiteInstall(params) => site_install::plan(params, cx),
        Params::SiteDelete(params) => site_delete::plan(params, cx).await,
        Params::SiteBackup(params) => site_backup::plan(params, cx),
        Params::BackupList(params) => backup_list::plan(params, cx).await,
        Params::BackupVerify(params) => backup_verify::plan(params, cx),
        Params::BackupDelete(params) => backup_delete::plan(params, cx).await,
        Params::BackupPrune(params) => backup_prune::plan(params, cx).await,
        Params::BackupExtract(params) => backup_extract::plan(params, cx).await,
        Params::SiteNames(params) => site_names::plan(params, cx).await,
        Params::SiteHttps(params) => site_https::plan(params, cx).await,
        Params::SitePool(params) => site_pool::plan(params, cx).await,
        Params::SiteImport(params) => site_import::plan(params, cx).await,
        Params::SiteEnable(params) => site_enable::plan(params, cx),
        Params::SiteDisable(params) => site_enable::plan_disable(params, cx),
        Params::TrashList(_) => trash_list::plan(cx),
        Params::TrashRestore(params) => trash_restore::plan(params, cx),
        Params::TrashEmpty(params) => trash_empty::plan(params, cx),
        Params::RecipeRun(params) => recipe_run::plan(params, cx),
        Params::RecipeList(_) => Ok(recipe_list::plan(cx)),
        Params::SiteRun(params) => site_run::plan(params, cx),
        Params::SiteRestore(params) => site_restore::plan(params, cx).await,
        Params::SiteVerify(params) => site_verify::plan(params, cx).await,
        Params::SiteLogin(params) => site_login::plan(params, cx).await,
        Params::SiteClone(params) => site_clone::plan(params, cx).await,
        Params::SiteMigrate(params) => site_migrate::plan(params, cx).await,
        Params::SiteHold(params) => site_hold::plan(params, cx).await,
        Params::SiteReceive(params) => site_receive::plan(params, cx).await,
        Params::SiteRelease(params) => site_release::plan(params, cx),
        Params::ServerInventory(_) => Ok(server_inventory::plan()),
        Params::ServerPrint(params) => Ok(server_print::plan(params)),
        Params::ServerVerify(_) => Ok(server_verify::plan()),
    }
}

/// The result as it is told when all final steps are done, where it has to say what they have left for later; `None` where
/// it is as it was promised at the point of no return.
///
/// # Errors
/// When what is left cannot be read.
pub fn at_the_end(output: &Payload, cx: &Cx) -> anyhow::Result<Option<Payload>> {
    let is_about_it = [Kind::BackupDelete, Kind::BackupPrune]
        .map(Kind::as_str)
        .contains(&&*output.kind);
    let Some(restic) = cx.spoke.backups.as_ref().filter(|_| is_about_it) else {
        return Ok(None);
    };
    let left = restic.owed(&cx.spoke.config.state_dir)?.left_by(cx.run);
    if left == 0 {
        return Ok(None);
    }
    let left = u32::try_from(left)?;
    let mut output = Output::from_payload(output)?;
    match &mut output {
        Output::BackupDelete(output) => output.owed = left,
        Output::BackupPrune(output) => output.owed = left,
        _ => {}
    }
    Ok(Some(output.to_payload()))
}

/// Refuses what would touch a site, or read it, while it is on its way to another server: it is to be there what it was when
/// its backup was made.
fn refuse_held(params: &Params, cx: &Cx) -> anyhow::Result<()> {
    // It ends that, or is about the site that is to come.
    if matches!(params, Params::SiteRelease(_) | Params::SiteReceive(_)) {
        return Ok(());
    }
    for claim in params.claims() {
        let Object::Site(host) = claim.object else {
            continue;
        };
        let entry = cx.spoke.registry.sites.load(&host)?;
        if let Some(held) = entry.and_then(|entry| entry.held) {
            let why = held.to.map(|to| format!(", since it moves to {to}"));
            anyhow::bail!(
                "{host} is held by task {}{}: nothing else is done with it until that has ended, or until it comes back \
                 (`kolga site release {host}`)",
                held.run.task,
                why.unwrap_or_default()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
