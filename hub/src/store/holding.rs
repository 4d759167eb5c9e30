//! What `site.hold`, `site.receive` and `site.release` mean for the hub's list when somebody asks for one of them alone. As
//! stages of a move they mean what `super::operations::stages` says.
//!
//! A site that is held is `pending` after its task has ended, so that no other task of it is made until it is released.
//!
//! [`super::objects`] asks here when a task is made, [`super::settle`] when it is finished.

use kolga_protocol::id::TaskId;
use kolga_protocol::names::{HostName, ServerName, SiteAlias};
use kolga_protocol::state::State;
use kolga_protocol::task::{Kind, site_hold, site_install, site_receive, site_release};
use sqlx::{AnyConnection, Row};

use super::names;
use super::objects::{claim_site, ready_site};
use super::settle::{set_face, set_https, settle_new};
use super::tx::{Outcome, Refusal, Tx};

/// Why nothing can be done with a site that is not ready.
pub(super) async fn busy(
    tx: &mut Tx<'_>,
    host: &HostName,
    condition: &str,
    task: &str,
) -> Result<Refusal, sqlx::Error> {
    let row = sqlx::query("SELECT kind, operation, finished_at FROM task WHERE id = $1")
        .bind(task)
        .fetch_optional(&mut *tx.connection)
        .await?;
    if let Some(row) = row {
        let kind: String = row.try_get("kind")?;
        let over = row.try_get::<Option<i64>, _>("finished_at")?.is_some();
        let operation: Option<String> = row.try_get("operation")?;
        let holds = kind == Kind::SiteHold.as_str() || kind == Kind::SiteRelease.as_str();
        if over && holds && !moves_on(tx, task).await? {
            return Ok(Refusal::conflict(
                "site_held",
                format!(
                    "site {host} is held: nothing else can be done with it until it comes back"
                ),
                format!(
                    "`kolga site release {host}` brings it back; see `kolga task show {task}` first"
                ),
            ));
        }
        if let (Some(operation), true) = (operation, condition == "pending") {
            return Ok(on_its_way(host, &operation));
        }
    }
    Ok(Refusal::conflict(
        "site_busy",
        format!("site {host} is {condition}: nothing else can be done with it now"),
        format!("see `kolga task show {task}`"),
    ))
}

fn on_its_way(host: &HostName, operation: &str) -> Refusal {
    Refusal::conflict(
        "site_busy",
        format!(
            "site {host} is on its way to another server: nothing else can be done with it now"
        ),
        format!("see `kolga op show {operation}`"),
    )
}

/// Whether a task is a stage of a move that is not over.
async fn moves_on(tx: &mut Tx<'_>, task: &str) -> Result<bool, sqlx::Error> {
    let on: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM task JOIN operation ON operation.id = task.operation
          WHERE task.id = $1 AND operation.kind = 'site.move' AND operation.finished_at IS NULL",
    )
    .bind(task)
    .fetch_optional(&mut *tx.connection)
    .await?;
    Ok(on.is_some())
}

/// A site is about to be held, or only looked at.
pub(super) async fn claim_hold(
    tx: &mut Tx<'_>,
    server: &ServerName,
    params: &site_hold::Params,
    task: TaskId,
) -> Result<Outcome<()>, sqlx::Error> {
    if let Err(refusal) = ready_site(tx, server, &params.site).await? {
        return Ok(Err(refusal));
    }
    if !params.check {
        wait_for(tx, &params.site, task).await?;
    }
    Ok(Ok(()))
}

/// A site is about to be made of another server's backup, or it is only looked whether it could be.
pub(super) async fn claim_receive(
    tx: &mut Tx<'_>,
    server: &ServerName,
    params: &site_receive::Params,
    task: TaskId,
) -> Result<Outcome<()>, sqlx::Error> {
    let offer = &params.offer;
    if params.backup.is_none() {
        let host = SiteAlias::from(params.site.clone());
        let all = offer.names.others().into_iter().chain([host]);
        return names::free(tx.connection, all, Some(&params.site)).await;
    }
    let like = site_install::Params {
        site: params.site.clone(),
        aliases: offer.names.others(),
        profile: offer.profile.clone(),
        platform: params.platform.clone(),
        options: offer.options.clone(),
    };
    claim_site(tx, server, &like, task).await
}

/// A site that is held is about to come back; or to go, where another server has it by now or the hub knows of none.
pub(super) async fn claim_release(
    tx: &mut Tx<'_>,
    server: &ServerName,
    params: &site_release::Params,
    task: TaskId,
) -> Result<Outcome<()>, sqlx::Error> {
    let host = &params.site;
    let row = sqlx::query("SELECT server, condition, task FROM site WHERE host = $1")
        .bind(host.as_str())
        .fetch_optional(&mut *tx.connection)
        .await?;
    let Some(row) = row else { return Ok(Ok(())) };
    let on: String = row.try_get("server")?;
    if on != server.as_str() {
        return Ok(match &params.to {
            Some(_) => Ok(()),
            None => Err(Refusal::conflict(
                "wrong_server",
                format!(
                    "site {host} is on server {on}: it would be on two if it came back on {server}"
                ),
                None,
            )),
        });
    }
    if let Some(to) = &params.to {
        return Ok(Err(Refusal::conflict(
            "wrong_server",
            format!("site {host} is on server {server} and not on {to}: it stays"),
            None,
        )));
    }
    let (condition, busy_with): (String, String) =
        (row.try_get("condition")?, row.try_get("task")?);
    let rests: Option<i64> = sqlx::query_scalar(
        "SELECT finished_at FROM task WHERE id = $1 AND finished_at IS NOT NULL",
    )
    .bind(busy_with.as_str())
    .fetch_optional(&mut *tx.connection)
    .await?;
    // Between two stages of a move no task is open, and the site is the move's all the same.
    let rests = rests.is_some() && !moves_on(tx, &busy_with).await?;
    let held = condition == "ready" || condition == "pending" && rests;
    if !held {
        return busy(tx, host, &condition, &busy_with).await.map(Err);
    }
    wait_for(tx, host, task).await?;
    Ok(Ok(()))
}

async fn wait_for(tx: &mut Tx<'_>, host: &HostName, task: TaskId) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE site SET condition = 'pending', task = $2 WHERE host = $1")
        .bind(host.as_str())
        .bind(task.to_string())
        .execute(&mut *tx.connection)
        .await?;
    Ok(())
}

/// Held, it waits for its release; else it is as it was.
pub(super) async fn settle_hold(
    connection: &mut AnyConnection,
    params: &site_hold::Params,
    task: TaskId,
    made: bool,
) -> Result<(), sqlx::Error> {
    match made || params.check {
        true => Ok(()),
        false => ready(connection, &params.site, task).await,
    }
}

/// The site is there, or its names are free again.
pub(super) async fn settle_receive(
    connection: &mut AnyConnection,
    server: &str,
    params: &site_receive::Params,
    task: TaskId,
    end: State,
    output: Option<&site_receive::Output>,
) -> Result<(), sqlx::Error> {
    if params.backup.is_none() {
        return Ok(());
    }
    let (host, url) = (&params.site, output.map(|output| output.url.clone()));
    settle_new(connection, host, task, end, url).await?;
    if let Some(output) = output {
        set_face(connection, server, host, output.enabled).await?;
        set_https(connection, server, host, output.https).await?;
        names::note(connection, host, &output.names).await?;
    }
    Ok(())
}

/// It is what it was before it was held, or still held.
pub(super) async fn settle_release(
    connection: &mut AnyConnection,
    params: &site_release::Params,
    task: TaskId,
    made: bool,
) -> Result<(), sqlx::Error> {
    match made && params.to.is_none() {
        true => ready(connection, &params.site, task).await,
        false => Ok(()),
    }
}

/// The site that waits for this task is ready.
pub(super) async fn ready(
    connection: &mut AnyConnection,
    host: &HostName,
    task: TaskId,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE site SET condition = 'ready' WHERE host = $1 AND task = $2")
        .bind(host.as_str())
        .bind(task.to_string())
        .execute(connection)
        .await?;
    Ok(())
}
