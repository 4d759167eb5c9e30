//! Whether an account is a site's to be mended, and who else gets at its database.
//!
//! The server cannot note of a user whose it is. So one that has another password is only given the site's where it has no
//! rights elsewhere, which would be the site's then; and where there is a way back.

use kolga_protocol::names::DatabaseName;
use sqlx::AssertSqlSafe;
use sqlx::mysql::MySqlConnection;

use super::account::standing;
use super::quote::pattern;
use super::rights::read_rights;
use super::{Mariadb, comment_of};

impl Mariadb {
    /// Why the user and the database of this name, with this mark, are not to be mended; `None` where they are.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn why_not_mend(
        &self,
        name: &DatabaseName,
        mark: &str,
        other_password: bool,
    ) -> anyhow::Result<Option<String>> {
        let mut connection = self.connect().await?;
        self.why_not(&mut connection, name, mark, other_password)
            .await
    }

    /// The same, in a session.
    pub(super) async fn why_not(
        &self,
        connection: &mut MySqlConnection,
        name: &DatabaseName,
        mark: &str,
        other_password: bool,
    ) -> anyhow::Result<Option<String>> {
        if comment_of(connection, name).await?.as_deref() != Some(mark) {
            let why = "the comment of the database is not that of the one that was made";
            return Ok(Some(why.to_owned()));
        }
        let found = standing(connection, name.as_str(), &self.server.client()).await?;
        let Some(found) = found.filter(|_| other_password) else {
            return Ok(None);
        };
        let account = self.account(name);
        let asked = AssertSqlSafe(format!("SHOW GRANTS FOR {account}"));
        let lines: Vec<String> = sqlx::query_scalar(asked)
            .fetch_all(&mut *connection)
            .await?;
        let elsewhere = read_rights(name, &lines).elsewhere;
        if !elsewhere.is_empty() {
            return Ok(Some(format!(
                "{account} has another password than the site, and rights on {} that would be the site's with it: \
                 REVOKE them, or give it the site's password (`kolga-worker secret show`) by hand",
                elsewhere.join(", ")
            )));
        }
        for (plugin, _) in found.methods() {
            let active: bool = sqlx::query_scalar(
                "SELECT COUNT(*) > 0 FROM information_schema.PLUGINS
                  WHERE PLUGIN_NAME = ? AND PLUGIN_TYPE = 'AUTHENTICATION' AND PLUGIN_STATUS = 'ACTIVE'",
            )
            .bind(plugin)
            .fetch_one(&mut *connection)
            .await?;
            if !active {
                return Ok(Some(format!(
                    "{account} is let in by {plugin}, which the server does not have, so that could not be put back: give \
                     it the site's password (`kolga-worker secret show`) by hand"
                )));
            }
        }
        let takes_no_hash: bool = sqlx::query_scalar(
            "SELECT @@strict_password_validation AND COUNT(*) > 0 FROM information_schema.PLUGINS
              WHERE PLUGIN_TYPE = 'PASSWORD VALIDATION' AND PLUGIN_STATUS = 'ACTIVE'",
        )
        .fetch_one(&mut *connection)
        .await?;
        Ok(takes_no_hash.then(|| {
            format!(
                "{account} has another password than the site, and this server takes no hash of one \
                 (strict_password_validation), so the old could not be put back: give it the site's \
                 (`kolga-worker secret show`) by hand"
            )
        }))
    }

    /// What lets others at the database of this name, and is left to a person: users of its name that come from elsewhere, and
    /// rights that everybody has on more than it.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn strangers(&self, name: &DatabaseName) -> anyhow::Result<Vec<String>> {
        let mut connection = self.connect().await?;
        let users: Vec<String> = sqlx::query_scalar(
            "SELECT CONVERT(CONCAT(QUOTE(User), '@', QUOTE(Host)) USING utf8mb4) FROM mysql.user
              WHERE User = ? AND Host <> ? AND is_role = 'N' ORDER BY Host",
        )
        .bind(name.as_str())
        .bind(self.server.client())
        .fetch_all(&mut connection)
        .await?;
        let databases: Vec<String> = sqlx::query_scalar(
            "SELECT DISTINCT CONVERT(Db USING utf8mb4) FROM mysql.db
              WHERE User IN ('', 'PUBLIC') AND ? LIKE Db AND Db <> ? ORDER BY Db",
        )
        .bind(name.as_str())
        .bind(pattern(name))
        .fetch_all(&mut connection)
        .await?;
        let users = users.into_iter().map(|user| {
            format!("there is a database user {user} too, who was not made for this site: DROP USER unless it is somebody's")
        });
        let databases = databases.into_iter().map(|database| {
            format!("everybody has rights on `{database}`.*, which the database {name} is part of")
        });
        Ok(users.chain(databases).collect())
    }
}
