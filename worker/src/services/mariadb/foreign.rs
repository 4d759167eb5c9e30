//! A database that is not of Kolga's making, looked into and dumped with its own account: what that one may not read is not
//! read, and nothing is written. The account's password goes through a file that only the worker may read, or over the
//! server's socket, and is in no argv, log or record.
//!
//! Handed work by [`crate::import`] and step `dump_source`.

use anyhow::Context as _;
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection as _};

use super::server::Server;
use super::{Mariadb, number};
use crate::cx::Cx;
use crate::files::Dir;
use crate::services::database::{Account, Dumped, Inside, Spot, told};

/// `ER_ACCESS_DENIED_ERROR` and `ER_DBACCESS_DENIED_ERROR`
const DENIED: [u16; 2] = [1045, 1044];
/// `ER_BAD_DB_ERROR`
const NO_DATABASE: u16 = 1049;

impl Mariadb {
    /// Whether this host, as applications write it, is this server.
    ///
    /// # Errors
    /// When it is not, in a sentence.
    pub async fn is_meant_by(&self, host: &str) -> anyhow::Result<()> {
        let (name, rest) = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
            Some((name, rest)) => (name, rest.strip_prefix(':').unwrap_or(rest)),
            None if host == "::1" => (host, ""),
            None => host.split_once(':').unwrap_or((host, "")),
        };
        let elsewhere = || format!("its database is on {host:?}, and not on this spoke's MariaDB");
        let socket = match &self.server {
            Server::Here(socket) => socket,
            Server::Elsewhere(remote) => {
                let address = remote.address;
                let port = if rest.is_empty() { "3306" } else { rest };
                let same = name.parse() == Ok(address.ip()) && port == address.port().to_string();
                anyhow::ensure!(same, elsewhere());
                return Ok(());
            }
        };
        let here = ["", "localhost", "127.0.0.1", "::1"];
        anyhow::ensure!(here.contains(&name), elsewhere());
        if rest.starts_with('/') {
            let same = |path: &std::path::Path| path.canonicalize().unwrap_or(path.to_owned());
            anyhow::ensure!(same(rest.as_ref()) == same(socket), elsewhere());
        } else if !rest.is_empty() {
            let mut connection = self.connect().await?;
            let port: i64 = sqlx::query_scalar("SELECT CAST(@@port AS SIGNED)")
                .fetch_one(&mut connection)
                .await?;
            anyhow::ensure!(rest == port.to_string(), elsewhere());
        }
        Ok(())
    }

    /// What is in the account's database.
    ///
    /// # Errors
    /// When it is not let in.
    pub async fn look_into(&self, account: &Account) -> anyhow::Result<Inside> {
        let mut connection = self.connect_as(account).await?;
        let rows: Vec<(String, Option<i64>)> = sqlx::query_as(
            "SELECT CONVERT(TABLE_NAME USING utf8mb4), CAST(DATA_LENGTH + INDEX_LENGTH AS SIGNED)
               FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? ORDER BY TABLE_NAME",
        )
        .bind(&account.database)
        .fetch_all(&mut connection)
        .await?;
        let bytes = rows.iter().filter_map(|(_, bytes)| *bytes);
        Ok(Inside {
            bytes: bytes.filter_map(|bytes| u64::try_from(bytes).ok()).sum(),
            tables: rows.into_iter().map(|(name, _)| name).collect(),
            ..Inside::default()
        })
    }

    /// The text at one spot of the account's database; `None` when there is no such row.
    ///
    /// # Errors
    /// When it is not let in, or there is no such table.
    pub async fn text_at(
        &self,
        account: &Account,
        spot: Spot<'_>,
    ) -> anyhow::Result<Option<String>> {
        let mut connection = self.connect_as(account).await?;
        let column = |name: &str| format!("`{}`", name.replace('`', "``"));
        let statement = format!(
            "SELECT CONVERT({} USING utf8mb4) FROM {} WHERE {} = ? LIMIT 1",
            column(spot.value),
            column(spot.table),
            column(spot.key)
        );
        let found: Option<Option<String>> = sqlx::query_scalar(AssertSqlSafe(statement))
            .bind(spot.is)
            .fetch_optional(&mut connection)
            .await?;
        Ok(found.flatten())
    }

    /// Dumps the account's database as the account, as [`Mariadb::dump`] does a site's.
    ///
    /// # Errors
    /// When there is a file already, or the program fails or is stopped.
    pub async fn dump_as(
        &self,
        cx: &Cx,
        account: &Account,
        folder: &Dir,
        file: &str,
    ) -> anyhow::Result<Dumped> {
        let (user, password) = (&account.user, Some(&account.password));
        self.dump_as_user(cx, user, password, (&account.database, &[]), folder, file)
            .await
    }

    async fn connect_as(&self, account: &Account) -> anyhow::Result<MySqlConnection> {
        let options = self.server.options();
        let options = options
            .username(&account.user)
            .password(account.password.expose())
            .database(&account.database);
        let (user, database) = (&account.user, &account.database);
        let connected = MySqlConnection::connect_with(&options);
        match tokio::time::timeout(std::time::Duration::from_secs(10), connected).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => match number(&error) {
                Some(code) if DENIED.contains(&code) => anyhow::bail!(
                    "MariaDB does not let its user {user:?} in from this machine, or not to the database {database}"
                ),
                Some(NO_DATABASE) => anyhow::bail!("there is no database {database}"),
                _ => Err(told(self.server.authority(), error))
                    .context("MariaDB does not answer as it should"),
            },
            Err(_) => anyhow::bail!("MariaDB does not answer"),
        }
    }
}
