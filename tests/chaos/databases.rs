//! The databases of the system under test, from outside: locked, looked into.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, PgConnection, SqliteConnection};
use tokio::time::{Instant, sleep};

use crate::patience::patient;
use crate::system::{Disk, System};

/// Another connection that holds the hub's database.
pub enum Lock {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Lock {
    /// Takes it: nobody else can write until it is released.
    pub async fn take(system: &System) -> anyhow::Result<Self> {
        match &system.postgres {
            None => {
                let path = system.disk(Disk::Hub).join("kolga.sqlite");
                let options = SqliteConnectOptions::new()
                    .filename(path)
                    .busy_timeout(Duration::from_secs(20));
                let mut connection = options.connect().await?;
                connection.execute("BEGIN IMMEDIATE").await?;
                Ok(Self::Sqlite(connection))
            }
            Some(url) => {
                let mut connection = PgConnection::connect(url).await?;
                connection.execute("BEGIN").await?;
                let lock = "LOCK TABLE task, attempt, outbox IN ACCESS EXCLUSIVE MODE";
                connection.execute(lock).await?;
                Ok(Self::Postgres(connection))
            }
        }
    }

    pub async fn release(self) -> anyhow::Result<()> {
        match self {
            Self::Sqlite(mut connection) => {
                connection.execute("ROLLBACK").await?;
                connection.close().await?;
            }
            Self::Postgres(mut connection) => {
                connection.execute("ROLLBACK").await?;
                connection.close().await?;
            }
        }
        Ok(())
    }
}

async fn mariadb(system: &System) -> anyhow::Result<MySqlConnection> {
    Ok(MySqlConnectOptions::new()
        .socket(system.stack.text("/mariadb_socket"))
        .username("root")
        .connect()
        .await?)
}

/// Waits until MariaDB answers.
pub async fn mariadb_answers(system: &System) -> anyhow::Result<()> {
    let (began, patience) = (Instant::now(), patient(Duration::from_secs(60)));
    while let Err(error) = mariadb(system).await {
        ensure!(began.elapsed() < patience, "{error:#}");
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// The databases of sites.
pub async fn of_sites(system: &System) -> anyhow::Result<Vec<String>> {
    let mut server = mariadb(system).await?;
    let names = sqlx::query_scalar::<_, String>(
        "SELECT CAST(schema_name AS CHAR) FROM information_schema.schemata WHERE schema_name LIKE 'k\\_%'",
    )
    .fetch_all(&mut server)
    .await?;
    Ok(names)
}

/// The database users of sites.
pub async fn users_of_sites(system: &System) -> anyhow::Result<Vec<String>> {
    let mut server = mariadb(system).await?;
    let names = sqlx::query_scalar::<_, String>(
        "SELECT DISTINCT CAST(user AS CHAR) FROM mysql.user WHERE user LIKE 'k\\_%'",
    )
    .fetch_all(&mut server)
    .await?;
    Ok(names)
}

/// What a worker's journal holds: task, attempt, state.
pub async fn journal(system: &System, server: &str) -> anyhow::Result<Vec<(String, u64, String)>> {
    let path = system.place(server, "state_dir").join("journal.sqlite");
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut connection = options.connect().await?;
    let rows: Vec<(Vec<u8>, i64, String)> = sqlx::query_as("SELECT task, attempt, state FROM task")
        .fetch_all(&mut connection)
        .await?;
    rows.into_iter()
        .map(|(task, attempt, state)| {
            let task = uuid::Uuid::from_slice(&task).context("a task's id")?;
            Ok((task.to_string(), attempt.unsigned_abs(), state))
        })
        .collect()
}
