//! MariaDB: whether the worker's account may do what a site's installation asks of it, by doing it once.

use anyhow::Context as _;
use kolga_protocol::id::Run;
use kolga_protocol::names::DatabaseName;
use kolga_protocol::task::server_verify::Check;
use sha2::{Digest as _, Sha256};

use super::check;
use crate::cx::Cx;
use crate::secrets::{PASSWORD_LENGTH, Secret};
use crate::services::mariadb::Mariadb;
use kolga_protocol::fault;

pub(super) async fn checks(cx: &Cx, mariadb: &Mariadb, probing: bool) -> Vec<Check> {
    let version = mariadb.version().await;
    let reached = version.is_ok();
    let mut checks = vec![check(
        "MariaDB",
        version.map(|version| format!("version {version}")),
    )];
    if reached && probing {
        let rights = probe(cx, mariadb).await;
        checks.push(check(
            "MariaDB account",
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
pub async fn probe(cx: &Cx, mariadb: &Mariadb) -> anyhow::Result<()> {
    let name = probe_name(cx.run);
    let made = make(mariadb, &name, &cx.run.to_string()).await;
    let removed = remove(cx, mariadb).await;
    made.and(removed)
}

async fn make(mariadb: &Mariadb, name: &DatabaseName, owner: &str) -> anyhow::Result<()> {
    anyhow::ensure!(
        !mariadb.has_user(name).await?,
        "there is a user {name} already"
    );
    mariadb
        .create_user(name, &Secret::generate(PASSWORD_LENGTH)?)
        .await?;
    fault::point("check:user_created");
    mariadb.create_database(name, owner).await?;
    fault::point("check:database_created");
    mariadb.grant(name).await
}

/// Removes what a probe of this run may have left.
///
/// # Errors
/// When it cannot be removed.
pub async fn remove(cx: &Cx, mariadb: &Mariadb) -> anyhow::Result<()> {
    let name = probe_name(cx.run);
    mariadb.drop_user(&name).await?;
    mariadb
        .drop_database_of(&name, &cx.run.to_string())
        .await
        .map(drop)
        .with_context(|| format!("the probe {name} may still be there"))
}
