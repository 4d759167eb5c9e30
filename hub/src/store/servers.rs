//! Servers: adding one, removing one, and what their heartbeats leave behind.

use kolga_protocol::id::UnixMillis;
use kolga_protocol::names::ServerName;
use sqlx::{AnyConnection, Row};

use super::tx::{Operation, Outcome, Refusal, Tx, plain};

/// A new server.
#[derive(Clone, Debug)]
pub struct AddServer {
    /// Its name.
    pub name: ServerName,
    /// Who adds it.
    pub requested_by: String,
}

impl Operation for AddServer {
    type Answer = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<()>, sqlx::Error> {
        if known(tx, &self.name).await?.is_ok() {
            return Ok(Err(Refusal::conflict(
                "server_exists",
                format!("there is a server {} already", self.name),
                format!("see `kolga server show {}`", self.name),
            )));
        }
        sqlx::query("INSERT INTO server (name, created_at) VALUES ($1, $2)")
            .bind(self.name.as_str())
            .bind(tx.now.0)
            .execute(&mut *tx.connection)
            .await?;
        tx.audit(&self.requested_by, "server.add", self.name.as_str(), "")
            .await?;
        Ok(Ok(()))
    }
}

/// A server on which nothing lives any more. Its ended tasks stay in the list of tasks.
#[derive(Clone, Debug)]
pub struct RemoveServer {
    /// Its name.
    pub name: ServerName,
    /// Who removes it.
    pub requested_by: String,
}

/// What keeps a server, and how much of it there is.
const KEPT_BY: [(&str, &str); 4] = [
    (
        "sites",
        "SELECT count(*) FROM site WHERE server = $1 AND condition <> 'failed'",
    ),
    (
        "platforms",
        "SELECT count(*) FROM platform WHERE server = $1 AND condition <> 'failed'",
    ),
    (
        "open tasks",
        "SELECT count(*) FROM task WHERE server = $1 AND finished_at IS NULL",
    ),
    (
        "messages to be sent",
        "SELECT count(*) FROM outbox WHERE server = $1",
    ),
];

impl Operation for RemoveServer {
    type Answer = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<()>, sqlx::Error> {
        if let Err(refusal) = known(tx, &self.name).await? {
            return Ok(Err(refusal));
        }
        let mut kept_by = Vec::new();
        for (what, sql) in KEPT_BY {
            let count: i64 = sqlx::query_scalar(sql)
                .bind(self.name.as_str())
                .fetch_one(&mut *tx.connection)
                .await?;
            if count > 0 {
                kept_by.push(format!("{count} {what}"));
            }
        }
        if !kept_by.is_empty() {
            return Ok(Err(Refusal::conflict(
                "server_in_use",
                format!("server {} has {}", self.name, kept_by.join(", ")),
                format!(
                    "delete its sites and platforms, and see `kolga task list --server {}`",
                    self.name
                ),
            )));
        }
        // What failed was never there: only its row is.
        for sql in [
            "DELETE FROM site WHERE server = $1",
            "DELETE FROM platform WHERE server = $1",
            "DELETE FROM server WHERE name = $1",
        ] {
            sqlx::query(sql)
                .bind(self.name.as_str())
                .execute(&mut *tx.connection)
                .await?;
        }
        tx.audit(&self.requested_by, "server.remove", self.name.as_str(), "")
            .await?;
        Ok(Ok(()))
    }
}

/// Refuses what names a server that is not there.
pub(super) async fn known(
    tx: &mut Tx<'_>,
    server: &ServerName,
) -> Result<Outcome<()>, sqlx::Error> {
    is_known(tx.connection, server).await
}

/// The same, over any connection.
pub(super) async fn is_known(
    connection: &mut AnyConnection,
    server: &ServerName,
) -> Result<Outcome<()>, sqlx::Error> {
    let found: Option<i64> = sqlx::query_scalar("SELECT created_at FROM server WHERE name = $1")
        .bind(server.as_str())
        .fetch_optional(connection)
        .await?;
    Ok(found.map(drop).ok_or_else(|| unknown(server)))
}

/// There is no such server.
pub(crate) fn unknown(server: &ServerName) -> Refusal {
    Refusal::not_found(
        "server_unknown",
        format!("there is no server {server}"),
        format!("add it with `kolga server add {server}`, or see `kolga server list`"),
    )
}

/// What a heartbeat leaves: written now and then, not for each.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Who was heard.
    pub server: ServerName,
    /// When, by the hub's clock.
    pub at: UnixMillis,
    /// The worker's journal.
    pub journal: String,
    /// What it said of itself, as JSON.
    pub worker: String,
}

/// What is known of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Journal {
    /// The same as before, or the first.
    Same,
    /// Another than before: the machine was rebuilt, or its journal is lost.
    Changed,
    /// No such server.
    UnknownServer,
}

impl Operation for Heard {
    type Answer = Journal;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<Journal>, sqlx::Error> {
        let Some(row) = sqlx::query("SELECT journal FROM server WHERE name = $1")
            .bind(self.server.as_str())
            .fetch_optional(&mut *tx.connection)
            .await?
        else {
            return Ok(Ok(Journal::UnknownServer));
        };
        let before: Option<String> = row.try_get("journal")?;
        sqlx::query("UPDATE server SET seen_at = $2, journal = $3, worker = $4 WHERE name = $1")
            .bind(self.server.as_str())
            .bind(self.at.0)
            .bind(plain(&self.journal))
            .bind(plain(&self.worker))
            .execute(&mut *tx.connection)
            .await?;
        if before.is_none_or(|before| before == self.journal) {
            return Ok(Ok(Journal::Same));
        }
        // Everything that the old journal held is now in doubt: ask about it at once.
        sqlx::query(
            "UPDATE attempt SET check_at = $2 WHERE check_at IS NOT NULL
                AND task IN (SELECT id FROM task WHERE server = $1 AND finished_at IS NULL)",
        )
        .bind(self.server.as_str())
        .bind(tx.now.0)
        .execute(&mut *tx.connection)
        .await?;
        tx.audit(
            self.server.as_str(),
            "server.new_journal",
            self.server.as_str(),
            &self.journal,
        )
        .await?;
        tx.effects.due = true;
        Ok(Ok(Journal::Changed))
    }
}
