//! Which servers, sites or platforms a selector means, as the lists are now.

use std::collections::{BTreeMap, HashSet};

use kolga_protocol::names::{HostName, ServerName};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::super::bulk::Bulk;
use super::super::objects::unknown_site;
use super::super::servers;
use super::super::tx::{Outcome, Refusal};
use crate::selector::{Labels, Selector};
use crate::wire::{Each, Target};

static NAMED: Bulk = Bulk::new(
    "SELECT host, server, profile FROM site WHERE host IN (VALUES",
    1,
    ")",
);

/// What is meant.
#[derive(Default)]
pub(super) struct Chosen {
    /// By server and name, each once.
    pub(super) targets: Vec<Target>,
    /// The kinds of the sites that are meant, server by server, and one of each.
    pub(super) profiles: BTreeMap<(ServerName, String), HostName>,
}

/// What a selector means.
pub(super) async fn choose(
    connection: &mut AnyConnection,
    select: &Selector,
    each: Each,
) -> Result<Outcome<Chosen>, sqlx::Error> {
    if let Err(reason) = select.check(each) {
        let hint = "see `kolga op start --help`".to_owned();
        return Ok(Err(Refusal::invalid(
            "bad_selector",
            reason.to_owned(),
            hint,
        )));
    }
    for name in select.on.iter().filter_map(|glob| glob.exact()) {
        let known = match name.parse::<ServerName>() {
            Ok(name) => servers::is_known(connection, &name).await?,
            Err(error) => Err(Refusal::invalid("bad_name", error.to_string(), None)),
        };
        if let Err(refusal) = known {
            return Ok(Err(refusal));
        }
    }
    let mut chosen = if !select.sites.is_empty() {
        match named(connection, &select.sites).await? {
            Ok(chosen) => chosen,
            Err(refusal) => return Ok(Err(refusal)),
        }
    } else {
        match each {
            Each::Site => sites(connection, select).await?,
            Each::Platform => platforms(connection, select).await?,
            Each::Server => whole_servers(connection, select).await?,
        }
    };
    chosen.targets.sort_unstable();
    chosen.targets.dedup();
    if chosen.targets.is_empty() {
        let (what, list) = match each {
            Each::Site => ("site that is ready", "site"),
            Each::Platform => ("platform that is ready", "platform"),
            Each::Server => ("server", "server"),
        };
        return Ok(Err(Refusal::not_found(
            "nothing_selected",
            format!("no {what} goes by {select}"),
            format!("see `kolga {list} list`, or try it with --dry-run"),
        )));
    }
    Ok(Ok(chosen))
}

/// Sites by name: also those that are busy now, whose turn may come when they are not.
async fn named(
    connection: &mut AnyConnection,
    hosts: &[HostName],
) -> Result<Outcome<Chosen>, sqlx::Error> {
    let rows = NAMED
        .fetch(connection, hosts, |query, host| {
            query.bind(host.to_string())
        })
        .await?;
    let mut chosen = Chosen::default();
    for row in &rows {
        chosen.add_site(row)?;
    }
    let targets = chosen.targets.iter();
    let found: HashSet<&HostName> = targets.filter_map(|it| it.site.as_ref()).collect();
    let missing = hosts.iter().find(|host| !found.contains(host));
    Ok(match missing {
        Some(host) => Err(unknown_site(host)),
        None => Ok(chosen),
    })
}

/// Sites that are there, of which the selector says the rest.
async fn sites(connection: &mut AnyConnection, select: &Selector) -> Result<Chosen, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT host, server, profile, platform, labels FROM site WHERE condition = 'ready' ORDER BY host",
    )
    .fetch_all(connection)
    .await?;
    let mut chosen = Chosen::default();
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
            let server: String = row.try_get("server")?;
            if select.takes_server(&parse(&server)?) {
                chosen.add_site(row)?;
            }
        }
    }
    Ok(chosen)
}

/// Platforms that are there, of which the selector says the rest.
async fn platforms(
    connection: &mut AnyConnection,
    select: &Selector,
) -> Result<Chosen, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT server, name, profile, labels FROM platform WHERE condition = 'ready' ORDER BY server, name",
    )
    .fetch_all(connection)
    .await?;
    let mut chosen = Chosen::default();
    for row in &rows {
        let text = |column| row.try_get::<String, _>(column);
        let (server, name, profile) = (text("server")?, text("name")?, text("profile")?);
        let server = parse(&server)?;
        let fits = |wanted: Option<&str>, is: &str| wanted.is_none_or(|wanted| wanted == is);
        if fits(select.platform.as_ref().map(AsRef::as_ref), &name)
            && fits(select.profile.as_ref().map(AsRef::as_ref), &profile)
            && select.takes_server(&server)
            && select.takes_labels(&labels(row)?)
        {
            chosen.targets.push(Target {
                server,
                site: None,
                platform: Some(parse(&name)?),
            });
        }
    }
    Ok(chosen)
}

async fn whole_servers(
    connection: &mut AnyConnection,
    select: &Selector,
) -> Result<Chosen, sqlx::Error> {
    let rows = sqlx::query("SELECT name, labels FROM server ORDER BY name")
        .fetch_all(connection)
        .await?;
    let mut chosen = Chosen::default();
    for row in &rows {
        let name: String = row.try_get("name")?;
        let server = parse(&name)?;
        if select.takes_server(&server) && select.takes_labels(&labels(row)?) {
            chosen.targets.push(Target {
                server,
                site: None,
                platform: None,
            });
        }
    }
    Ok(chosen)
}

impl Chosen {
    fn add_site(&mut self, row: &AnyRow) -> Result<(), sqlx::Error> {
        let text = |column| row.try_get::<String, _>(column);
        let (host, server, profile) = (text("host")?, text("server")?, text("profile")?);
        let (server, host): (ServerName, HostName) = (parse(&server)?, parse(&host)?);
        self.targets.push(Target {
            server: server.clone(),
            site: Some(host.clone()),
            platform: None,
        });
        self.profiles.entry((server, profile)).or_insert(host);
        Ok(())
    }
}

fn labels(row: &AnyRow) -> Result<Labels, sqlx::Error> {
    let text: String = row.try_get("labels")?;
    serde_json::from_str(&text).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn parse<T: std::str::FromStr>(text: &str) -> Result<T, sqlx::Error> {
    text.parse()
        .map_err(|_| sqlx::Error::Decode(format!("name {text:?}").into()))
}
