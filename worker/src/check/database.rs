//! The database servers: whether the worker's account may do what a site's installation asks of it, by doing it once.

use anyhow::Context as _;
use kolga_protocol::id::Run;
use kolga_protocol::names::{DatabaseName, Engine};
use kolga_protocol::task::server_verify::Check;
use sha2::{Digest as _, Sha256};

use super::check;
use crate::cx::Cx;
use crate::secrets::{PASSWORD_LENGTH, Secret};
use crate::services::database::Service;
use crate::services::postgresql::functions;
use kolga_protocol::fault;

pub(super) async fn checks(cx: &Cx, service: Service<'_>, probing: bool) -> Vec<Check> {
    let title = service.engine().title();
    let version = service.version().await;
    let reached = version.is_ok();
    let mut checks = vec![check(
        title,
        version.map(|version| format!("version {version}")),
    )];
    if let (true, Service::Postgresql(it)) = (reached, service) {
        checks.push(check("PostgreSQL programs", it.programs().await));
    }
    let mut usable = reached;
    if let (true, Service::Postgresql(it)) = (reached, service) {
        let functions = it.functions().await;
        // Those of another release may do all the same.
        usable = it.needs(functions::ALL).await.is_ok();
        checks.push(check("PostgreSQL functions", functions));
    }
    if usable && probing {
        let rights = probe(cx, service).await;
        checks.push(check(
            &format!("{title} account"),
            rights.map(|()| "may make databases and users".to_owned()),
        ));
    }
    checks
}

/// The name of a run's probe: a new one for each, in the space of names where sites' databases are.
#[must_use]
pub fn probe_name(run: Run) -> DatabaseName {
    let digest = Sha256::digest(run.to_string().as_bytes());
    let hex: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("k_probe_{hex}")
        .parse()
        .expect("hexadecimal digits after letters are a database's name")
}

/// Makes a database and a user with its rights, and drops them again, whatever went wrong in between.
///
/// # Errors
/// Which right is missing.
pub async fn probe(cx: &Cx, service: Service<'_>) -> anyhow::Result<()> {
    let name = probe_name(cx.run);
    let made = make(service, &name, &cx.run.to_string()).await;
    let removed = remove(cx, service).await;
    made.and(removed)
}

async fn make(service: Service<'_>, name: &DatabaseName, owner: &str) -> anyhow::Result<()> {
    anyhow::ensure!(
        !service.has_user(name).await?,
        "there is a user {name} already"
    );
    let password = Secret::generate(PASSWORD_LENGTH)?;
    service.create_user(name, &password, owner).await?;
    fault::point("check:user_created");
    service.create_database(name, owner).await?;
    fault::point("check:database_created");
    service.grant(name).await?;
    // Whether it lets a user in is said by another file of PostgreSQL's, and not by what it may do.
    anyhow::ensure!(
        service.engine() != Engine::Postgresql || service.lets_in(name, &password).await?,
        "PostgreSQL makes a role and a database and does not let the one into the other: its pg_hba.conf needs a line for \
         the group of sites' roles, with scram-sha-256 (docs/OPERATIONS.md)"
    );
    if let Service::Postgresql(it) = service {
        let why = it.why_not_mend(name, owner).await?;
        anyhow::ensure!(why.is_none(), "PostgreSQL would not mend them: {why:?}");
    }
    Ok(())
}

/// Removes what a probe of this run may have left.
///
/// # Errors
/// When it cannot be removed.
pub async fn remove(cx: &Cx, service: Service<'_>) -> anyhow::Result<()> {
    let (name, owner) = (probe_name(cx.run), cx.run.to_string());
    let removed = async {
        service.drop_database_of(&name, &owner).await?;
        service.drop_user_of(&name, Some(&owner)).await
    };
    removed
        .await
        .with_context(|| format!("the probe {name} may still be there"))
}
