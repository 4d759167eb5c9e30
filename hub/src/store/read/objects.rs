//! Platforms and sites.

use kolga_protocol::id::UnixMillis;
use kolga_protocol::names::{HostName, PlatformName, ServerName};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{corrupt, from_json, parse};
use crate::store::{Store, StoreError};
use crate::wire::{Condition, Platform, Site};

const PLATFORM: &str = "SELECT server, name, profile, source, condition, version, path, locked,
    labels, task, created_at FROM platform";
const SITE: &str =
    "SELECT host, server, profile, platform, main, aliases, redirects, https, options, condition,
    enabled, locked, verified, labels, url, task, created_at FROM site";

impl Store {
    /// Platforms after one, of one server or all, by server and name.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn platforms(
        &self,
        server: Option<&ServerName>,
        after: Option<&(ServerName, PlatformName)>,
        limit: u32,
    ) -> Result<Vec<Platform>, StoreError> {
        let narrow = server.map_or("", |_| "AND server = $4");
        let sql = format!(
            "{PLATFORM} WHERE (server, name) > ($1, $2) {narrow} ORDER BY server, name LIMIT $3"
        );
        let (after_server, after_name) =
            after.map_or(("", ""), |(server, name)| (server.as_str(), name.as_str()));
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(after_server.to_owned())
            .bind(after_name.to_owned())
            .bind(i64::from(limit));
        if let Some(server) = server {
            query = query.bind(server.to_string());
        }
        let rows = query.fetch_all(&self.reads).await?;
        rows.iter().map(platform).collect()
    }

    /// One platform.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn platform(
        &self,
        server: &ServerName,
        name: &PlatformName,
    ) -> Result<Option<Platform>, StoreError> {
        let sql = sqlx::AssertSqlSafe(format!("{PLATFORM} WHERE server = $1 AND name = $2"));
        let row = sqlx::query(sql)
            .bind(server.as_str())
            .bind(name.as_str())
            .fetch_optional(&self.reads)
            .await?;
        row.as_ref().map(platform).transpose()
    }

    /// Sites after one, on one server or all, by name.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn sites(
        &self,
        server: Option<&ServerName>,
        after: Option<&HostName>,
        limit: u32,
    ) -> Result<Vec<Site>, StoreError> {
        let narrow = server.map_or("", |_| "AND server = $3");
        let sql = format!("{SITE} WHERE host > $1 {narrow} ORDER BY host LIMIT $2");
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(after.map_or("", |host| host.as_str()).to_owned())
            .bind(i64::from(limit));
        if let Some(server) = server {
            query = query.bind(server.to_string());
        }
        let rows = query.fetch_all(&self.reads).await?;
        rows.iter().map(site).collect()
    }

    /// One site.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn site(&self, host: &HostName) -> Result<Option<Site>, StoreError> {
        let sql = sqlx::AssertSqlSafe(format!("{SITE} WHERE host = $1"));
        let row = sqlx::query(sql)
            .bind(host.as_str())
            .fetch_optional(&self.reads)
            .await?;
        row.as_ref().map(site).transpose()
    }
}

fn platform(row: &AnyRow) -> Result<Platform, StoreError> {
    let text = |column| row.try_get::<String, _>(column);
    let locked: Option<String> = row.try_get("locked")?;
    Ok(Platform {
        name: parse("a platform", &text("name")?)?,
        server: parse("a server", &text("server")?)?,
        profile: parse("a profile", &text("profile")?)?,
        source: parse("a source", &text("source")?)?,
        condition: condition(&text("condition")?)?,
        version: row.try_get("version")?,
        path: row.try_get("path")?,
        locked: locked.map(|text| from_json("a lock", &text)).transpose()?,
        labels: from_json("labels", &text("labels")?)?,
        task: Some(parse("a task id", &text("task")?)?),
        created_at: UnixMillis(row.try_get("created_at")?),
    })
}

fn site(row: &AnyRow) -> Result<Site, StoreError> {
    let main: Option<String> = row.try_get("main")?;
    let text = |column| row.try_get::<String, _>(column);
    let platform: Option<String> = row.try_get("platform")?;
    Ok(Site {
        host: parse("a host name", &text("host")?)?,
        server: parse("a server", &text("server")?)?,
        profile: parse("a profile", &text("profile")?)?,
        platform: platform
            .map(|name| parse("a platform", &name))
            .transpose()?,
        main: main.map(|name| parse("a main name", &name)).transpose()?,
        aliases: from_json("aliases", &text("aliases")?)?,
        redirects: from_json("redirects", &text("redirects")?)?,
        https: parse("a sort of HTTPS", &text("https")?)?,
        options: from_json("options", &text("options")?)?,
        condition: condition(&text("condition")?)?,
        enabled: row.try_get::<i64, _>("enabled")? == 1,
        locked: stored(row, "locked")?,
        verified: stored(row, "verified")?,
        labels: from_json("labels", &text("labels")?)?,
        url: row.try_get("url")?,
        task: Some(parse("a task id", &text("task")?)?),
        created_at: UnixMillis(row.try_get("created_at")?),
    })
}

/// What is stored as JSON, where there is any.
fn stored<T: serde::de::DeserializeOwned>(
    row: &AnyRow,
    column: &'static str,
) -> Result<Option<T>, StoreError> {
    let text: Option<String> = row.try_get(column)?;
    text.map(|text| from_json(column, &text)).transpose()
}

fn condition(text: &str) -> Result<Condition, StoreError> {
    Ok(match text {
        "pending" => Condition::Pending,
        "ready" => Condition::Ready,
        "removing" => Condition::Removing,
        "failed" => Condition::Failed,
        other => return Err(corrupt("a condition", other)),
    })
}
