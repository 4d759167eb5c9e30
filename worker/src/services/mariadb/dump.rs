//! A database as a file of the worker's own, and back.
//!
//! Dumping is done as the worker's account.
//! Importing is done as the database's own user: what a dump says was written by a tenant, and no trigger or
//! routine of it may come to run with the worker's rights over other databases. Where there is a password, it goes
//! through a file that only the worker may read, and the client does nothing but send statements
//! (`--binary-mode`, `--sandbox`), so that no row can call a command of the client's.
//!
//! Tasks that back up, restore, clone and migrate hand work here.

use anyhow::Context as _;
use kolga_protocol::fault;
use kolga_protocol::names::DatabaseName;

use super::Mariadb;
use super::definer::WithoutDefiners;
use crate::cx::Cx;
use crate::files::Dir;
use crate::process::Command;
use crate::profile::Tables;
use crate::secrets::Secret;
use crate::services::database::{Dumped, Measured, longest, room_for_dump};

const DUMP: &str = "/usr/bin/mariadb-dump";
const CLIENT: &str = "/usr/bin/mariadb";
/// More tables without rows than any application has; the rows of more come along.
const MOST_TABLES: usize = 1000;

impl Mariadb {
    /// How many bytes the tables of this database take up on the server, indexes included: what a dump of it may
    /// come to, and what the same database takes beside it.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn size_of(&self, name: &DatabaseName) -> anyhow::Result<u64> {
        let mut connection = self.connect().await?;
        let size: Option<i64> = sqlx::query_scalar(
            "SELECT CAST(SUM(DATA_LENGTH + INDEX_LENGTH) AS SIGNED) FROM information_schema.TABLES
              WHERE TABLE_SCHEMA = ?",
        )
        .bind(name.as_str())
        .fetch_one(&mut connection)
        .await?;
        Ok(u64::try_from(size.unwrap_or(0)).unwrap_or(0))
    }

    /// Dumps a database into a new file of a folder of the worker's own: tables, views, triggers, routines and
    /// events, as they are at one moment, without definers, and without the rows of some tables. On an error the file may be there, half written.
    ///
    /// # Errors
    /// When there is too little room, there is a file already, or the program fails or is stopped.
    pub async fn dump(
        &self,
        cx: &Cx,
        name: &DatabaseName,
        without: &[Tables],
        folder: &Dir,
        file: &str,
    ) -> anyhow::Result<Dumped> {
        room_for_dump(name, self.size_of(name).await?, folder)?;
        let without = self.tables(name, without).await?;
        self.dump_as_user(
            cx,
            &self.user,
            self.server.password()?.as_ref(),
            (name.as_str(), &without),
            folder,
            file,
        )
        .await
    }

    /// Those of its tables that these are, as many as may stand in a command.
    async fn tables(&self, name: &DatabaseName, these: &[Tables]) -> anyhow::Result<Vec<String>> {
        if these.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = self.connect().await?;
        let all: Vec<String> = sqlx::query_scalar(
            "SELECT TABLE_NAME FROM information_schema.TABLES
              WHERE TABLE_SCHEMA = ? AND TABLE_TYPE = 'BASE TABLE' ORDER BY TABLE_NAME",
        )
        .bind(name.as_str())
        .fetch_all(&mut connection)
        .await?;
        let held = |table: &String| these.iter().any(|these| these.hold(table));
        Ok(all.into_iter().filter(held).take(MOST_TABLES).collect())
    }

    /// The same, of any database that this user may read.
    pub(super) async fn dump_as_user(
        &self,
        cx: &Cx,
        user: &str,
        password: Option<&Secret>,
        (database, without): (&str, &[String]),
        folder: &Dir,
        file: &str,
    ) -> anyhow::Result<Dumped> {
        let without = without.iter();
        let without = without.map(|table| format!("--ignore-table-data={database}.{table}"));
        let into = folder.create_file(file)?;
        let account = format!("{file}.cnf");
        let text = self.server.program_file(user, password);
        folder.write_atomically(&account, text.as_bytes(), 0o600)?;
        fault::point("mariadb:dump");
        let done = Command::new(DUMP)
            .arg(defaults(folder, &account))
            .args(["--single-transaction", "--quick", "--hex-blob"])
            .args(["--routines", "--triggers", "--events"])
            // The same rows make the same bytes, so that a backup finds again what it has.
            .args(["--skip-dump-date", "--default-character-set=utf8mb4"])
            .args(without)
            .arg(database)
            .time_limit(longest(cx))
            .pipe(cx, move |pieces| {
                let mut without = WithoutDefiners::new(Measured::file(into));
                for piece in pieces {
                    without.take(&piece)?;
                }
                Ok(without.finish()?.durable()?)
            })
            .await
            .with_context(|| format!("cannot dump the database {database}"));
        folder.remove_file(&account)?;
        done
    }

    /// Imports a dump of a folder of the worker's own into an empty database, as the user of the same name.
    ///
    /// # Errors
    /// When something is in the database, or the program fails or is stopped.
    pub async fn import(
        &self,
        cx: &Cx,
        name: &DatabaseName,
        password: &Secret,
        folder: &Dir,
        file: &str,
    ) -> anyhow::Result<()> {
        let mut connection = self.connect().await?;
        let tables: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?",
        )
        .bind(name.as_str())
        .fetch_one(&mut connection)
        .await?;
        drop(connection);
        anyhow::ensure!(tables == 0, "the database {name} is not empty");
        let dump = folder.open_file(file)?;
        let account = format!("{file}.cnf");
        let text = self.server.program_file(name.as_str(), Some(password));
        folder.write_atomically(&account, text.as_bytes(), 0o600)?;
        fault::point("mariadb:import");
        let done = Command::new(CLIENT)
            .arg(defaults(folder, &account))
            .args([
                "--batch",
                "--binary-mode",
                "--loose-sandbox",
                "--local-infile=0",
            ])
            .args(["--default-character-set=utf8mb4", "--max-allowed-packet=1G"])
            .arg(format!("--database={name}"))
            .stdin_file(dump)
            .time_limit(longest(cx))
            .run(cx)
            .await
            .with_context(|| format!("cannot import into the database {name}"));
        folder.remove_file(&account)?;
        done
    }
}

/// Has a program read this file and no other.
fn defaults(folder: &Dir, account: &str) -> String {
    format!("--defaults-file={}", folder.path().join(account).display())
}
