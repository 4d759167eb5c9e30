//! A site's user as it should be again: there, let in with the site's password, with all rights on the site's own database, on
//! which nobody else has any by being anybody.
//!
//! Which is one is said by [`super::whose`]. How it was let in until then stays in the server as long as that may have to come
//! back: in a user of the same name that comes from nowhere, since its host is the run's and ends in `.invalid`, and is
//! kept out besides. So no old password leaves the server, and what the server would not take back is found out before.

use anyhow::Context as _;
use kolga_protocol::fault;
use kolga_protocol::names::DatabaseName;
use serde::{Deserialize, Serialize};
use sqlx::mysql::MySqlConnection;

use super::account::{Standing, standing};
use super::quote::{self, grant_pattern, literal};
use super::rights::{GRANT_OPTION, Given, all_rights, everybody, given};
use super::{Mariadb, NO_GRANT, execute, number};
use crate::secrets::Secret;
use crate::services::database::Door;

/// `ER_PASSWORD_NO_MATCH`: there is no such user to give something to.
const NO_USER: u16 = 1133;

/// What a user was before it is mended, but for how it was let in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Former {
    /// Whether it was there.
    there: bool,
    /// Whether it was kept out.
    locked: bool,
    /// Whether its password had run out.
    expired: bool,
    /// For how many days a password was good.
    lifetime: Option<i64>,
    /// What of all rights it did not have on its own database.
    lacked: Vec<String>,
    /// What everybody had there.
    everybody: Vec<Given>,
}

impl Mariadb {
    /// What the user of this name is.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn former(&self, name: &DatabaseName) -> anyhow::Result<Former> {
        let mut connection = self.connect().await?;
        let found = standing(&mut connection, name.as_str(), &self.server.client()).await?;
        let (default, now): (i64, i64) =
            sqlx::query_as("SELECT CAST(@@default_password_lifetime AS SIGNED), UNIX_TIMESTAMP()")
                .fetch_one(&mut connection)
                .await?;
        let client = self.server.client();
        let all = all_rights(&mut connection).await?;
        let given = given(&mut connection, name, &all).await?;
        let own = given
            .iter()
            .find(|(user, host, _)| user == name.as_str() && *host == client);
        let has = |right: &&String| own.is_some_and(|(_, _, rights)| rights.contains(right));
        let lacked = all.iter().map(|(_, right)| right);
        let lacked = lacked.filter(|right| *right != GRANT_OPTION && !has(right));
        Ok(Former {
            there: found.is_some(),
            locked: found.as_ref().is_some_and(|it| it.account_locked),
            expired: found
                .as_ref()
                .is_some_and(|it| it.has_expired(default, now)),
            lifetime: found.and_then(|it| it.password_lifetime),
            lacked: lacked.cloned().collect(),
            everybody: everybody(given),
        })
    }

    /// Makes the user of this name what it should be, with this password where one is given.
    ///
    /// # Errors
    /// When it is not to be mended, or is not let in afterwards.
    pub async fn mend(
        &self,
        name: &DatabaseName,
        password: Option<&Secret>,
        mark: &str,
        run: &str,
        former: &Former,
    ) -> anyhow::Result<()> {
        let mut connection = self.locked(name).await?;
        let other_password = former.there && password.is_some();
        let why = self
            .why_not(&mut connection, name, mark, other_password)
            .await?;
        anyhow::ensure!(
            why.is_none(),
            "the database user {name} is not mended: {}",
            why.unwrap_or_default()
        );
        let account = self.account(name);
        match password {
            Some(password) if former.there => {
                let found = standing(&mut connection, name.as_str(), &self.server.client()).await?;
                let found = found.with_context(|| format!("there is no {account} any more"))?;
                keep(&mut connection, &kept(name, run), &found).await?;
                fault::point("mend_database_user:kept");
                let expiry = match former.expired {
                    true => " PASSWORD EXPIRE NEVER",
                    false => "",
                };
                let password = password.expose();
                let quoted = literal(password);
                let statement =
                    format!("ALTER USER {account} IDENTIFIED BY {quoted} ACCOUNT UNLOCK{expiry}");
                step(&mut connection, statement)
                    .await
                    .map_err(|error| anyhow::anyhow!(error.to_string().replace(password, "***")))
                    .context("cannot give it the site's password")?;
            }
            Some(password) => {
                let statement = self.creation(name, password);
                let password = password.expose();
                step(&mut connection, statement)
                    .await
                    .map_err(|error| anyhow::anyhow!(error.to_string().replace(password, "***")))
                    .context("cannot make it")?;
            }
            None if former.locked => {
                step(
                    &mut connection,
                    format!("ALTER USER {account} ACCOUNT UNLOCK"),
                )
                .await?;
            }
            None => {}
        }
        fault::point("mend_database_user:let_in");
        let on = grant_pattern(name);
        step(
            &mut connection,
            format!("GRANT ALL PRIVILEGES ON {on}.* TO {account}"),
        )
        .await
        .context("cannot give it its rights")?;
        for given in &former.everybody {
            let (rights, from) = (given.rights.join(", "), given.to());
            step(
                &mut connection,
                format!("REVOKE {rights} ON {on}.* FROM {from}"),
            )
            .await
            .context("cannot take the rights that everybody has on its database")?;
        }
        if let Some(password) = password {
            let door = self.way_in(name, password).await?;
            anyhow::ensure!(
                door == Door::Open,
                "{account} has the site's password now, and is not let in: it asks for TLS (REQUIRE in SHOW CREATE USER), or \
                 another account comes before it"
            );
        }
        Ok(())
    }

    /// Makes it again what it was before this run has mended it, if it has. One that was not there is dropped where it has the
    /// password that it was made with.
    ///
    /// # Errors
    /// When the server does not do it.
    pub async fn unmend(
        &self,
        name: &DatabaseName,
        password: Option<&Secret>,
        run: &str,
        former: &Former,
    ) -> anyhow::Result<()> {
        let mut connection = self.locked(name).await?;
        let account = self.account(name);
        let on = grant_pattern(name);
        for given in &former.everybody {
            let (rights, to) = (given.rights.join(", "), given.to());
            match step(&mut connection, format!("GRANT {rights} ON {on}.* TO {to}")).await {
                Err(error) if number(&error) == Some(NO_USER) => {}
                other => other?,
            }
        }
        if !former.there {
            let client = self.server.client();
            if standing(&mut connection, name.as_str(), &client)
                .await?
                .is_none()
            {
                return Ok(());
            }
            let password = password.with_context(|| {
                format!(
                    "the site has no password any more that would tell whether {account} is its own"
                )
            })?;
            if self.has(name, password).await? {
                step(&mut connection, format!("DROP USER IF EXISTS {account}")).await?;
            }
            return Ok(());
        }
        if !former.lacked.is_empty() {
            let rights = former.lacked.join(", ");
            let taken = step(
                &mut connection,
                format!("REVOKE {rights} ON {on}.* FROM {account}"),
            );
            match taken.await {
                Err(error) if number(&error) == Some(NO_GRANT) => {}
                other => other?,
            }
        }
        let (kept_user, kept_host) = (name.as_str(), kept_host(run));
        let lock = if former.locked { " ACCOUNT LOCK" } else { "" };
        match standing(&mut connection, kept_user, &kept_host).await? {
            Some(found) => {
                let expiry = match (former.expired, former.lifetime) {
                    (false, _) => String::new(),
                    (true, None | Some(..0)) => " PASSWORD EXPIRE DEFAULT".to_owned(),
                    (true, Some(0)) => " PASSWORD EXPIRE NEVER".to_owned(),
                    (true, Some(days)) => format!(" PASSWORD EXPIRE INTERVAL {days} DAY"),
                };
                let identified = found.identified();
                let statement =
                    format!("ALTER USER IF EXISTS {account} {identified}{lock}{expiry}");
                step(&mut connection, statement)
                    .await
                    .map_err(|error| anyhow::anyhow!(found.hidden_in(&error.to_string())))?;
                if former.expired {
                    let statement = format!("ALTER USER IF EXISTS {account} PASSWORD EXPIRE");
                    step(&mut connection, statement).await?;
                }
                let kept = kept(name, run);
                step(&mut connection, format!("DROP USER IF EXISTS {kept}")).await?;
            }
            None if former.locked => {
                let statement = format!("ALTER USER IF EXISTS {account}{lock}");
                step(&mut connection, statement).await?;
            }
            None => {}
        }
        Ok(())
    }

    /// Forgets how the user of this name was let in before this run has mended it.
    ///
    /// # Errors
    /// When the worker's account may not.
    pub async fn forget_former(&self, name: &DatabaseName, run: &str) -> anyhow::Result<()> {
        let statement = format!("DROP USER IF EXISTS {}", kept(name, run));
        self.change(name, statement)
            .await
            .with_context(|| format!("cannot drop {}", kept(name, run)))
    }
}

/// No machine is called so.
fn kept_host(run: &str) -> String {
    format!("{run}.invalid")
}

/// In what it is kept how a user was let in.
fn kept(name: &DatabaseName, run: &str) -> String {
    quote::account(name, &kept_host(run))
}

async fn keep(
    connection: &mut MySqlConnection,
    kept: &str,
    found: &Standing,
) -> anyhow::Result<()> {
    let statement = format!("CREATE USER {kept} {} ACCOUNT LOCK", found.identified());
    step(connection, statement)
        .await
        .map_err(|error| anyhow::anyhow!(found.hidden_in(&error.to_string())))
        .context("cannot keep how it was let in")
}

/// One change of several, between any two of which the worker may die.
async fn step(connection: &mut MySqlConnection, statement: String) -> Result<(), sqlx::Error> {
    fault::point("mariadb:change");
    execute(connection, statement).await?;
    fault::point("mariadb:changed");
    Ok(())
}
