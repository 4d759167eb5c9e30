//! What a verified site was found to be, beside the hub's own record of it: the spoke's book is the truth about
//! what is there, the hub's about what was asked for, and neither is changed because the other differs.

use kolga_protocol::id::{TaskId, UnixMillis};
use kolga_protocol::names::{HostName, SiteAlias};
use kolga_protocol::naming::Names;
use kolga_protocol::task::site_verify::{Entry, Output};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::names;
use super::rows::json;
use crate::wire::{Drift, Verified};

/// Notes what was found, and where the records differ at this moment.
pub(super) async fn note(
    connection: &mut AnyConnection,
    server: &str,
    host: &HostName,
    task: TaskId,
    found: &Output,
) -> Result<(), sqlx::Error> {
    let row = sqlx::query(
        "SELECT profile, platform, main, aliases, redirects, https, enabled FROM site WHERE host = $1 AND server = $2",
    )
    .bind(host.as_str())
    .bind(server)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(()) };
    let verified = Verified {
        at: UnixMillis::now(),
        task,
        database: found.entry.database.clone(),
        changes: found.changes.len() as u64,
        drift: drift(&row, &found.entry)?,
        problems: found.problems.clone(),
    };
    sqlx::query("UPDATE site SET verified = $3 WHERE host = $1 AND server = $2")
        .bind(host.as_str())
        .bind(server)
        .bind(json(&verified))
        .execute(connection)
        .await?;
    Ok(())
}

fn drift(row: &AnyRow, entry: &Entry) -> Result<Vec<Drift>, sqlx::Error> {
    let none = || "none".to_owned();
    let listed = |names: &[SiteAlias]| {
        let mut names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
        names.sort_unstable();
        if names.is_empty() {
            none()
        } else {
            names.join(", ")
        }
    };
    let platform: Option<String> = row.try_get("platform")?;
    let names = names::names(row)?;
    let main = |names: &Names| names.main.as_ref().map_or_else(none, ToString::to_string);
    let enabled = row.try_get::<i64, _>("enabled")? == 1;
    let all = [
        (
            "profile",
            row.try_get("profile")?,
            entry.profile.to_string(),
        ),
        (
            "platform",
            platform.unwrap_or_else(none),
            entry
                .platform
                .as_ref()
                .map_or_else(none, ToString::to_string),
        ),
        ("main name", main(&names), main(&entry.names)),
        (
            "aliases",
            listed(&names.aliases),
            listed(&entry.names.aliases),
        ),
        (
            "redirects",
            listed(&names.redirects),
            listed(&entry.names.redirects),
        ),
        ("https", row.try_get("https")?, entry.https.to_string()),
        ("enabled", enabled.to_string(), entry.enabled.to_string()),
    ];
    let differ = all.into_iter().filter(|(_, hub, spoke)| hub != spoke);
    let differ = differ.map(|(what, hub, spoke): (&str, String, String)| Drift {
        what: what.to_owned(),
        hub,
        spoke,
    });
    Ok(differ.collect())
}
