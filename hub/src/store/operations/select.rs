//! Which servers or sites a selector means, as the lists are now.

use std::collections::HashSet;

use kolga_protocol::names::{HostName, ServerName};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::super::bulk::Bulk;
use super::super::objects::unknown_site;
use super::super::servers;
use super::super::tx::{Outcome, Refusal, Tx};
use crate::selector::{Labels, Selector};
use crate::wire::Target;

static NAMED: Bulk = Bulk::new(
    "SELECT host, server FROM site WHERE host IN (VALUES",
    1,
    ")",
);

/// The targets, by server and name, each once.
pub(super) async fn targets(
    tx: &mut Tx<'_>,
    select: &Selector,
    about_sites: bool,
) -> Result<Outcome<Vec<Target>>, sqlx::Error> {
    if let Err(reason) = select.check(about_sites) {
        let hint = "see `kolga op start --help`".to_owned();
        return Ok(Err(Refusal::invalid(
            "bad_selector",
            reason.to_owned(),
            hint,
        )));
    }
    for name in select.on.iter().filter_map(|glob| glob.exact()) {
        let known = match name.parse::<ServerName>() {
            Ok(name) => servers::known(tx, &name).await?,
            Err(error) => Err(Refusal::invalid("bad_name", error.to_string(), None)),
        };
        if let Err(refusal) = known {
            return Ok(Err(refusal));
        }
    }
    let mut targets = if !select.sites.is_empty() {
        match named(tx, &select.sites).await? {
            Ok(targets) => targets,
            Err(refusal) => return Ok(Err(refusal)),
        }
    } else if about_sites {
        sites(tx, select).await?
    } else {
        whole_servers(tx, select).await?
    };
    targets.sort_unstable();
    targets.dedup();
    if targets.is_empty() {
        let (what, list) = if about_sites {
            ("site that is ready", "site")
        } else {
            ("server", "server")
        };
        return Ok(Err(Refusal::not_found(
            "nothing_selected",
            format!("no {what} goes by {select}"),
            format!("see `kolga {list} list`, or try it with --dry-run"),
        )));
    }
    Ok(Ok(targets))
}

/// Sites by name: also those that are busy now, whose turn may come when they are not.
async fn named(tx: &mut Tx<'_>, hosts: &[HostName]) -> Result<Outcome<Vec<Target>>, sqlx::Error> {
    let rows = NAMED
        .fetch(tx.connection, hosts, |query, host| {
            query.bind(host.to_string())
        })
        .await?;
    let targets = rows.iter().map(target).collect::<Result<Vec<_>, _>>()?;
    let found: HashSet<&HostName> = targets.iter().filter_map(|it| it.site.as_ref()).collect();
    let missing = hosts.iter().find(|host| !found.contains(host));
    Ok(match missing {
        Some(host) => Err(unknown_site(host)),
        None => Ok(targets),
    })
}

/// Sites that are there, of which the selector says the rest.
async fn sites(tx: &mut Tx<'_>, select: &Selector) -> Result<Vec<Target>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT host, server, profile, platform, labels FROM site WHERE condition = 'ready' ORDER BY host",
    )
    .fetch_all(&mut *tx.connection)
    .await?;
    let mut found = Vec::new();
    for row in &rows {
        let profile: String = row.try_get("profile")?;
        let platform: Option<String> = row.try_get("platform")?;
        let fits = |wanted: Option<&str>, is: Option<&str>| wanted.is_none() || wanted == is;
        if fits(select.profile.as_ref().map(AsRef::as_ref), Some(&profile))
            && fits(
                select.platform.as_ref().map(AsRef::as_ref),
                platform.as_deref(),
            )
            && select.takes_labels(&labels(row)?)
        {
            let target = target(row)?;
            if select.takes_server(&target.server) {
                found.push(target);
            }
        }
    }
    Ok(found)
}

async fn whole_servers(tx: &mut Tx<'_>, select: &Selector) -> Result<Vec<Target>, sqlx::Error> {
    let rows = sqlx::query("SELECT name, labels FROM server ORDER BY name")
        .fetch_all(&mut *tx.connection)
        .await?;
    let mut found = Vec::new();
    for row in &rows {
        let name: String = row.try_get("name")?;
        let server = parse(&name)?;
        if select.takes_server(&server) && select.takes_labels(&labels(row)?) {
            found.push(Target { server, site: None });
        }
    }
    Ok(found)
}

fn target(row: &AnyRow) -> Result<Target, sqlx::Error> {
    let (host, server): (String, String) = (row.try_get("host")?, row.try_get("server")?);
    Ok(Target {
        server: parse(&server)?,
        site: Some(parse(&host)?),
    })
}

fn labels(row: &AnyRow) -> Result<Labels, sqlx::Error> {
    let text: String = row.try_get("labels")?;
    serde_json::from_str(&text).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn parse<T: std::str::FromStr>(text: &str) -> Result<T, sqlx::Error> {
    text.parse()
        .map_err(|_| sqlx::Error::Decode(format!("name {text:?}").into()))
}
