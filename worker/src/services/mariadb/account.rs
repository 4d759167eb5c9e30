//! How the server lets a user in, by what it keeps of the account (`mysql.global_priv`), and what becomes of one who comes
//! with a password.
//!
//! What is read here holds the hashes of passwords, and so it prints itself nowhere.

use std::time::Duration;

use anyhow::Context as _;
use kolga_protocol::names::DatabaseName;
use serde::Deserialize;
use sqlx::Connection as _;
use sqlx::mysql::MySqlConnection;

use super::quote::literal;
use super::{Mariadb, number};
use crate::secrets::Secret;
use crate::services::database::{Door, told};

/// `ER_ACCESS_DENIED_ERROR` and `ER_ACCESS_DENIED_NO_PASSWORD_ERROR`
const DENIED: [u16; 2] = [1045, 1698];
/// `ER_ACCOUNT_HAS_BEEN_LOCKED`, which is only told who has the right password.
const LOCKED: u16 = 4151;
/// `ER_MUST_CHANGE_PASSWORD` and `ER_MUST_CHANGE_PASSWORD_LOGIN`
const EXPIRED: [u16; 2] = [1820, 1862];
/// `ER_PLUGIN_IS_NOT_LOADED`
const NO_PLUGIN: u16 = 1524;
/// What a password is judged by unless somebody says otherwise.
const NATIVE: &str = "mysql_native_password";

/// One way of letting somebody in. An empty one stands for that of the account itself.
#[derive(Deserialize)]
struct Method {
    plugin: Option<String>,
    #[serde(default)]
    authentication_string: String,
}

impl Method {
    fn named(&self) -> (&str, &str) {
        (
            self.plugin.as_deref().unwrap_or(NATIVE),
            &self.authentication_string,
        )
    }
}

/// How an account stands.
#[derive(Deserialize)]
pub(super) struct Standing {
    #[serde(flatten)]
    own: Method,
    /// Several ways, any of which will do.
    #[serde(default)]
    auth_or: Vec<Method>,
    /// Whether it is kept out.
    #[serde(default)]
    pub(super) account_locked: bool,
    password_last_changed: Option<i64>,
    /// In days; 0 is for ever.
    pub(super) password_lifetime: Option<i64>,
}

impl Standing {
    /// By what it is let in: plugins, each with what it compares with.
    pub(super) fn methods(&self) -> Vec<(&str, &str)> {
        match self.auth_or.as_slice() {
            [] => vec![self.own.named()],
            several => several
                .iter()
                .map(|method| match method.plugin {
                    Some(_) => method.named(),
                    None => self.own.named(),
                })
                .collect(),
        }
    }

    /// The same, as a statement has it.
    pub(super) fn identified(&self) -> String {
        let methods: Vec<String> = self
            .methods()
            .iter()
            .map(|(plugin, text)| {
                format!("`{}` USING {}", plugin.replace('`', "``"), literal(text))
            })
            .collect();
        format!("IDENTIFIED VIA {}", methods.join(" OR "))
    }

    /// An error's words, which may quote a statement, without what nobody is to read.
    pub(super) fn hidden_in(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (_, secret) in self.methods() {
            if !secret.is_empty() {
                text = text.replace(secret, "***");
            }
        }
        text
    }

    /// Whether its password has run out, where passwords are good for so many days by default.
    pub(super) fn has_expired(&self, default: i64, now: i64) -> bool {
        let Some(changed) = self.password_last_changed else {
            return false;
        };
        let days = match self.password_lifetime {
            None | Some(..0) => default,
            Some(days) => days,
        };
        changed == 0 || (days > 0 && changed.saturating_add(days.saturating_mul(86_400)) <= now)
    }
}

/// How an account stands; `None` where there is none.
pub(super) async fn standing(
    connection: &mut MySqlConnection,
    user: &str,
    host: &str,
) -> anyhow::Result<Option<Standing>> {
    let found: Option<String> = sqlx::query_scalar(
        "SELECT CONVERT(Priv USING utf8mb4) FROM mysql.global_priv WHERE User = ? AND Host = ?",
    )
    .bind(user)
    .bind(host)
    .fetch_optional(connection)
    .await
    .with_context(|| format!("cannot read how the database user {user} is let in"))?;
    let read = found.map(|text| serde_json::from_str(&text)).transpose();
    // The parser's own words could quote what it choked on.
    read.map_err(|_| anyhow::anyhow!("how the database user {user} is let in cannot be understood"))
}

impl Mariadb {
    /// What becomes of the user of this name that comes with this password, on the way that sites take.
    ///
    /// # Errors
    /// When the server does not say.
    pub async fn way_in(&self, name: &DatabaseName, password: &Secret) -> anyhow::Result<Door> {
        let options = self.server.options();
        let options = options.username(name.as_str()).password(password.expose());
        let asked = async {
            let mut connection = MySqlConnection::connect_with(&options).await?;
            // One whose password has run out may still say some things, and this not.
            sqlx::raw_sql("DO 1").execute(&mut connection).await?;
            connection.close().await
        };
        let refused = match tokio::time::timeout(Duration::from_secs(10), asked).await {
            Ok(Ok(())) => return Ok(Door::Open),
            Ok(Err(error)) => error,
            Err(_) => anyhow::bail!("MariaDB does not answer"),
        };
        match number(&refused) {
            Some(LOCKED) => Ok(Door::KeptOut),
            Some(code) if EXPIRED.contains(&code) => Ok(Door::OtherPassword),
            Some(code) if DENIED.contains(&code) => Ok(match self.has(name, password).await? {
                true => Door::Shut,
                false => Door::OtherPassword,
            }),
            // By something that is no password, or that sites do not know, or the server does not any more.
            Some(NO_PLUGIN) => Ok(Door::OtherPassword),
            None if !self.is_native(name).await? => Ok(Door::OtherPassword),
            _ => Err(told(self.server.authority(), refused))
                .context("MariaDB does not say who is let in"),
        }
    }

    /// Whether the user of this name has this password and no other, whoever is let in.
    pub(super) async fn has(&self, name: &DatabaseName, password: &Secret) -> anyhow::Result<bool> {
        let mut connection = self.connect().await?;
        let verifier: String =
            sqlx::query_scalar("SELECT CONCAT('*', UPPER(SHA1(UNHEX(SHA1(?)))))")
                .bind(password.expose())
                .fetch_one(&mut connection)
                .await?;
        let found = standing(&mut connection, name.as_str(), &self.server.client()).await?;
        Ok(found.is_some_and(|found| found.methods() == [(NATIVE, verifier.as_str())]))
    }

    async fn is_native(&self, name: &DatabaseName) -> anyhow::Result<bool> {
        let mut connection = self.connect().await?;
        let found = standing(&mut connection, name.as_str(), &self.server.client()).await?;
        Ok(found.is_none_or(|found| found.methods().iter().all(|(plugin, _)| *plugin == NATIVE)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Standing {
        serde_json::from_str(text).expect("as the server has it")
    }

    #[test]
    fn an_account_is_written_down_as_the_server_has_it() {
        for (kept, written) in [
            (
                r#"{"access":0,"plugin":"mysql_native_password","authentication_string":"*A1"}"#,
                "IDENTIFIED VIA `mysql_native_password` USING '*A1'",
            ),
            (
                r#"{"authentication_string":"*A1"}"#,
                "IDENTIFIED VIA `mysql_native_password` USING '*A1'",
            ),
            (
                r#"{"plugin":"mysql_native_password","authentication_string":"*A1",
                    "auth_or":[{},{"plugin":"unix_socket","authentication_string":"a'b\\c"},{"plugin":"gssapi"}]}"#,
                r"IDENTIFIED VIA `mysql_native_password` USING '*A1' OR `unix_socket` USING 'a''b\\c' OR `gssapi` USING ''",
            ),
        ] {
            let standing = read(kept);
            assert_eq!(standing.identified(), written);
            let said = standing.hidden_in(&format!("near {written}"));
            assert!(!said.contains("A1"), "{said}");
        }
    }

    #[test]
    fn a_password_runs_out_when_somebody_says_so_or_by_its_days() {
        for (kept, default, expired) in [
            (r#"{"password_last_changed":0}"#, 0, true),
            (
                r#"{"password_last_changed":0,"password_lifetime":0}"#,
                0,
                true,
            ),
            (r#"{"password_last_changed":1000000}"#, 0, false),
            (r#"{"password_last_changed":1000000}"#, 1, true),
            (
                r#"{"password_last_changed":1000000,"password_lifetime":0}"#,
                1,
                false,
            ),
            (
                r#"{"password_last_changed":1000000,"password_lifetime":-1}"#,
                2,
                false,
            ),
            (
                r#"{"password_last_changed":1000000,"password_lifetime":1}"#,
                0,
                true,
            ),
            (r#"{}"#, 1, false),
        ] {
            let found = read(kept).has_expired(default, 1_100_000);
            assert_eq!(found, expired, "{kept} {default}");
        }
    }
}
