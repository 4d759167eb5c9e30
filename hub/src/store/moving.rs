//! What `site.migrate` means for the hub's list: the new name is the site's from the moment at which the task is made,
//! and the old one until it has ended.
//!
//! [`super::objects`] asks here when a task is made, [`super::settle`] when it is finished.

use kolga_protocol::id::TaskId;
use kolga_protocol::names::{HostName, PlatformName, ServerName, SiteAlias};
use kolga_protocol::naming::Names;
use kolga_protocol::task::site_migrate::{Output, Params};
use sqlx::{AnyConnection, Row};

use super::objects::{free_names, ready_site, remove_site};
use super::tx::{Outcome, Refusal, Tx};
use super::{names, platforms};

/// A site is about to come to another platform, to have another name, or both.
pub(super) async fn claim(
    tx: &mut Tx<'_>,
    server: &ServerName,
    params: &Params,
    task: TaskId,
) -> Result<Outcome<()>, sqlx::Error> {
    let host = &params.site;
    if let Err(refusal) = ready_site(tx, server, host).await? {
        return Ok(Err(refusal));
    }
    let row = sqlx::query("SELECT profile, platform, naming FROM site WHERE host = $1")
        .bind(host.as_str())
        .fetch_one(&mut *tx.connection)
        .await?;
    let now: Option<String> = row.try_get("platform")?;
    let wanted = params.platform.as_ref().map(PlatformName::as_str);
    let (new, is_renamed) = (params.to(), params.to() != host);
    if !is_renamed && wanted.is_none_or(|wanted| now.as_deref() == Some(wanted)) {
        return Ok(Err(Refusal::conflict(
            "nothing_to_do",
            format!("site {host} has that name and that platform already"),
            "name another platform, or another name".to_owned(),
        )));
    }
    if let (Some(busy), true) = (row.try_get::<Option<String>, _>("naming")?, is_renamed) {
        return Ok(Err(Refusal::conflict(
            "names_busy",
            format!("the names of site {host} are being changed already"),
            format!("see `kolga task show {busy}`, then ask again"),
        )));
    }
    if let Some(platform) = &params.platform {
        let profile: String = row.try_get("profile")?;
        if let Err(refusal) = takes_it(tx, server, platform, host, &profile).await? {
            return Ok(Err(refusal));
        }
    }
    if is_renamed {
        let name = [SiteAlias::from(new.clone())];
        if let Err(refusal) = names::free(tx.connection, name.clone(), Some(host)).await? {
            return Ok(Err(refusal));
        }
        // One that could not be installed has no names, and is in nobody's way.
        remove_site(tx.connection, new).await?;
        names::take(tx.connection, host, name).await?;
    }
    sqlx::query("UPDATE site SET condition = 'pending', task = $2 WHERE host = $1")
        .bind(host.as_str())
        .bind(task.to_string())
        .execute(&mut *tx.connection)
        .await?;
    Ok(Ok(()))
}

/// Whether the site may come to this platform, or a copy of it.
pub(super) async fn takes_it(
    tx: &mut Tx<'_>,
    server: &ServerName,
    platform: &PlatformName,
    host: &HostName,
    profile: &str,
) -> Result<Outcome<()>, sqlx::Error> {
    if let Err(refusal) = platforms::takes_sites(tx, server, platform).await? {
        return Ok(Err(refusal));
    }
    let of: String =
        sqlx::query_scalar("SELECT profile FROM platform WHERE server = $1 AND name = $2")
            .bind(server.as_str())
            .bind(platform.as_str())
            .fetch_one(&mut *tx.connection)
            .await?;
    if of == profile {
        return Ok(Ok(()));
    }
    Ok(Err(Refusal::conflict(
        "other_profile",
        format!("platform {platform} is for sites of profile {of}, and {host} is one of {profile}"),
        "choose a platform of its profile: see `kolga platform list`".to_owned(),
    )))
}

/// The task has ended: the site is what it was to become, or what it was, since everything came back.
pub(super) async fn settle(
    connection: &mut AnyConnection,
    params: &Params,
    task: TaskId,
    made: bool,
    output: Option<&Output>,
) -> Result<(), sqlx::Error> {
    let host = &params.site;
    let row =
        sqlx::query("SELECT main, aliases, redirects FROM site WHERE host = $1 AND task = $2")
            .bind(host.as_str())
            .bind(task.to_string())
            .fetch_optional(&mut *connection)
            .await?;
    let Some(row) = row else { return Ok(()) };
    let names = names::names(&row)?;
    sqlx::query(
        "UPDATE site SET condition = 'ready', platform = COALESCE($2, platform), url = COALESCE($3, url)
          WHERE host = $1",
    )
    .bind(host.as_str())
    .bind(params.platform.as_ref().filter(|_| made).map(ToString::to_string))
    .bind(output.filter(|_| made).map(|output| output.url.clone()))
    .execute(&mut *connection)
    .await?;
    match made {
        true if params.to() != host => rename(connection, params, &names).await,
        true => Ok(()),
        false => names::give_up_all_but(connection, host, &names).await,
    }
}

/// The row gets another key, so its names are taken off before and put on again.
async fn rename(
    connection: &mut AnyConnection,
    params: &Params,
    now: &Names,
) -> Result<(), sqlx::Error> {
    let (old, new) = (&params.site, params.to());
    free_names(connection, old).await?;
    sqlx::query("UPDATE site SET host = $2 WHERE host = $1")
        .bind(old.as_str())
        .bind(new.as_str())
        .execute(&mut *connection)
        .await?;
    names::take(connection, new, [SiteAlias::from(new.clone())]).await?;
    names::note(connection, new, &now.moved(old, new, params.keep_name)).await
}
