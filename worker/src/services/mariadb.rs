//! MariaDB: databases and their users, made and dropped on the [`server`] of this machine or of another.
//!
//! Every operation has a connection of its own, and one that changes something holds the server's lock of that name: after a
//! crash of the worker, the undo waits until the server is done with what the dead worker had asked for.

mod account;
mod close;
mod definer;
mod dump;
mod foreign;
mod mend;
mod quote;
mod rights;
mod room;
pub mod server;
mod version;
mod whose;

use std::time::Duration;

use anyhow::Context as _;
use kolga_protocol::fault;
use kolga_protocol::names::DatabaseName;
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection as _};

use crate::config;
use crate::secrets::Secret;
use crate::services::database::{Authority, Door};
pub use mend::Former;
use quote::{grant_pattern, identifier, literal};
use server::Server;

/// How long one operation may take, waiting for the lock included.
const PATIENCE: Duration = Duration::from_secs(60);

/// `ER_NONEXISTING_GRANT`: there is no such grant, or no such user.
const NO_GRANT: u16 = 1141;

/// The database server.
#[derive(Clone, Debug)]
pub struct Mariadb {
    server: Server,
    user: String,
}

impl Mariadb {
    /// From the configuration; nothing is connected yet.
    #[must_use]
    pub fn new(config: &config::Mariadb) -> Self {
        Self {
            server: Server::new(config),
            user: config.user.clone(),
        }
    }

    /// Where sites reach the server.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The account of a site's user, as statements name it.
    #[must_use]
    pub fn account(&self, name: &DatabaseName) -> String {
        quote::account(name, &self.server.client())
    }

    /// The worker's own, as messages name it.
    fn own_account(&self) -> String {
        format!("'{}'@'{}'", self.user, self.server.client())
    }

    /// The server's version.
    ///
    /// # Errors
    /// When it cannot be reached, or is one that will not do.
    pub async fn version(&self) -> anyhow::Result<String> {
        let mut connection = self.connect().await?;
        let version: String = sqlx::query_scalar("SELECT VERSION()")
            .fetch_one(&mut connection)
            .await?;
        version::refuse_other(&version)?;
        Ok(version)
    }

    /// Whether there is a database of this name.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn has_database(&self, name: &DatabaseName) -> anyhow::Result<bool> {
        Ok(self.comment_of(name).await?.is_some())
    }

    /// The comment of the database of this name, which is its owner when the worker made it; `None` when
    /// there is no such database.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn comment_of(&self, name: &DatabaseName) -> anyhow::Result<Option<String>> {
        let mut connection = self.connect().await?;
        comment_of(&mut connection, name).await
    }

    /// Whether there is a user of this name.
    ///
    /// # Errors
    /// When the server cannot be asked, or the worker's account may not read `mysql.user`.
    pub async fn has_user(&self, name: &DatabaseName) -> anyhow::Result<bool> {
        let mut connection = self.connect().await?;
        sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM mysql.user WHERE User = ?")
            .bind(name.as_str())
            .fetch_one(&mut connection)
            .await
            .map(|count| count > 0)
            .with_context(|| {
                let user = self.own_account();
                format!(
                    "cannot look for the database user {name}: GRANT SELECT ON mysql.* TO {user}"
                )
            })
    }

    /// Whether the user of this name is let in with this password.
    ///
    /// # Errors
    /// When the server does not say.
    pub async fn lets_in(&self, name: &DatabaseName, password: &Secret) -> anyhow::Result<bool> {
        Ok(self.way_in(name, password).await? == Door::Open)
    }

    /// Makes a database that belongs to `owner`, such as `run.to_string()`.
    ///
    /// # Errors
    /// When there is one of this name, or the worker's account may not.
    pub async fn create_database(&self, name: &DatabaseName, owner: &str) -> anyhow::Result<()> {
        let statement = format!(
            "CREATE DATABASE {} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci COMMENT {}",
            identifier(name),
            literal(owner),
        );
        self.change(name, statement)
            .await
            .with_context(|| format!("cannot create the database {name}"))
    }

    /// Drops a database; there need not be one.
    ///
    /// # Errors
    /// When the worker's account may not.
    pub async fn drop_database(&self, name: &DatabaseName) -> anyhow::Result<()> {
        self.change(
            name,
            format!("DROP DATABASE IF EXISTS {}", identifier(name)),
        )
        .await
        .with_context(|| format!("cannot drop the database {name}"))
    }

    /// Drops a database when it is `owner`'s. Says whether it was. Somebody else's stays.
    ///
    /// # Errors
    /// When the server cannot be asked, or the worker's account may not.
    pub async fn drop_database_of(&self, name: &DatabaseName, owner: &str) -> anyhow::Result<bool> {
        let mut connection = self.locked(name).await?;
        if comment_of(&mut connection, name).await?.as_deref() != Some(owner) {
            return Ok(false);
        }
        fault::point("mariadb:change");
        execute(
            &mut connection,
            format!("DROP DATABASE IF EXISTS {}", identifier(name)),
        )
        .await
        .with_context(|| format!("cannot drop the database {name}"))?;
        fault::point("mariadb:changed");
        Ok(true)
    }

    /// How such a user is made.
    fn creation(&self, name: &DatabaseName, password: &Secret) -> String {
        // Whatever its site says of the way, nothing of it goes in the clear.
        let over = match self.server.authority() {
            Some(_) => " REQUIRE SSL",
            None => "",
        };
        format!(
            "CREATE USER {} IDENTIFIED BY {}{over}",
            self.account(name),
            literal(password.expose())
        )
    }

    /// Makes a user that may connect from this machine only.
    ///
    /// # Errors
    /// When there is one of this name, or the worker's account may not. Never tells the password.
    pub async fn create_user(&self, name: &DatabaseName, password: &Secret) -> anyhow::Result<()> {
        let statement = self.creation(name, password);
        self.change(name, statement).await.map_err(|error| {
            let why = format!("{error:#}").replace(password.expose(), "***");
            anyhow::anyhow!("cannot create the database user {name}: {why}")
        })
    }

    /// Drops a user and its grants; there need not be one.
    ///
    /// # Errors
    /// When the worker's account may not.
    pub async fn drop_user(&self, name: &DatabaseName) -> anyhow::Result<()> {
        self.change(name, format!("DROP USER IF EXISTS {}", self.account(name)))
            .await
            .with_context(|| format!("cannot drop the database user {name}"))
    }

    /// Keeps a user out who was let in, or lets him in again; there need not be one. Connections that are open
    /// stay open.
    ///
    /// # Errors
    /// When the worker's account may not.
    pub async fn lock_user(&self, name: &DatabaseName, locked: bool) -> anyhow::Result<()> {
        let how = if locked { "LOCK" } else { "UNLOCK" };
        let statement = format!("ALTER USER IF EXISTS {} ACCOUNT {how}", self.account(name));
        self.change(name, statement)
            .await
            .with_context(|| format!("cannot lock or unlock the database user {name}"))
    }

    /// Gives the user of this name all rights on the database of this name and on no other.
    ///
    /// # Errors
    /// When one of both is missing, or the worker's account may not.
    pub async fn grant(&self, name: &DatabaseName) -> anyhow::Result<()> {
        let statement = format!(
            "GRANT ALL PRIVILEGES ON {}.* TO {}",
            grant_pattern(name),
            self.account(name)
        );
        self.change(name, statement).await.with_context(|| {
            let user = self.own_account();
            format!("cannot give the user {name} its rights: {user} needs them itself, WITH GRANT OPTION")
        })
    }

    /// Takes back what [`Mariadb::grant`] gave; it need not have been given.
    ///
    /// # Errors
    /// When the worker's account may not.
    pub async fn revoke(&self, name: &DatabaseName) -> anyhow::Result<()> {
        let statement = format!(
            "REVOKE ALL PRIVILEGES ON {}.* FROM {}",
            grant_pattern(name),
            self.account(name)
        );
        let mut connection = self.locked(name).await?;
        match execute(&mut connection, statement).await {
            Err(error) if number(&error) == Some(NO_GRANT) => Ok(()),
            other => other.with_context(|| format!("cannot take the rights of the user {name}")),
        }
    }

    async fn change(&self, name: &DatabaseName, statement: String) -> anyhow::Result<()> {
        let mut connection = self.locked(name).await?;
        fault::point("mariadb:change");
        execute(&mut connection, statement).await?;
        fault::point("mariadb:changed");
        Ok(())
    }

    /// A connection that holds the lock of this name until it is closed.
    async fn locked(&self, name: &DatabaseName) -> anyhow::Result<MySqlConnection> {
        let mut connection = self.connect().await?;
        let got: Option<i64> = sqlx::query_scalar("SELECT GET_LOCK(?, ?)")
            .bind(format!("kolga.{name}"))
            .bind(PATIENCE.as_secs() / 2)
            .fetch_one(&mut connection)
            .await?;
        anyhow::ensure!(
            got == Some(1),
            "MariaDB is still busy with the database {name}: see SHOW PROCESSLIST"
        );
        Ok(connection)
    }

    async fn connect(&self) -> anyhow::Result<MySqlConnection> {
        let hint = || {
            format!(
                "cannot connect to MariaDB at {} as {}: is it running, and does this account exist with {}?",
                self.server,
                self.user,
                match &self.server {
                    Server::Here(_) => "IDENTIFIED VIA unix_socket",
                    Server::Elsewhere(_) => "the password of mariadb.remote.password_file",
                }
            )
        };
        let authority = self.server.authority();
        authority.map_or(Ok(()), Authority::check)?;
        let mut options = self.server.options().username(&self.user);
        if let Some(password) = self.server.password()? {
            options = options.password(password.expose());
        }
        let mut connection = tokio::time::timeout(
            Duration::from_secs(10),
            MySqlConnection::connect_with(&options),
        )
        .await
        .map_err(|_| anyhow::anyhow!("it does not answer").context(hint()))?
        .map_err(|error| match authority.and_then(|it| it.problem(&error)) {
            Some(problem) => anyhow::anyhow!(problem),
            None => anyhow::Error::from(error).context(hint()),
        })?;
        // By this mode alone literals are read by one rule, and a grant makes no user who comes without a password; and no
        // statement waits for ever for a table.
        execute(
            &mut connection,
            "SET SESSION sql_mode = 'NO_AUTO_CREATE_USER', SESSION lock_wait_timeout = 30"
                .to_owned(),
        )
        .await?;
        Ok(connection)
    }
}

async fn execute(connection: &mut MySqlConnection, statement: String) -> Result<(), sqlx::Error> {
    let run = sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection);
    match tokio::time::timeout(PATIENCE, run).await {
        Ok(result) => result.map(drop),
        Err(_) => Err(sqlx::Error::Protocol("MariaDB takes too long".to_owned())),
    }
}

async fn comment_of(
    connection: &mut MySqlConnection,
    name: &DatabaseName,
) -> anyhow::Result<Option<String>> {
    Ok(sqlx::query_scalar(
        "SELECT CONVERT(SCHEMA_COMMENT USING utf8mb4) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?",
    )
    .bind(name.as_str())
    .fetch_optional(connection)
    .await?)
}

fn number(error: &sqlx::Error) -> Option<u16> {
    let code = error
        .as_database_error()?
        .try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()?;
    Some(code.number())
}

#[cfg(test)]
mod tests;
