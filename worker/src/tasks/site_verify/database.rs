//! What a site's account at its database server lacks: the account itself, rights on the site's own database, its password.
//!
//! A database that is gone is not made anew: an empty one would only hide that. What is not the site's own, or cannot be mended
//! from here, is told as a problem.

use anyhow::Context as _;
use kolga_protocol::id::Run;
use kolga_protocol::names::DatabaseName;
use kolga_protocol::task::site_verify::Change;

use crate::cx::Cx;
use crate::services::database::{Door, Service};
use crate::services::postgresql::Postgresql;
use crate::site::Site;
use crate::steps::mend_database_user::{Lacks, Missing};

pub(super) async fn look(
    site: &Site,
    name: &DatabaseName,
    cx: &Cx,
    problems: &mut Vec<String>,
) -> anyhow::Result<Option<Lacks>> {
    let service = cx.spoke.database(site.engine)?;
    let owner = service.comment_of(name).await?;
    let owner = owner.with_context(|| {
        format!("the database {name} is gone: restore the site from a backup, or delete it")
    })?;
    anyhow::ensure!(
        owner.parse::<Run>().is_ok(),
        "the database {name} is not the one that was made for this site: its comment names no task"
    );
    let secrets = cx.spoke.secrets.load(&site.host)?;
    let password = secrets
        .and_then(|secrets| secrets.database_password)
        .context("the site's secrets are gone")?;
    let rights = service.rights(name).await?;
    let elsewhere = rights.iter().flat_map(|rights| &rights.elsewhere);
    let elsewhere: Vec<&str> = elsewhere.map(String::as_str).collect();
    if !elsewhere.is_empty() {
        problems.push(format!(
            "the database user {name} has rights on {} too",
            elsewhere.join(", ")
        ));
    }
    let mut missing = Vec::new();
    let mut other_password = false;
    match rights {
        None => missing.push(Missing::User),
        Some(rights) => {
            if !rights.on_its_own {
                missing.push(Missing::Rights);
            }
            match service.way_in(name, &password).await? {
                // A right that it lacks is among its rights.
                Door::Open | Door::NoRight => {}
                Door::OtherPassword => {
                    missing.push(Missing::Password);
                    other_password = true;
                }
                Door::KeptOut => missing.push(Missing::Login),
                Door::Shut => problems.push(shut(service, name)),
            }
        }
    }
    if !missing.is_empty()
        && let Some(why) = service.why_not_mend(name, &owner, other_password).await?
    {
        problems.push(format!(
            "the database {name} and the user of its name are not as they should be, and are not mended: {why}"
        ));
        missing.clear();
    }
    match service {
        Service::Mariadb(it) => problems.extend(it.strangers(name).await?),
        Service::Postgresql(it) => problems.extend(of_others(it, name).await?),
    }
    Ok((!missing.is_empty()).then_some(Lacks {
        missing,
        mark: owner,
    }))
}

/// What keeps a user out that is as it should be.
fn shut(service: Service<'_>, name: &DatabaseName) -> String {
    match service {
        Service::Mariadb(it) => format!(
            "MariaDB does not let the database user {name} in on the way that sites take, though it has the site's \
             password: it asks for TLS (REQUIRE in SHOW CREATE USER {}), or another account comes before that one",
            it.account(name)
        ),
        Service::Postgresql(_) => format!(
            "PostgreSQL does not let the database user {name} in on the way that sites take: its pg_hba.conf needs a line \
             for the group of sites' roles, with scram-sha-256 (docs/OPERATIONS.md)"
        ),
    }
}

async fn of_others(server: &Postgresql, name: &DatabaseName) -> anyhow::Result<Option<String>> {
    let count = server.of_others(name).await?.filter(|count| *count > 0);
    Ok(count.map(|count| {
        format!(
            "{count} things in the database {name} belong to another than its user, who may not be able to use them: an \
             administrator of the server gives them back with deploy/postgresql-own.sql"
        )
    }))
}

/// What will be done about it.
pub(super) fn told(lacks: &Lacks) -> impl Iterator<Item = Change> + '_ {
    lacks.missing.iter().map(|missing| {
        let (what, from, to) = match missing {
            Missing::User => (
                "database user",
                None,
                "there, with all rights on the site's database",
            ),
            Missing::Rights => (
                "rights of the database user",
                None,
                "all on the site's database",
            ),
            Missing::Password => (
                "password of the database user",
                Some("another"),
                "the site's",
            ),
            Missing::Login => ("database user", Some("kept out"), "let in"),
        };
        Change {
            what: what.to_owned(),
            from: from.map(str::to_owned),
            to: Some(to.to_owned()),
        }
    })
}
