//! PostgreSQL: databases and their roles, made and dropped on the [`server`] of this machine or of another.
//!
//! The worker's account may make databases and no roles: up to PostgreSQL 15 whoever may make roles can become any of them
//! but a superuser. Roles are made and dropped by functions that an administrator has put into a database of their own
//! (deploy/postgresql.sql): these make the account a member of the roles that it asks for, whose names begin with `k_`, and
//! touch no others. The comment of such a role is the mark of the run that made it, and no tenant can change it; a database is
//! the run's from its first moment, since it belongs to the role of its name.
//!
//! As with MariaDB, what changes something holds the server's lock of that name until its connection is closed.

mod close;
mod dump;
mod foreign;
pub mod functions;
mod inside;
mod mend;
mod quote;
mod scram;
pub mod server;

use std::time::Duration;

use anyhow::Context as _;
use kolga_protocol::fault;
use kolga_protocol::names::DatabaseName;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection as _};

use crate::config;
use crate::secrets::Secret;
use crate::services::database::{Authority, Door, Rights};
use quote::{identifier, literal};
use server::Server;

/// How long to wait for a connection.
const CONNECTING: Duration = Duration::from_secs(10);
/// The database with the functions, and with the locks of names: no tenant gets in.
const HOME: &str = "kolga_roles";
/// What every session begins with. No object that somebody has put into a schema takes the place of the server's own, a
/// literal is read by one rule, and nothing is waited for for ever.
const BEGINNING: &str = "SET search_path = pg_catalog; SET standard_conforming_strings = on; \
                         SET lock_timeout = '30s'; SET statement_timeout = '60s'";

/// `lock_not_available`
const BUSY: &str = "55P03";
/// `invalid_schema_name` and `undefined_function`: there are no functions of ours.
const NO_FUNCTIONS: [&str; 2] = ["3F000", "42883"];

/// The database server.
#[derive(Clone, Debug)]
pub struct Postgresql {
    server: Server,
    user: String,
}

impl Postgresql {
    /// From the configuration; nothing is connected yet.
    #[must_use]
    pub fn new(config: &config::Postgresql) -> Self {
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

    /// The server's version.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn version(&self) -> anyhow::Result<String> {
        let mut connection = self.connect().await?;
        Ok(
            sqlx::query_scalar("SELECT current_setting('server_version')")
                .fetch_one(&mut connection)
                .await?,
        )
    }

    /// Whether there is a database of this name.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn has_database(&self, name: &DatabaseName) -> anyhow::Result<bool> {
        Ok(self.comment_of(name).await?.is_some())
    }

    /// The mark of the database of this name: its comment or, as long as it has none, that of the role of the same name
    /// to whom it belongs. Empty where it has none; `None` when there is no such database.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn comment_of(&self, name: &DatabaseName) -> anyhow::Result<Option<String>> {
        let mut connection = self.connect().await?;
        comment_of(&mut connection, name).await
    }

    /// Whether there is a role of this name.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn has_user(&self, name: &DatabaseName) -> anyhow::Result<bool> {
        let mut connection = self.connect().await?;
        has_user(&mut connection, name).await
    }

    /// Whether the database of this name belongs to the role of this name with all rights, and to nobody else; and on what else
    /// it has any, by name. `None` when there is no such role.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn rights(&self, name: &DatabaseName) -> anyhow::Result<Option<Rights>> {
        if !self.has_user(name).await? {
            return Ok(None);
        }
        let mut connection = self.connect().await?;
        let rows: Vec<(String, bool)> = sqlx::query_as(
            "SELECT d.datname::text, d.datname = r.rolname AND d.datdba = r.oid
                    AND NOT EXISTS (SELECT FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) WHERE grantee = 0)
                    AND 3 = (SELECT count(DISTINCT privilege_type)
                               FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) WHERE grantee = r.oid)
               FROM pg_database d, pg_roles r
              WHERE r.rolname = $1
                AND (d.datname = r.rolname OR d.datdba = r.oid
                     OR EXISTS (SELECT FROM aclexplode(d.datacl) WHERE grantee = r.oid))
             UNION ALL
             SELECT 'the role ' || g.rolname, false
               FROM pg_auth_members m
               JOIN pg_roles r ON r.oid = m.member
               JOIN pg_roles g ON g.oid = m.roleid
              WHERE r.rolname = $1 AND g.rolname <> $2
             UNION ALL
             SELECT 'the whole server', false
               FROM pg_roles
              WHERE rolname = $1 AND (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls)",
        )
        .bind(name.as_str())
        .bind(self.group())
        .fetch_all(&mut connection)
        .await?;
        let mut rights = Rights::default();
        for (on, is_its_own) in rows {
            match is_its_own {
                true => rights.on_its_own = true,
                false if on == name.as_str() => {}
                false => rights.elsewhere.push(on),
            }
        }
        Ok(Some(rights))
    }

    /// Whether the role of this name is let into the database of this name with this password, on the way that sites take.
    ///
    /// # Errors
    /// When the server does not say.
    pub async fn lets_in(&self, name: &DatabaseName, password: &Secret) -> anyhow::Result<bool> {
        Ok(self.way_in(name, password).await? == Door::Open)
    }

    /// Makes a database that belongs to the role of its name and to `owner`, such as `run.to_string()`. Nobody else can
    /// connect to it.
    ///
    /// # Errors
    /// When there is one of this name, or there is no such role of ours.
    pub async fn create_database(&self, name: &DatabaseName, owner: &str) -> anyhow::Result<()> {
        let named = identifier(name);
        let mark = literal(owner)?;
        let mut connection = self.locked(name).await?;
        fault::point("postgresql:change");
        for statement in [
            format!("CREATE DATABASE {named} OWNER {named} TEMPLATE template0 ENCODING 'UTF8'"),
            format!("REVOKE ALL ON DATABASE {named} FROM PUBLIC"),
            format!("COMMENT ON DATABASE {named} IS {mark}"),
        ] {
            execute(&mut connection, statement)
                .await
                .with_context(|| format!("cannot create the database {name}"))?;
            fault::point("postgresql:changed");
        }
        Ok(())
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
        fault::point("postgresql:change");
        let named = identifier(name);
        execute(
            &mut connection,
            format!("DROP DATABASE IF EXISTS {named} WITH (FORCE)"),
        )
        .await
        .with_context(|| format!("cannot drop the database {name}"))?;
        fault::point("postgresql:changed");
        Ok(true)
    }

    /// Makes a role that belongs to `owner`, and may log in.
    ///
    /// # Errors
    /// When there is one of this name, or the functions are not there. Never tells the password, which does not leave
    /// this machine: the server is told what it needs to know one who has it.
    pub async fn create_user(
        &self,
        name: &DatabaseName,
        password: &Secret,
        owner: &str,
    ) -> anyhow::Result<()> {
        let verifier = scram::verifier(password)?;
        let mut connection = self.locked(name).await?;
        fault::point("postgresql:change");
        sqlx::query("SELECT kolga.make_role($1, $2, $3)")
            .bind(name.as_str())
            .bind(verifier)
            .bind(owner)
            .execute(&mut connection)
            .await
            .map_err(|error| self.explained(error))
            .with_context(|| format!("cannot create the database user {name}"))?;
        fault::point("postgresql:changed");
        Ok(())
    }

    /// Drops a role; there need not be one. One that has another mark than this stays.
    ///
    /// # Errors
    /// When it is not one of the worker's, or something is there that belongs to it.
    pub async fn drop_user_of(
        &self,
        name: &DatabaseName,
        owner: Option<&str>,
    ) -> anyhow::Result<()> {
        let mut connection = self.locked(name).await?;
        if !has_user(&mut connection, name).await? {
            return Ok(());
        }
        fault::point("postgresql:change");
        sqlx::query("SELECT kolga.drop_role($1, $2)")
            .bind(name.as_str())
            .bind(owner)
            .execute(&mut connection)
            .await
            .map_err(|error| self.explained(error))
            .with_context(|| format!("cannot drop the database user {name}"))?;
        fault::point("postgresql:changed");
        Ok(())
    }

    /// Keeps a role out that was let in, or lets it in again; there need not be one. Connections that are open stay
    /// open.
    ///
    /// # Errors
    /// When it is not one of the worker's.
    pub async fn lock_user(&self, name: &DatabaseName, locked: bool) -> anyhow::Result<()> {
        let mut connection = self.locked(name).await?;
        fault::point("postgresql:change");
        sqlx::query("SELECT kolga.let_in($1, $2)")
            .bind(name.as_str())
            .bind(!locked)
            .execute(&mut connection)
            .await
            .map_err(|error| self.explained(error))
            .with_context(|| format!("cannot lock or unlock the database user {name}"))?;
        fault::point("postgresql:changed");
        Ok(())
    }

    /// How many bytes the database takes up on the server.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn size_of(&self, name: &DatabaseName) -> anyhow::Result<u64> {
        let mut connection = self.connect().await?;
        let size: Option<i64> =
            sqlx::query_scalar("SELECT pg_database_size(oid) FROM pg_database WHERE datname = $1")
                .bind(name.as_str())
                .fetch_optional(&mut connection)
                .await?;
        Ok(u64::try_from(size.unwrap_or(0)).unwrap_or(0))
    }

    /// A connection that holds the lock of this name until it is closed.
    async fn locked(&self, name: &DatabaseName) -> anyhow::Result<PgConnection> {
        let mut connection = self.connect().await?;
        sqlx::query("SELECT pg_advisory_lock(hashtextextended($1, 0))")
            .bind(format!("kolga.{name}"))
            .execute(&mut connection)
            .await
            .map_err(|error| match code_of(&error).as_deref() {
                Some(BUSY) => anyhow::anyhow!(
                    "PostgreSQL is still busy with the database {name}: see pg_stat_activity"
                ),
                _ => error.into(),
            })?;
        Ok(connection)
    }

    /// The way for a site's own role.
    fn for_site(&self, name: &DatabaseName, password: &Secret) -> PgConnectOptions {
        let options = self.server.site_options().username(name.as_str());
        options.password(password.expose()).database(name.as_str())
    }

    async fn connect(&self) -> anyhow::Result<PgConnection> {
        let hint = || {
            format!(
                "cannot connect to PostgreSQL at {} as {}: is it running, and does this role exist (deploy/postgresql.sql), \
                 let in {}?",
                self.server,
                self.user,
                match &self.server {
                    Server::Here { .. } => "by its Unix user (`peer` in pg_hba.conf)",
                    Server::Elsewhere(_) => "with the password of postgresql.remote.password_file",
                }
            )
        };
        let authority = self.server.authority();
        authority.map_or(Ok(()), Authority::check)?;
        let connected = connect_as(&self.options()?.database(HOME)).await;
        connected.map_err(|error| match authority.and_then(|it| it.problem(&error)) {
            Some(problem) => anyhow::anyhow!(problem),
            None => anyhow::Error::from(error).context(hint()),
        })
    }

    /// The way of the worker's account.
    fn options(&self) -> anyhow::Result<PgConnectOptions> {
        let options = self.server.options().username(&self.user);
        Ok(match self.server.password()? {
            Some(password) => options.password(password.expose()),
            None => options,
        })
    }

    /// The group that all roles of this account's sites are in.
    fn group(&self) -> String {
        format!("{}_sites", self.user)
    }

    /// With what to do where an administrator has something to do.
    fn explained(&self, error: sqlx::Error) -> anyhow::Error {
        let is_missing = code_of(&error).is_some_and(|code| NO_FUNCTIONS.contains(&&*code));
        let error = anyhow::Error::from(error);
        match is_missing {
            true => error.context(format!(
                "the functions for {} are not in the database {HOME}, or older than this release: {}",
                self.user,
                self.remedy()
            )),
            false => error,
        }
    }
}

/// Connects, and begins the session.
async fn connect_as(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let connected = async {
        let mut connection = PgConnection::connect_with(options).await?;
        sqlx::raw_sql(BEGINNING).execute(&mut connection).await?;
        Ok::<_, sqlx::Error>(connection)
    };
    match tokio::time::timeout(CONNECTING, connected).await {
        Ok(connected) => connected,
        Err(_) => Err(sqlx::Error::Protocol("it does not answer".to_owned())),
    }
}

/// One statement, in no transaction of its own making: some cannot be in one.
async fn execute(connection: &mut PgConnection, statement: String) -> Result<(), sqlx::Error> {
    let run = sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection);
    run.await.map(drop)
}

async fn comment_of(
    connection: &mut PgConnection,
    name: &DatabaseName,
) -> anyhow::Result<Option<String>> {
    Ok(sqlx::query_scalar(
        "SELECT coalesce(
                    shobj_description(d.oid, 'pg_database'),
                    CASE WHEN r.rolname = d.datname THEN shobj_description(r.oid, 'pg_authid') END,
                    '')
           FROM pg_database d LEFT JOIN pg_roles r ON r.oid = d.datdba
          WHERE d.datname = $1",
    )
    .bind(name.as_str())
    .fetch_optional(connection)
    .await?)
}

async fn has_user(connection: &mut PgConnection, name: &DatabaseName) -> anyhow::Result<bool> {
    Ok(
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
            .bind(name.as_str())
            .fetch_one(connection)
            .await?,
    )
}

/// The SQLSTATE of what the server refuses.
fn code_of(error: &sqlx::Error) -> Option<String> {
    let code = error.as_database_error()?.code()?;
    Some(code.into_owned())
}

#[cfg(test)]
mod tests;
