//! Servers, and how much there is of everything.

use kolga_protocol::id::UnixMillis;
use kolga_protocol::names::ServerName;
use kolga_protocol::state::State;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{from_json, parse};
use crate::selector::Labels;
use crate::store::{Store, StoreError};
use crate::wire::WorkerStatus;

/// A server as the store knows it; what it does right now is in memory only.
#[derive(Clone, Debug)]
pub struct StoredServer {
    /// Its name.
    pub name: ServerName,
    /// When it was added.
    pub created_at: UnixMillis,
    /// When it was last heard, give or take a while.
    pub seen_at: Option<UnixMillis>,
    /// What its worker said then.
    pub worker: Option<WorkerStatus>,
    /// Tasks that are not finished.
    pub open_tasks: u64,
    /// What it is marked with.
    pub labels: Labels,
}

/// What waits to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages that the broker has not confirmed.
    pub outbox: u64,
    /// Those among them that the broker does not take.
    pub blocked: u64,
}

const COLUMNS: &str = "SELECT s.name, s.created_at, s.seen_at, s.worker, s.labels,
    (SELECT count(*) FROM task t WHERE t.server = s.name AND t.finished_at IS NULL) AS open_tasks
    FROM server s";

impl Store {
    /// Those after one, by name.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn servers(
        &self,
        after: Option<&ServerName>,
        limit: u32,
    ) -> Result<Vec<StoredServer>, StoreError> {
        let sql = format!("{COLUMNS} WHERE s.name > $1 ORDER BY s.name LIMIT $2");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(after.map_or("", |name| name.as_str()).to_owned())
            .bind(i64::from(limit))
            .fetch_all(&self.reads)
            .await?;
        rows.iter().map(server).collect()
    }

    /// One of them.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn server(&self, name: &ServerName) -> Result<Option<StoredServer>, StoreError> {
        let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE s.name = $1"));
        let row = sqlx::query(sql)
            .bind(name.as_str())
            .fetch_optional(&self.reads)
            .await?;
        row.as_ref().map(server).transpose()
    }

    /// Their names alone.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn server_names(&self) -> Result<Vec<ServerName>, StoreError> {
        let names: Vec<String> = sqlx::query_scalar("SELECT name FROM server ORDER BY name")
            .fetch_all(&self.reads)
            .await?;
        names.iter().map(|name| parse("a server", name)).collect()
    }

    /// Their names, and when each was heard last, give or take a while.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn seen(&self) -> Result<Vec<(ServerName, Option<UnixMillis>)>, StoreError> {
        let rows = sqlx::query("SELECT name, seen_at FROM server")
            .fetch_all(&self.reads)
            .await?;
        rows.iter()
            .map(|row| {
                let name: String = row.try_get("name")?;
                let seen_at: Option<i64> = row.try_get("seen_at")?;
                Ok((parse("a server", &name)?, seen_at.map(UnixMillis)))
            })
            .collect()
    }

    /// The servers whose queues do not take what there is for them, with the reason.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn blocked_servers(&self) -> Result<Vec<(ServerName, String)>, StoreError> {
        let rows = sqlx::query(
            "SELECT server, min(blocked) AS reason FROM outbox WHERE blocked IS NOT NULL
              GROUP BY server ORDER BY server",
        )
        .fetch_all(&self.reads)
        .await?;
        rows.iter()
            .map(|row| {
                let name: String = row.try_get("server")?;
                Ok((parse("a server", &name)?, row.try_get("reason")?))
            })
            .collect()
    }

    /// How many tasks are not finished, by state.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn open_by_state(&self) -> Result<Vec<(State, u64)>, StoreError> {
        let rows = sqlx::query(
            "SELECT state, count(*) AS tasks FROM task WHERE finished_at IS NULL GROUP BY state",
        )
        .fetch_all(&self.reads)
        .await?;
        let mut counts = Vec::new();
        // An interrupted one waits for its next attempt.
        let open = |state: &State| !state.is_terminal() || *state == State::Interrupted;
        for state in State::ALL.into_iter().filter(open) {
            let mut count = 0;
            for row in &rows {
                if row.try_get::<String, _>("state")? == state.as_str() {
                    count = row.try_get::<i64, _>("tasks")?.unsigned_abs();
                }
            }
            counts.push((state, count));
        }
        Ok(counts)
    }

    /// What waits to be sent.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn totals(&self) -> Result<Totals, StoreError> {
        let count = |sql: &'static str| async move {
            let count: i64 = sqlx::query_scalar(sql).fetch_one(&self.reads).await?;
            Ok::<_, StoreError>(count.unsigned_abs())
        };
        Ok(Totals {
            outbox: count("SELECT count(*) FROM outbox").await?,
            blocked: count("SELECT count(*) FROM outbox WHERE blocked IS NOT NULL").await?,
        })
    }
}

fn server(row: &AnyRow) -> Result<StoredServer, StoreError> {
    let name: String = row.try_get("name")?;
    let worker: Option<String> = row.try_get("worker")?;
    Ok(StoredServer {
        name: parse("a server", &name)?,
        created_at: UnixMillis(row.try_get("created_at")?),
        seen_at: row.try_get::<Option<i64>, _>("seen_at")?.map(UnixMillis),
        worker: worker
            .map(|text| from_json("a worker's status", &text))
            .transpose()?,
        open_tasks: row.try_get::<i64, _>("open_tasks")?.unsigned_abs(),
        labels: from_json("labels", &row.try_get::<String, _>("labels")?)?,
    })
}
