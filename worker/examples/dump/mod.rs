//! A SQLite file as SQL that makes it again: tables, rows, indexes, in an order in which they can be made.
//! For the fixtures that later releases must read.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, SqliteConnection};

/// Writes what `database` holds to `to`, after `about`.
pub async fn dump(database: &Path, to: &Path, about: &str) -> anyhow::Result<()> {
    let mut connection = SqliteConnectOptions::new()
        .filename(database)
        .connect()
        .await?;
    let format: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut connection)
        .await?;
    let mut sql = format!("-- {about}\nPRAGMA user_version = {format};\n");
    let parts: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'
          ORDER BY type = 'index', rowid",
    )
    .fetch_all(&mut connection)
    .await?;
    for (_, _, made) in &parts {
        sql.push_str(&format!("{made};\n"));
    }
    for (_, name, _) in parts.iter().filter(|(sort, ..)| sort == "table") {
        for row in rows(&mut connection, name).await? {
            sql.push_str(&row);
        }
    }
    // Numbers that were given away are not given away again.
    if parts
        .iter()
        .any(|(.., made)| made.contains("AUTOINCREMENT"))
    {
        sql.push_str("DELETE FROM sqlite_sequence;\n");
        for row in rows(&mut connection, "sqlite_sequence").await? {
            sql.push_str(&row);
        }
    }
    std::fs::write(to, sql)?;
    Ok(())
}

async fn rows(connection: &mut SqliteConnection, table: &str) -> anyhow::Result<Vec<String>> {
    let columns: Vec<String> =
        sqlx::query_scalar("SELECT name FROM pragma_table_info($1) ORDER BY cid")
            .bind(table)
            .fetch_all(&mut *connection)
            .await?;
    let quoted: Vec<String> = columns
        .iter()
        .map(|column| format!("quote(\"{column}\")"))
        .collect();
    let values = quoted.join(" || ', ' || ");
    let names = columns.join(", ");
    let select = format!(
        "SELECT 'INSERT INTO {table} ({names}) VALUES (' || {values} || ');' || char(10) FROM {table}"
    );
    Ok(sqlx::query_scalar(AssertSqlSafe(select))
        .fetch_all(connection)
        .await?)
}
