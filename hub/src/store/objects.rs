//! What tasks mean for the hub's own list of platforms and sites: a claim when one is made, or a look whether
//! what it works on is there. What becomes of the row when the task ends is told in `super::settle`.

use std::collections::BTreeSet;

use kolga_protocol::id::TaskId;
use kolga_protocol::names::{HostName, ServerName, SiteAlias};
use kolga_protocol::task::{
    Params, platform_build, site_backup, site_delete, site_disable, site_enable, site_https,
    site_install, site_login, site_pool, site_restore, site_run, site_verify,
};
use sqlx::{AnyConnection, Row};

use super::adopting;
use super::cloning;
use super::holding;
use super::locks::refuse_locked;
use super::moving;
use super::names;
use super::platforms;
use super::rows::json;
use super::tx::{Operation, Outcome, Refusal, Tx};

/// Whether tasks of this sort have a row that they make or remove.
pub(super) fn has_row(params: &Params) -> bool {
    matches!(
        params,
        Params::PlatformBuild(_)
            | Params::PlatformDelete(_)
            | Params::SiteInstall(_)
            | Params::SiteDelete(_)
            | Params::TrashRestore(_)
            | Params::SiteMigrate(_)
            | Params::SiteImport(_)
            | Params::SiteClone(_)
            | Params::SiteHold(_)
            | Params::SiteReceive(_)
            | Params::SiteRelease(_)
    )
}

/// Takes for the task what it needs of the lists, or says who has it.
pub(super) async fn claim(
    tx: &mut Tx<'_>,
    server: &ServerName,
    params: &Params,
    task: TaskId,
) -> Result<Outcome<()>, sqlx::Error> {
    if let Err(refusal) = refuse_locked(tx.connection, params).await? {
        return Ok(Err(refusal));
    }
    match params {
        Params::PlatformBuild(params) => claim_platform(tx, server, params, task).await,
        Params::PlatformDelete(params) => platforms::claim_removal(tx, server, params, task).await,
        Params::PlatformVerify(params) => {
            platforms::ready_platform(tx, server, &params.platform).await
        }
        Params::SiteInstall(params) => claim_site(tx, server, params, task).await,
        Params::SiteDelete(params) => claim_removal(tx, server, params, task).await,
        Params::SiteNames(params) => names::claim(tx, server, params, task).await,
        Params::SiteMigrate(params) => moving::claim(tx, server, params, task).await,
        Params::SiteImport(params) => adopting::claim(tx, server, params, task).await,
        Params::SiteClone(params) => cloning::claim(tx, server, params, task).await,
        Params::SiteHold(params) => holding::claim_hold(tx, server, params, task).await,
        Params::SiteReceive(params) => holding::claim_receive(tx, server, params, task).await,
        Params::SiteRelease(params) => holding::claim_release(tx, server, params, task).await,
        Params::TrashRestore(params) => claim_site(tx, server, &params.site, task).await,
        Params::SiteBackup(site_backup::Params { site })
        | Params::SiteEnable(site_enable::Params { site })
        | Params::SiteDisable(site_disable::Params { site })
        | Params::SiteHttps(site_https::Params { site, .. })
        | Params::SitePool(site_pool::Params { site, .. })
        | Params::SiteLogin(site_login::Params { site, .. })
        | Params::SiteRestore(site_restore::Params { site, .. })
        | Params::SiteRun(site_run::Params { site, .. })
        | Params::SiteVerify(site_verify::Params { site }) => ready_site(tx, server, site).await,
        // What a recipe does to its site is the spoke's to know; that the site is there is asked here.
        Params::RecipeRun(params) => match &params.site {
            Some(site) => ready_site(tx, server, site).await,
            None => Ok(Ok(())),
        },
        Params::Ping(_)
        | Params::RecipeList(_)
        | Params::ServerVerify(_)
        | Params::ServerPrint(_)
        | Params::ServerInventory(_)
        | Params::BackupList(_)
        | Params::BackupVerify(_)
        | Params::BackupDelete(_)
        | Params::BackupPrune(_)
        | Params::BackupExtract(_)
        | Params::TrashList(_)
        | Params::TrashEmpty(_) => Ok(Ok(())),
    }
}

async fn claim_platform(
    tx: &mut Tx<'_>,
    server: &ServerName,
    params: &platform_build::Params,
    task: TaskId,
) -> Result<Outcome<()>, sqlx::Error> {
    let condition: Option<String> =
        sqlx::query_scalar("SELECT condition FROM platform WHERE server = $1 AND name = $2")
            .bind(server.as_str())
            .bind(params.platform.as_str())
            .fetch_optional(&mut *tx.connection)
            .await?;
    if condition.is_some_and(|condition| condition != "failed") {
        return Ok(Err(Refusal::conflict(
            "platform_exists",
            format!("server {server} has a platform {} already", params.platform),
            "give the new one another name: sites move to it one by one".to_owned(),
        )));
    }
    sqlx::query("DELETE FROM platform WHERE server = $1 AND name = $2")
        .bind(server.as_str())
        .bind(params.platform.as_str())
        .execute(&mut *tx.connection)
        .await?;
    sqlx::query(
        "INSERT INTO platform (server, name, profile, source, condition, task, created_at)
         VALUES ($1, $2, $3, $4, 'pending', $5, $6)",
    )
    .bind(server.as_str())
    .bind(params.platform.as_str())
    .bind(params.profile.as_str())
    .bind(params.source.as_str())
    .bind(task.to_string())
    .bind(tx.now.0)
    .execute(&mut *tx.connection)
    .await?;
    Ok(Ok(()))
}

/// A site is about to be made.
pub(super) async fn claim_site(
    tx: &mut Tx<'_>,
    server: &ServerName,
    params: &site_install::Params,
    task: TaskId,
) -> Result<Outcome<()>, sqlx::Error> {
    let host = &params.site;
    if let Some(platform) = &params.platform
        && let Err(refusal) = platforms::takes_sites(tx, server, platform).await?
    {
        return Ok(Err(refusal));
    }
    let names = params.aliases.iter().cloned();
    let names: BTreeSet<SiteAlias> = names.chain([host.clone().into()]).collect();
    let failed: Option<i64> =
        sqlx::query_scalar("SELECT created_at FROM site WHERE host = $1 AND condition = 'failed'")
            .bind(host.as_str())
            .fetch_optional(&mut *tx.connection)
            .await?;
    if let Err(refusal) = names::free(tx.connection, names.clone(), None).await? {
        return Ok(Err(refusal));
    }
    if failed.is_some() {
        remove_site(tx.connection, host).await?;
    }
    let text = |text: Option<String>| text.unwrap_or_default();
    sqlx::query(
        "INSERT INTO site (host, server, profile, platform, aliases, options, condition, task, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, $8)",
    )
    .bind(host.as_str())
    .bind(server.as_str())
    .bind(params.profile.as_str())
    .bind(params.platform.as_ref().map(|platform| platform.as_str().to_owned()))
    .bind(text(json(&params.aliases)))
    .bind(text(json(&params.options)))
    .bind(task.to_string())
    .bind(tx.now.0)
    .execute(&mut *tx.connection)
    .await?;
    names::take(tx.connection, host, names).await?;
    Ok(Ok(()))
}

async fn claim_removal(
    tx: &mut Tx<'_>,
    server: &ServerName,
    params: &site_delete::Params,
    task: TaskId,
) -> Result<Outcome<()>, sqlx::Error> {
    let host = &params.site;
    if let Err(refusal) = ready_site(tx, server, host).await? {
        return Ok(Err(refusal));
    }
    sqlx::query("UPDATE site SET condition = 'removing', task = $2 WHERE host = $1")
        .bind(host.as_str())
        .bind(task.to_string())
        .execute(&mut *tx.connection)
        .await?;
    Ok(Ok(()))
}

/// Whether the site is on that server, complete, and nobody is about to remove it.
pub(super) async fn ready_site(
    tx: &mut Tx<'_>,
    server: &ServerName,
    host: &HostName,
) -> Result<Outcome<()>, sqlx::Error> {
    let row = sqlx::query("SELECT server, condition, task FROM site WHERE host = $1")
        .bind(host.as_str())
        .fetch_optional(&mut *tx.connection)
        .await?;
    let Some(row) = row else {
        return Ok(Err(unknown_site(host)));
    };
    let where_it_is: String = row.try_get("server")?;
    if where_it_is != server.as_str() {
        return Ok(Err(Refusal::conflict(
            "wrong_server",
            format!("site {host} is on server {where_it_is}, not on {server}"),
            None,
        )));
    }
    let condition: String = row.try_get("condition")?;
    if condition != "ready" {
        let busy_with: String = row.try_get("task")?;
        return Ok(Err(holding::busy(tx, host, &condition, &busy_with).await?));
    }
    Ok(Ok(()))
}

/// There is no such site.
pub(crate) fn unknown_site(host: &HostName) -> Refusal {
    Refusal::not_found(
        "site_unknown",
        format!("there is no site {host}"),
        "see `kolga site list`".to_owned(),
    )
}

/// A site that was never installed leaves the list.
pub(super) async fn remove_site(
    connection: &mut AnyConnection,
    host: &HostName,
) -> Result<(), sqlx::Error> {
    free_names(connection, host).await?;
    sqlx::query("DELETE FROM site WHERE host = $1")
        .bind(host.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn free_names(
    connection: &mut AnyConnection,
    host: &HostName,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM site_name WHERE host = $1")
        .bind(host.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// A site that was never installed leaves the list.
#[derive(Clone, Debug)]
pub struct Forget {
    /// Which.
    pub host: HostName,
    /// The task that did not install it; another one by now means that things have changed.
    pub task: TaskId,
    /// Who.
    pub requested_by: String,
}

impl Operation for Forget {
    type Answer = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<()>, sqlx::Error> {
        let there: Option<i64> = sqlx::query_scalar(
            "SELECT created_at FROM site WHERE host = $1 AND task = $2 AND condition = 'failed'",
        )
        .bind(self.host.as_str())
        .bind(self.task.to_string())
        .fetch_optional(&mut *tx.connection)
        .await?;
        if there.is_none() {
            return Ok(Err(unknown_site(&self.host)));
        }
        remove_site(tx.connection, &self.host).await?;
        tx.audit(&self.requested_by, "site.forget", self.host.as_str(), "")
            .await?;
        Ok(Ok(()))
    }
}
