//! A database that its site cannot get at: its user is kept out, and what it has open is ended. So nothing is written after
//! the moment at which a copy is made, and lost with the original.
//!
//! Whose connections they are can only be seen, and only be ended, by the user itself: so that is asked in first.

use anyhow::Context as _;
use kolga_protocol::names::DatabaseName;
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection as _};

use super::{Mariadb, execute, number};
use crate::secrets::Secret;

/// `ER_NO_SUCH_THREAD`: it has ended by itself.
const NO_THREAD: u16 = 1094;

impl Mariadb {
    /// Whether the user of this name is kept out.
    ///
    /// # Errors
    /// When there is no such user, or the server cannot be asked.
    pub async fn is_locked(&self, name: &DatabaseName) -> anyhow::Result<bool> {
        let mut connection = self.connect().await?;
        let asked = format!("SHOW CREATE USER {}", self.account(name));
        let told: String = sqlx::query_scalar(AssertSqlSafe(asked))
            .fetch_one(&mut connection)
            .await
            .with_context(|| format!("cannot ask whether the database user {name} is let in"))?;
        Ok(told.contains(" ACCOUNT LOCK"))
    }

    /// Keeps a user out, and ends what connections it has; how many there were.
    ///
    /// # Errors
    /// When the user is not let in with this password before, or the server does not do it.
    pub async fn close_to_user(
        &self,
        name: &DatabaseName,
        password: &Secret,
    ) -> anyhow::Result<usize> {
        let options = self.server.options();
        let options = options.username(name.as_str()).password(password.expose());
        let mut own = MySqlConnection::connect_with(&options)
            .await
            .with_context(|| {
                format!("the database user {name} is not let in: verify the site first")
            })?;
        self.lock_user(name, true).await?;
        let others: Vec<i64> = sqlx::query_scalar(
            "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = ? AND ID <> CONNECTION_ID()",
        )
        .bind(name.as_str())
        .fetch_all(&mut own)
        .await?;
        for id in &others {
            match execute(&mut own, format!("KILL CONNECTION {id}")).await {
                Err(error) if number(&error) == Some(NO_THREAD) => {}
                other => other.context("cannot end a connection of the site's")?,
            }
        }
        own.close().await?;
        Ok(others.len())
    }
}
