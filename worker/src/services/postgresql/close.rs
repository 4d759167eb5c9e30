//! A database that its site cannot get at: its role is kept out, and what it has open is ended. So nothing is written after
//! the moment at which a copy is made, and lost with the original. The copy is made by the worker's account, which is let in
//! still.

use anyhow::Context as _;
use kolga_protocol::names::DatabaseName;

use super::Postgresql;

/// How long one connection may take to end, in milliseconds.
const ENDING: i64 = 10_000;

impl Postgresql {
    /// Whether the role of this name is kept out.
    ///
    /// # Errors
    /// When there is no such role, or the server cannot be asked.
    pub async fn is_locked(&self, name: &DatabaseName) -> anyhow::Result<bool> {
        let mut connection = self.connect().await?;
        sqlx::query_scalar("SELECT NOT rolcanlogin FROM pg_roles WHERE rolname = $1")
            .bind(name.as_str())
            .fetch_optional(&mut connection)
            .await?
            .with_context(|| format!("there is no database user {name}"))
    }

    /// Keeps a role out, and ends what connections it has; how many there were.
    ///
    /// # Errors
    /// When there is no such role of ours, or the server does not do it.
    pub async fn close_to_user(&self, name: &DatabaseName) -> anyhow::Result<usize> {
        self.lock_user(name, true).await?;
        anyhow::ensure!(
            self.is_locked(name).await?,
            "the database user {name} is let in still"
        );
        let mut connection = self.connect().await?;
        let mut ended = 0;
        // Until there is none: one may have been on its way in.
        loop {
            let gone: Vec<bool> = sqlx::query_scalar(
                "SELECT pg_terminate_backend(pid, $2) FROM pg_stat_activity WHERE usename = $1",
            )
            .bind(name.as_str())
            .bind(ENDING)
            .fetch_all(&mut connection)
            .await
            .with_context(|| format!("cannot end the connections of {name}"))?;
            if gone.is_empty() {
                return Ok(ended);
            }
            ended += gone.len();
            anyhow::ensure!(
                gone.iter().all(|gone| *gone),
                "a connection of {name} does not end: see pg_stat_activity"
            );
        }
    }
}
