//! Platforms in the hub's list: whether one may get another site, its removal, and its lock.

use kolga_protocol::id::TaskId;
use kolga_protocol::names::{PlatformName, ServerName};
use kolga_protocol::task::{platform_delete, platform_verify};
use sqlx::{AnyConnection, Row};

use super::read::from_json;
use super::rows::json;
use super::tx::{Operation, Outcome, Refusal, Tx, plain};
use crate::wire::Locked;

/// Whether a site may come to this platform: it is there, or being built, and not locked.
pub(super) async fn takes_sites(
    tx: &mut Tx<'_>,
    server: &ServerName,
    platform: &PlatformName,
) -> Result<Outcome<()>, sqlx::Error> {
    let row = sqlx::query("SELECT condition, locked FROM platform WHERE server = $1 AND name = $2")
        .bind(server.as_str())
        .bind(platform.as_str())
        .fetch_optional(&mut *tx.connection)
        .await?;
    let Some(row) = row else {
        return Ok(Err(unknown_platform(server, platform)));
    };
    // One that is still being built will do: on the spoke the tasks run in this order.
    let condition: String = row.try_get("condition")?;
    if !matches!(condition.as_str(), "ready" | "pending") {
        return Ok(Err(unknown_platform(server, platform)));
    }
    let locked: Option<String> = row.try_get("locked")?;
    if let Some(locked) = locked {
        let why = from_json::<Locked>("a lock", &locked)
            .map(|locked| locked.to_string())
            .unwrap_or_default();
        return Ok(Err(Refusal::conflict(
            "platform_locked",
            format!("platform {platform} on server {server} takes no new sites: {why}"),
            format!("choose another one, or `kolga platform unlock {platform} --server {server}`"),
        )));
    }
    Ok(Ok(()))
}

/// There is no such platform that sites could use.
pub(crate) fn unknown_platform(server: &ServerName, platform: &PlatformName) -> Refusal {
    Refusal::not_found(
        "platform_unknown",
        format!("server {server} has no platform {platform}"),
        "build it with `kolga platform add`, or see `kolga platform list`".to_owned(),
    )
}

/// Whether the platform is on that server, complete, and nobody is about to remove it.
pub(super) async fn ready_platform(
    tx: &mut Tx<'_>,
    server: &ServerName,
    platform: &PlatformName,
) -> Result<Outcome<()>, sqlx::Error> {
    let row = sqlx::query("SELECT condition, task FROM platform WHERE server = $1 AND name = $2")
        .bind(server.as_str())
        .bind(platform.as_str())
        .fetch_optional(&mut *tx.connection)
        .await?;
    let Some(row) = row else {
        return Ok(Err(unknown_platform(server, platform)));
    };
    let condition: String = row.try_get("condition")?;
    if condition != "ready" {
        let busy_with: String = row.try_get("task")?;
        return Ok(Err(Refusal::conflict(
            "platform_busy",
            format!(
                "platform {platform} on server {server} is {condition}: nothing else can be done with it now"
            ),
            format!("see `kolga task show {busy_with}`"),
        )));
    }
    Ok(Ok(()))
}

/// A platform that no site uses is about to go.
pub(super) async fn claim_removal(
    tx: &mut Tx<'_>,
    server: &ServerName,
    params: &platform_delete::Params,
    task: TaskId,
) -> Result<Outcome<()>, sqlx::Error> {
    let platform = &params.platform;
    if let Err(refusal) = ready_platform(tx, server, platform).await? {
        return Ok(Err(refusal));
    }
    let users = sqlx::query(
        "SELECT host FROM site WHERE server = $1 AND platform = $2 AND condition <> 'failed'
          ORDER BY host LIMIT 6",
    )
    .bind(server.as_str())
    .bind(platform.as_str())
    .fetch_all(&mut *tx.connection)
    .await?;
    if !users.is_empty() {
        let mut hosts = Vec::new();
        for row in &users {
            hosts.push(row.try_get::<String, _>("host")?);
        }
        if hosts.len() > 5 {
            hosts[5] = "…".to_owned();
        }
        return Ok(Err(Refusal::conflict(
            "platform_in_use",
            format!(
                "sites use platform {platform} on server {server}: {}",
                hosts.join(", ")
            ),
            "delete them, or move them to another platform, first".to_owned(),
        )));
    }
    sqlx::query(
        "UPDATE platform SET condition = 'removing', task = $3 WHERE server = $1 AND name = $2",
    )
    .bind(server.as_str())
    .bind(platform.as_str())
    .bind(task.to_string())
    .execute(&mut *tx.connection)
    .await?;
    Ok(Ok(()))
}

/// The removal has ended: the row goes, or is ready again, since everything came back.
pub(super) async fn settle_removal(
    connection: &mut AnyConnection,
    server: &str,
    params: &platform_delete::Params,
    task: TaskId,
    made: bool,
) -> Result<(), sqlx::Error> {
    let sql = match made {
        true => "DELETE FROM platform WHERE server = $1 AND name = $2 AND task = $3",
        false => {
            "UPDATE platform SET condition = 'ready' WHERE server = $1 AND name = $2 AND task = $3"
        }
    };
    sqlx::query(sql)
        .bind(server.to_owned())
        .bind(params.platform.as_str().to_owned())
        .bind(task.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// The version that was found on the spoke is the one that the list shows.
pub(super) async fn note_version(
    connection: &mut AnyConnection,
    server: &str,
    params: &platform_verify::Params,
    found: &platform_verify::Output,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE platform SET version = $3 WHERE server = $1 AND name = $2")
        .bind(server.to_owned())
        .bind(params.platform.as_str().to_owned())
        .bind(found.version.clone())
        .execute(connection)
        .await?;
    Ok(())
}

/// A platform that was never built leaves the list.
#[derive(Clone, Debug)]
pub struct ForgetPlatform {
    /// Where it is not.
    pub server: ServerName,
    /// Which.
    pub name: PlatformName,
    /// The task that did not build it; another one by now means that things have changed.
    pub task: TaskId,
    /// Who.
    pub requested_by: String,
}

impl Operation for ForgetPlatform {
    type Answer = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<()>, sqlx::Error> {
        let gone = sqlx::query(
            "DELETE FROM platform WHERE server = $1 AND name = $2 AND task = $3 AND condition = 'failed'",
        )
        .bind(self.server.as_str())
        .bind(self.name.as_str())
        .bind(self.task.to_string())
        .execute(&mut *tx.connection)
        .await?
        .rows_affected();
        if gone == 0 {
            return Ok(Err(unknown_platform(&self.server, &self.name)));
        }
        let subject = format!("{}/{}", self.server, self.name);
        tx.audit(&self.requested_by, "platform.forget", &subject, "")
            .await?;
        Ok(Ok(()))
    }
}

/// Locks a platform against new sites, or takes the lock off.
#[derive(Clone, Debug)]
pub struct LockPlatform {
    /// Where it is.
    pub server: ServerName,
    /// Which.
    pub name: PlatformName,
    /// Whether it is to be locked.
    pub locked: bool,
    /// Why, for those whom it will be in the way.
    pub reason: String,
    /// Who.
    pub requested_by: String,
}

impl Operation for LockPlatform {
    type Answer = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<()>, sqlx::Error> {
        let lock = Locked {
            at: tx.now,
            by: plain(&self.requested_by),
            reason: plain(&self.reason),
        };
        let lock = self.locked.then(|| json(&lock)).flatten();
        let touched =
            sqlx::query("UPDATE platform SET locked = $3 WHERE server = $1 AND name = $2")
                .bind(self.server.as_str())
                .bind(self.name.as_str())
                .bind(lock)
                .execute(&mut *tx.connection)
                .await?
                .rows_affected();
        if touched == 0 {
            return Ok(Err(unknown_platform(&self.server, &self.name)));
        }
        let action = match self.locked {
            true => "platform.lock",
            false => "platform.unlock",
        };
        let subject = format!("{}/{}", self.server, self.name);
        tx.audit(&self.requested_by, action, &subject, &self.reason)
            .await?;
        Ok(Ok(()))
    }
}
