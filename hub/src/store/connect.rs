//! Opens the database: which of the two it is, how its connections are set, and its tables brought up to
//! date.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Connection, Executor, SqlSafeStr};

/// Connections that read at once, at most.
const READERS: u32 = 4;
/// So long after it was used, a connection of PostgreSQL is asked whether it is still there.
const FRESH: Duration = Duration::from_secs(1);

/// Every change of the tables, in order. What has been released never changes.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (
        1,
        "initial",
        include_str!("../../migrations/0001_initial.sql"),
    ),
    (
        2,
        "faces and locks",
        include_str!("../../migrations/0002_faces_and_locks.sql"),
    ),
    (
        3,
        "verified",
        include_str!("../../migrations/0003_verified.sql"),
    ),
    (
        4,
        "operations",
        include_str!("../../migrations/0004_operations.sql"),
    ),
    (
        5,
        "stages",
        include_str!("../../migrations/0005_stages.sql"),
    ),
    (
        8,
        "platforms of operations",
        include_str!("../../migrations/0008_platforms_of_operations.sql"),
    ),
    (9, "names", include_str!("../../migrations/0009_names.sql")),
];

/// Which database there is.
#[derive(Clone, Debug)]
pub(super) struct Database {
    url: String,
    pub(super) is_sqlite: bool,
}

impl Database {
    pub(super) fn new(url: &str) -> anyhow::Result<Self> {
        sqlx::any::install_default_drivers();
        let is_sqlite = url.starts_with("sqlite:");
        let mut url = url.to_owned();
        if is_sqlite && !url.contains('?') {
            url.push_str("?mode=rwc");
        }
        Ok(Self { url, is_sqlite })
    }

    fn options(&self) -> anyhow::Result<AnyConnectOptions> {
        AnyConnectOptions::from_str(&self.url)
            .context("store.url is not an address of SQLite or PostgreSQL")
    }

    /// Makes SQLite's file before SQLite does, so that nobody else may read it. Its companions get its
    /// mode.
    fn make_file(&self) -> anyhow::Result<()> {
        let Some(path) = self.url.strip_prefix("sqlite:") else {
            return Ok(());
        };
        let path = path.split('?').next().unwrap_or(path);
        let path = path.strip_prefix("//").unwrap_or(path);
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
        {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error).with_context(|| {
                format!(
                    "cannot make the database {path}: does its folder exist, and may this user write there?"
                )
            }),
        }
    }

    /// The one connection that writes.
    pub(super) async fn writer(&self) -> anyhow::Result<AnyConnection> {
        if self.is_sqlite {
            self.make_file()?;
        }
        let mut connection = AnyConnection::connect_with(&self.options()?)
            .await
            .with_context(|| {
                if self.is_sqlite {
                    format!(
                        "cannot open the database {}: does its folder exist, and may this user write there?",
                        self.url
                    )
                } else {
                    "cannot connect to PostgreSQL: check store.url and whether the server runs".to_owned()
                }
            })?;
        let settings: &[&'static str] = if self.is_sqlite {
            &[
                "PRAGMA journal_mode = WAL",
                "PRAGMA synchronous = FULL",
                "PRAGMA busy_timeout = 10000",
                "PRAGMA foreign_keys = ON",
                "PRAGMA cache_size = -16384",
                "PRAGMA temp_store = MEMORY",
            ]
        } else {
            // The writer reaches every row by its key. A planner whose statistics lag behind a burst of new
            // rows would rather read whole tables.
            &[
                "SET enable_seqscan = off",
                "SET enable_hashjoin = off",
                "SET enable_mergejoin = off",
            ]
        };
        for setting in settings {
            connection.execute(*setting).await?;
        }
        Ok(connection)
    }

    /// The connections that read.
    pub(super) async fn readers(&self) -> anyhow::Result<AnyPool> {
        let is_sqlite = self.is_sqlite;
        AnyPoolOptions::new()
            .max_connections(READERS)
            .min_connections(1)
            .test_before_acquire(false)
            .before_acquire(move |connection, since| {
                Box::pin(async move {
                    // One that was of use a moment ago needs no question of its own.
                    if !is_sqlite && since.idle_for > FRESH {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if is_sqlite {
                        connection.execute("PRAGMA busy_timeout = 10000").await?;
                        connection.execute("PRAGMA query_only = ON").await?;
                    }
                    Ok(())
                })
            })
            .connect_with(self.options()?)
            .await
            .context("cannot open the database for reading")
    }
}

/// Brings the tables up to date.
pub(super) async fn migrate(
    database: &Database,
    connection: &mut AnyConnection,
) -> anyhow::Result<()> {
    let migrations = MIGRATIONS
        .iter()
        .map(|&(version, name, sql)| {
            // PostgreSQL knows no such tables, and needs none.
            let sql = if database.is_sqlite {
                sql.replace("/* WITHOUT ROWID */", "WITHOUT ROWID")
            } else {
                sql.to_owned()
            };
            Migration::new(
                version,
                name.into(),
                MigrationType::Simple,
                AssertSqlSafe(sql).into_sql_str(),
                false,
            )
        })
        .collect();
    Migrator::with_migrations(migrations)
        .run(connection)
        .await
        .context(
            "the database's tables cannot be brought up to date; was it used by a later release?",
        )
}

/// What the database is, for a person.
pub(super) async fn describe(
    database: &Database,
    connection: &mut AnyConnection,
) -> anyhow::Result<String> {
    Ok(if database.is_sqlite {
        let version: String = sqlx::query_scalar("SELECT sqlite_version()")
            .fetch_one(connection)
            .await?;
        format!("SQLite {version}, WAL, synchronous=FULL")
    } else {
        let version: String = sqlx::query_scalar("SELECT current_setting('server_version')")
            .fetch_one(connection)
            .await?;
        format!("PostgreSQL {version}")
    })
}
