//! Who has which rights on a site's database, as the server notes and shows them.
//!
//! In a grant on a database `_` and `%` stand for anything unless they are escaped: a user's own is the one whose pattern is
//! just its database's name, escaped, and every other is one on something else.

use anyhow::Context as _;
use kolga_protocol::names::DatabaseName;
use serde::{Deserialize, Serialize};
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::quote::{grant_pattern, literal, pattern};
use super::{Mariadb, NO_GRANT, number};
use crate::services::database::Rights;

/// From what `SHOW GRANTS` says, which may hold the hash of a password.
pub(super) fn read_rights(name: &DatabaseName, lines: &[String]) -> Rights {
    let own = format!("{}.*", grant_pattern(name));
    let mut rights = Rights::default();
    for line in lines {
        let Some(given) = line.strip_prefix("GRANT ") else {
            continue;
        };
        let Some((what, rest)) = given.split_once(" ON ") else {
            let role = given.split_once(" TO ").map_or(given, |(role, _)| role);
            rights.elsewhere.push(format!("the role {role}"));
            continue;
        };
        let on = rest.split_once(" TO ").map_or(rest, |(on, _)| on);
        match (what, on) {
            // That it may hand on what it has, it has everywhere.
            ("USAGE", "*.*") if rest.ends_with(" WITH GRANT OPTION") => {
                rights.elsewhere.push(on.to_owned());
            }
            ("USAGE", _) => {}
            ("ALL PRIVILEGES", on) if on == own => rights.on_its_own = true,
            (_, on) if on == own => {}
            (_, on) => rights.elsewhere.push(on.to_owned()),
        }
    }
    rights
}

/// What everybody, or whoever comes from a host, may do with a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Given {
    /// None is everybody.
    pub(super) from: Option<String>,
    pub(super) rights: Vec<String>,
}

impl Given {
    /// As statements name who has them.
    pub(super) fn to(&self) -> String {
        match &self.from {
            None => "PUBLIC".to_owned(),
            Some(host) => format!("''@{}", literal(host)),
        }
    }
}

impl Mariadb {
    /// Whether the user of this name has all rights on the database of this name, and nobody else has any by being anybody; and
    /// on what else it has some. `None` when there is no such user.
    ///
    /// # Errors
    /// When the server cannot be asked, or the worker's account may not read `mysql.*`.
    pub async fn rights(&self, name: &DatabaseName) -> anyhow::Result<Option<Rights>> {
        let mut connection = self.connect().await?;
        let statement = format!("SHOW GRANTS FOR {}", self.account(name));
        let asked = sqlx::query_scalar::<_, String>(AssertSqlSafe(statement))
            .fetch_all(&mut connection)
            .await;
        match asked {
            Ok(lines) => {
                let mut rights = read_rights(name, &lines);
                rights.on_its_own &= !self.is_everybodys(&mut connection, name).await?;
                Ok(Some(rights))
            }
            Err(error) if number(&error) == Some(NO_GRANT) => Ok(None),
            Err(error) => Err(error).context(format!("cannot ask what the user {name} may do")),
        }
    }

    /// Whether anybody has rights on the database of this name.
    async fn is_everybodys(
        &self,
        connection: &mut MySqlConnection,
        name: &DatabaseName,
    ) -> anyhow::Result<bool> {
        let all = all_rights(connection).await?;
        Ok(!everybody(given(connection, name, &all).await?).is_empty())
    }
}

/// That it may hand on what it has.
pub(super) const GRANT_OPTION: &str = "GRANT OPTION";

/// Every right that this server has on databases: the column it is noted in, and its name.
pub(super) async fn all_rights(
    connection: &mut MySqlConnection,
) -> anyhow::Result<Vec<(String, String)>> {
    let columns: Vec<String> = sqlx::query_scalar(
        "SELECT CONVERT(COLUMN_NAME USING utf8mb4) FROM information_schema.COLUMNS
          WHERE TABLE_SCHEMA = 'mysql' AND TABLE_NAME = 'db' AND COLUMN_NAME LIKE '%\\_priv'
          ORDER BY ORDINAL_POSITION",
    )
    .fetch_all(connection)
    .await?;
    anyhow::ensure!(
        !columns.is_empty(),
        "the server does not show who has which rights: the worker's account needs SELECT ON mysql.*"
    );
    let named = columns.into_iter().map(|column| {
        let right = right_of(&column);
        (column, right)
    });
    Ok(named.collect())
}

/// What statements call the right of a column.
fn right_of(column: &str) -> String {
    match column {
        "Grant_priv" => GRANT_OPTION.to_owned(),
        "Create_tmp_table_priv" => "CREATE TEMPORARY TABLES".to_owned(),
        other => other
            .trim_end_matches("_priv")
            .replace('_', " ")
            .to_uppercase(),
    }
}

/// Who has which rights on just the database of this name: the user of its name, and everybody. By user and host.
pub(super) async fn given(
    connection: &mut MySqlConnection,
    name: &DatabaseName,
    all: &[(String, String)],
) -> anyhow::Result<Vec<(String, String, Vec<String>)>> {
    let columns: Vec<String> = all
        .iter()
        .map(|(column, _)| format!("`{column}`"))
        .collect();
    let asked = format!(
        "SELECT User, Host, {} FROM mysql.db WHERE Db = ? AND User IN (?, '', 'PUBLIC') ORDER BY User, Host",
        columns.join(", ")
    );
    let rows = sqlx::query(AssertSqlSafe(asked))
        .bind(pattern(name))
        .bind(name.as_str())
        .fetch_all(connection)
        .await?;
    let text = |row: &sqlx::mysql::MySqlRow, at: usize| row.try_get_unchecked::<String, _>(at);
    let mut found = Vec::new();
    for row in &rows {
        let mut rights = Vec::new();
        for (at, (_, right)) in all.iter().enumerate() {
            if text(row, at + 2)? == "Y" {
                rights.push(right.clone());
            }
        }
        found.push((text(row, 0)?, text(row, 1)?, rights));
    }
    Ok(found)
}

/// What everybody has of it.
pub(super) fn everybody(given: Vec<(String, String, Vec<String>)>) -> Vec<Given> {
    given
        .into_iter()
        .filter(|(_, _, rights)| !rights.is_empty())
        .filter_map(|(user, host, rights)| match user.as_str() {
            "" => Some(Given {
                from: Some(host),
                rights,
            }),
            "PUBLIC" => Some(Given { from: None, rights }),
            _ => None,
        })
        .collect()
}
