//! What sites are called: that no two of them have a name in common, over all servers, and what a task that changes
//! the names of one takes and gives up.
//!
//! [`super::objects`] asks here when a task is made, [`super::settle`] when it is finished.

use kolga_protocol::id::TaskId;
use kolga_protocol::names::{HostName, ServerName, SiteAlias};
use kolga_protocol::naming::Names;
use kolga_protocol::task::site_names::{Output, Params};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::rows::json;
use super::tx::{Outcome, Refusal, Tx};

/// Whether a site may have these names: nobody else has one of them, or one that a wildcard among them would hold.
pub(super) async fn free(
    connection: &mut AnyConnection,
    names: impl IntoIterator<Item = SiteAlias>,
    but: Option<&HostName>,
) -> Result<Outcome<()>, sqlx::Error> {
    let but = but.map_or("", |host| host.as_str());
    for name in names {
        for candidate in std::iter::once(name.clone()).chain(name.wildcards()) {
            let holder = sqlx::query(
                "SELECT site_name.name, site.host, site.server
                   FROM site_name JOIN site ON site.host = site_name.host
                  WHERE site_name.name = $1 AND site_name.host <> $2",
            )
            .bind(candidate.as_str())
            .bind(but)
            .fetch_optional(&mut *connection)
            .await?;
            if let Some(holder) = holder {
                return taken(&name, &holder).map(Err);
            }
        }
        let Some(below) = name.below() else { continue };
        let holder = sqlx::query(
            "SELECT site_name.name, site.host, site.server
               FROM site_name JOIN site ON site.host = site_name.host
              WHERE site_name.name LIKE $1 AND site_name.host <> $2 LIMIT 1",
        )
        .bind(format!("%.{below}"))
        .bind(but)
        .fetch_optional(&mut *connection)
        .await?;
        if let Some(holder) = holder {
            return taken(&name, &holder).map(Err);
        }
    }
    Ok(Ok(()))
}

fn taken(name: &SiteAlias, row: &AnyRow) -> Result<Refusal, sqlx::Error> {
    let text = |column| row.try_get::<String, _>(column);
    let (theirs, holder, server) = (text("name")?, text("host")?, text("server")?);
    let belongs = format!("belongs to site {holder} on server {server}");
    Ok(Refusal::conflict(
        "site_exists",
        match theirs == name.as_str() {
            true => format!("the name {name} {belongs}"),
            false => format!("the name {name} overlaps with {theirs}, which {belongs}"),
        },
        format!("choose another name, or see `kolga site alias list {holder}`"),
    ))
}

/// Gives a site names that it has not.
pub(super) async fn take(
    connection: &mut AnyConnection,
    host: &HostName,
    names: impl IntoIterator<Item = SiteAlias>,
) -> Result<(), sqlx::Error> {
    for name in names {
        sqlx::query(
            "INSERT INTO site_name (name, host) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
        )
        .bind(name.as_str())
        .bind(host.as_str())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// A site's names are to become others: what is new is the site's from now on.
pub(super) async fn claim(
    tx: &mut Tx<'_>,
    server: &ServerName,
    params: &Params,
    task: TaskId,
) -> Result<Outcome<()>, sqlx::Error> {
    let host = &params.site;
    if let Err(refusal) = super::objects::ready_site(tx, server, host).await? {
        return Ok(Err(refusal));
    }
    let row = sqlx::query("SELECT main, aliases, redirects, naming FROM site WHERE host = $1")
        .bind(host.as_str())
        .fetch_one(&mut *tx.connection)
        .await?;
    if let Some(busy) = row.try_get::<Option<String>, _>("naming")? {
        return Ok(Err(Refusal::conflict(
            "names_busy",
            format!("the names of site {host} are being changed already"),
            format!("see `kolga task show {busy}`, then ask again"),
        )));
    }
    let next = match names(&row)?.after(params) {
        Ok(next) => next,
        Err(reason) => {
            let hint = format!("see `kolga site alias list {host}`");
            return Ok(Err(Refusal::invalid("bad_names", reason, hint)));
        }
    };
    if let Err(refusal) = free(tx.connection, next.others(), Some(host)).await? {
        return Ok(Err(refusal));
    }
    take(tx.connection, host, next.others()).await?;
    sqlx::query("UPDATE site SET naming = $2 WHERE host = $1")
        .bind(host.as_str())
        .bind(task.to_string())
        .execute(&mut *tx.connection)
        .await?;
    Ok(Ok(()))
}

/// The task is finished: the site has the names that its server says, or those that it had.
pub(super) async fn settle(
    connection: &mut AnyConnection,
    server: &str,
    host: &HostName,
    task: TaskId,
    output: Option<&Output>,
) -> Result<(), sqlx::Error> {
    let row = sqlx::query(
        "SELECT main, aliases, redirects FROM site WHERE host = $1 AND server = $2 AND naming = $3",
    )
    .bind(host.as_str())
    .bind(server)
    .bind(task.to_string())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(()) };
    let is = match output {
        Some(output) => {
            set_url(connection, host, &output.url).await?;
            note(connection, host, &output.names).await?;
            output.names.clone()
        }
        None => names(&row)?,
    };
    sqlx::query("UPDATE site SET naming = NULL WHERE host = $1")
        .bind(host.as_str())
        .execute(&mut *connection)
        .await?;
    give_up_all_but(connection, host, &is).await
}

/// Where a site answers from now on.
pub(super) async fn set_url(
    connection: &mut AnyConnection,
    host: &HostName,
    url: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE site SET url = $2 WHERE host = $1")
        .bind(host.as_str())
        .bind(url)
        .execute(connection)
        .await?;
    Ok(())
}

/// What the hub says of a site's names.
pub(super) async fn note(
    connection: &mut AnyConnection,
    host: &HostName,
    names: &Names,
) -> Result<(), sqlx::Error> {
    let text = |list: &Vec<SiteAlias>| json(list).unwrap_or_default();
    sqlx::query("UPDATE site SET main = $2, aliases = $3, redirects = $4 WHERE host = $1")
        .bind(host.as_str())
        .bind(names.main.as_ref().map(ToString::to_string))
        .bind(text(&names.aliases))
        .bind(text(&names.redirects))
        .execute(&mut *connection)
        .await?;
    take(connection, host, names.others()).await
}

/// Gives up what it holds besides these.
pub(super) async fn give_up_all_but(
    connection: &mut AnyConnection,
    host: &HostName,
    names: &Names,
) -> Result<(), sqlx::Error> {
    let all = names.all(host);
    let held: Vec<String> = sqlx::query_scalar("SELECT name FROM site_name WHERE host = $1")
        .bind(host.as_str())
        .fetch_all(&mut *connection)
        .await?;
    let kept = |name: &String| all.iter().any(|kept| kept.as_str() == name);
    for name in held.iter().filter(|name| !kept(name)) {
        sqlx::query("DELETE FROM site_name WHERE name = $1 AND host = $2")
            .bind(name.as_str())
            .bind(host.as_str())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// What a row of `site` says of its names.
pub(super) fn names(row: &AnyRow) -> Result<Names, sqlx::Error> {
    let wrong = |column: &str| sqlx::Error::Decode(format!("site.{column} cannot be read").into());
    let list = |column: &'static str| {
        let text: String = row.try_get(column)?;
        serde_json::from_str(&text).map_err(|_| wrong(column))
    };
    let main: Option<String> = row.try_get("main")?;
    Ok(Names {
        main: main
            .map(|main| main.parse().map_err(|_| wrong("main")))
            .transpose()?,
        aliases: list("aliases")?,
        redirects: list("redirects")?,
    })
}
