//! What the end of a task means for the hub's lists of platforms and sites. A row says which task it
//! waits for; any other task's end changes nothing.

use std::collections::HashMap;

use kolga_protocol::id::TaskId;
use kolga_protocol::names::{HostName, PlatformName};
use kolga_protocol::naming::Https;
use kolga_protocol::state::State;
use kolga_protocol::task::{Output, Params};
use sqlx::{AnyConnection, Row};

use super::adopting;
use super::cloning;
use super::holding;
use super::moving;
use super::names;
use super::objects::{free_names, remove_site};
use super::operations::ends;
use super::platforms;
use super::rows::{TaskRow, json};
use super::tx::Tx;
use super::verified;

/// A task that is finished, and its output where it has one.
pub(super) type Ended = (TaskId, Option<Output>);

/// The rows of platforms and sites, and the items of operations, whose tasks are finished.
pub(super) async fn settle(
    tx: &mut Tx<'_>,
    rows: &HashMap<TaskId, TaskRow>,
    ended: Vec<Ended>,
) -> Result<(), sqlx::Error> {
    let stages = ends::settle(tx, rows, &ended).await?;
    for (task, output) in ended {
        let Some(row) = rows.get(&task) else { continue };
        if stages.contains(&task) {
            continue;
        }
        // Most tasks have no object that is in a list, and are not read again.
        if row
            .object
            .as_deref()
            .is_none_or(|object| object == "server")
        {
            continue;
        }
        let Some(params) = params(tx, row).await? else {
            continue;
        };
        let (server, end) = (row.server.clone(), row.state);
        settle_row(tx.connection, &server, task, &params, end, output.as_ref()).await?;
    }
    Ok(())
}

/// What was asked for; nothing where this release does not know the kind.
pub(super) async fn params(tx: &mut Tx<'_>, row: &TaskRow) -> Result<Option<Params>, sqlx::Error> {
    let stored = sqlx::query("SELECT params FROM task WHERE id = $1")
        .bind(row.run.task.to_string())
        .fetch_one(&mut *tx.connection)
        .await?;
    let text: String = stored.try_get("params")?;
    let read = serde_json::from_str(&text)
        .map_err(|error| error.to_string())
        .and_then(|value| Params::from_json(&row.kind, value).map_err(|error| error.to_string()));
    match read {
        Ok(params) => Ok(Some(params)),
        Err(error) => {
            let text = json(&error).unwrap_or_default();
            tx.audit("hub", "task.unreadable", &row.run.to_string(), &text)
                .await?;
            Ok(None)
        }
    }
}

/// The task is finished: its row becomes what the end says.
async fn settle_row(
    connection: &mut AnyConnection,
    server: &str,
    task: TaskId,
    params: &Params,
    end: State,
    output: Option<&Output>,
) -> Result<(), sqlx::Error> {
    let made = end == State::Succeeded;
    let condition = if made { "ready" } else { "failed" };
    match params {
        Params::Ping(_)
        | Params::RecipeRun(_)
        | Params::RecipeList(_)
        | Params::ServerVerify(_)
        | Params::ServerPrint(_)
        | Params::ServerInventory(_)
        | Params::BackupList(_)
        | Params::BackupVerify(_)
        | Params::BackupDelete(_)
        | Params::BackupPrune(_)
        | Params::BackupExtract(_)
        | Params::SiteBackup(_)
        | Params::TrashList(_)
        | Params::TrashEmpty(_) => {}
        Params::PlatformBuild(params) => {
            let output = match output {
                Some(Output::PlatformBuild(output)) => Some(output),
                _ => None,
            };
            sqlx::query(
                "UPDATE platform SET condition = $4, version = $5, path = $6
                  WHERE server = $1 AND name = $2 AND task = $3",
            )
            .bind(server)
            .bind(params.platform.as_str())
            .bind(task.to_string())
            .bind(condition)
            .bind(output.and_then(|output| output.version.clone()))
            .bind(output.map(|output| output.path.clone()))
            .execute(connection)
            .await?;
        }
        Params::PlatformVerify(params) => {
            if let Some(Output::PlatformVerify(found)) = output {
                platforms::note_version(connection, server, params, found).await?;
            }
        }
        Params::PlatformDelete(params) => {
            platforms::settle_removal(connection, server, params, task, made).await?;
        }
        Params::SiteEnable(params) if made => {
            set_face(connection, server, &params.site, true).await?
        }
        Params::SiteDisable(params) if made => {
            set_face(connection, server, &params.site, false).await?;
        }
        Params::SiteVerify(params) => {
            if let Some(Output::SiteVerify(found)) = output {
                verified::note(connection, server, &params.site, task, found).await?;
            }
        }
        Params::SiteRestore(params) => {
            if let Some(Output::SiteRestore(found)) = output {
                let platform = found.platform.as_ref();
                set_platform(connection, server, &params.site, platform).await?;
            }
        }
        Params::SiteEnable(_)
        | Params::SiteDisable(_)
        | Params::SiteRun(_)
        | Params::SitePool(_)
        | Params::SiteLogin(_) => {}
        Params::SiteInstall(params) => {
            let url = match output {
                Some(Output::SiteInstall(output)) => Some(output.url.clone()),
                _ => None,
            };
            settle_new(connection, &params.site, task, end, url).await?;
        }
        Params::TrashRestore(params) => {
            let output = match output {
                Some(Output::TrashRestore(output)) => Some(output),
                _ => None,
            };
            let (host, url) = (&params.site.site, output.map(|output| output.url.clone()));
            settle_new(connection, host, task, end, url).await?;
            if let Some(output) = output {
                set_face(connection, server, host, output.enabled).await?;
                names::note(connection, host, &output.names).await?;
                set_https(connection, server, host, output.https).await?;
            }
        }
        Params::SiteHttps(params) => {
            if let Some(Output::SiteHttps(output)) = output {
                set_https(connection, server, &params.site, output.https).await?;
                names::set_url(connection, &params.site, &output.url).await?;
            }
        }
        Params::SiteNames(params) => {
            let output = match output {
                Some(Output::SiteNames(output)) => Some(output),
                _ => None,
            };
            names::settle(connection, server, &params.site, task, output).await?;
        }
        Params::SiteClone(params) => {
            let output = match output {
                Some(Output::SiteClone(output)) => Some(output),
                _ => None,
            };
            cloning::settle(connection, server, params, task, end, output).await?;
        }
        Params::SiteMigrate(params) => {
            let output = match output {
                Some(Output::SiteMigrate(output)) => Some(output),
                _ => None,
            };
            moving::settle(connection, params, task, made, output).await?;
        }
        Params::SiteImport(params) => {
            let output = match output {
                Some(Output::SiteImport(output)) => Some(output),
                _ => None,
            };
            adopting::settle(connection, server, params, task, output).await?;
        }
        Params::SiteHold(params) => {
            holding::settle_hold(connection, params, task, made).await?;
        }
        Params::SiteReceive(params) => {
            let output = match output {
                Some(Output::SiteReceive(output)) => Some(output),
                _ => None,
            };
            holding::settle_receive(connection, server, params, task, end, output).await?;
        }
        Params::SiteRelease(params) => {
            holding::settle_release(connection, params, task, made).await?;
        }
        Params::SiteDelete(params) => {
            if !waits_for(connection, &params.site, task).await? {
                return Ok(());
            }
            if made {
                remove_site(connection, &params.site).await?;
            } else {
                // Rolled back whole, and everything came back; or abandoned, and then it can be deleted again.
                sqlx::query("UPDATE site SET condition = 'ready' WHERE host = $1")
                    .bind(params.site.as_str())
                    .execute(connection)
                    .await?;
            }
        }
    }
    Ok(())
}

/// Whether a site waits for this task.
pub(super) async fn waits_for(
    connection: &mut AnyConnection,
    host: &HostName,
    task: TaskId,
) -> Result<bool, sqlx::Error> {
    let waits: Option<String> =
        sqlx::query_scalar("SELECT server FROM site WHERE host = $1 AND task = $2")
            .bind(host.as_str())
            .bind(task.to_string())
            .fetch_optional(connection)
            .await?;
    Ok(waits.is_some())
}

/// A site that was to be is there now, or its names are free again.
pub(super) async fn settle_new(
    connection: &mut AnyConnection,
    host: &HostName,
    task: TaskId,
    end: State,
    url: Option<String>,
) -> Result<(), sqlx::Error> {
    let made = end == State::Succeeded;
    let touched =
        sqlx::query("UPDATE site SET condition = $3, url = $4 WHERE host = $1 AND task = $2")
            .bind(host.as_str())
            .bind(task.to_string())
            .bind(if made { "ready" } else { "failed" })
            .bind(url)
            .execute(&mut *connection)
            .await?
            .rows_affected();
    if touched == 1 && !made {
        free_names(connection, host).await?;
    }
    Ok(())
}

/// The platform that a site is on now.
pub(super) async fn set_platform(
    connection: &mut AnyConnection,
    server: &str,
    host: &HostName,
    platform: Option<&PlatformName>,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE site SET platform = $3 WHERE host = $1 AND server = $2")
        .bind(host.as_str())
        .bind(server)
        .bind(platform.map(ToString::to_string))
        .execute(connection)
        .await?;
    Ok(())
}

/// What visitors of a site get from now on.
pub(super) async fn set_face(
    connection: &mut AnyConnection,
    server: &str,
    host: &HostName,
    enabled: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE site SET enabled = $3 WHERE host = $1 AND server = $2")
        .bind(host.as_str())
        .bind(server)
        .bind(i64::from(enabled))
        .execute(connection)
        .await?;
    Ok(())
}

/// How a site answers over HTTPS from now on.
pub(super) async fn set_https(
    connection: &mut AnyConnection,
    server: &str,
    host: &HostName,
    https: Https,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE site SET https = $3 WHERE host = $1 AND server = $2")
        .bind(host.as_str())
        .bind(server)
        .bind(https.as_str())
        .execute(connection)
        .await?;
    Ok(())
}
