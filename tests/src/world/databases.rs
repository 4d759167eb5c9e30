//! MariaDB: databases with what marks them, their tables and programs, users, and every grant.

use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, MySqlConnection, Row as _};

use super::World;
use crate::stack::Stack;

const SYSTEM: &str = "('information_schema', 'performance_schema', 'mysql', 'sys')";

/// A connection to MariaDB as its administrator.
///
/// # Panics
/// When it does not let us in.
pub async fn maria(stack: &Stack) -> MySqlConnection {
    MySqlConnectOptions::new()
        .socket(stack.text("/mariadb_socket"))
        .username("root")
        .ssl_mode(MySqlSslMode::Disabled)
        .connect()
        .await
        .expect("MariaDB")
}

/// A connection that is kept from one look to the next.
#[derive(Default)]
pub(super) struct Databases(Option<MySqlConnection>);

impl Databases {
    pub(super) async fn look(&mut self, stack: &Stack) -> World {
        let mut server = match self.0.take() {
            Some(kept) => kept,
            None => maria(stack).await,
        };
        let mut world = World::default();
        note(&mut world, &mut server).await;
        self.0 = Some(server);
        world
    }
}

async fn note(world: &mut World, server: &mut MySqlConnection) {
    for [database, comment] in list(
        server,
        format!(
            "SELECT schema_name, schema_comment FROM information_schema.schemata
             WHERE schema_name NOT IN {SYSTEM}"
        ),
    )
    .await
    {
        // The comment of a site's database names the run that made it.
        world.note(format!("database {database}"), String::new(), comment);
    }
    for [database, name, sort] in list(
        server,
        format!(
            "SELECT table_schema, table_name, table_type FROM information_schema.tables
             WHERE table_schema NOT IN {SYSTEM}
             UNION ALL SELECT routine_schema, routine_name, routine_type FROM information_schema.routines
             WHERE routine_schema NOT IN {SYSTEM}
             UNION ALL SELECT trigger_schema, trigger_name, 'TRIGGER' FROM information_schema.triggers
             WHERE trigger_schema NOT IN {SYSTEM}
             UNION ALL SELECT event_schema, event_name, 'EVENT' FROM information_schema.events
             WHERE event_schema NOT IN {SYSTEM}"
        ),
    )
    .await
    {
        // The application writes into a site's own tables with every visit.
        let sum = match sort == "BASE TABLE" && !database.starts_with("k_") {
            true => checksum(server, &database, &name).await,
            false => String::new(),
        };
        world.note(format!("table {database}.{name}"), sort, sum);
    }
    grants(world, server).await;
}

async fn checksum(server: &mut MySqlConnection, database: &str, table: &str) -> String {
    let asked = AssertSqlSafe(format!("CHECKSUM TABLE `{database}`.`{table}`"));
    let row = sqlx::query(asked).fetch_one(server).await.expect("a sum");
    row.get::<Option<i64>, _>(1).unwrap_or_default().to_string()
}

async fn grants(world: &mut World, server: &mut MySqlConnection) {
    let users = list(
        server,
        "SELECT concat('`', user, '`@`', host, '`') FROM mysql.user".to_owned(),
    )
    .await;
    for [user] in users {
        for [grant] in list(server, format!("SHOW GRANTS FOR {user}")).await {
            // The hash of a password is content: another run makes another password.
            let (shape, content) = match grant.split_once(" IDENTIFIED ") {
                Some((shape, rest)) => (shape.to_owned(), rest.to_owned()),
                None => (grant, String::new()),
            };
            world.note(format!("grant {shape}"), String::new(), content);
        }
        // How somebody is let in is content, too. A role is let in by nothing.
        let content = match user.ends_with("@``") {
            true => Vec::new(),
            false => list(server, format!("SHOW CREATE USER {user}")).await,
        };
        let content: Vec<String> = content.into_iter().map(|[line]| line).collect();
        world.note(format!("user {user}"), String::new(), content.join("; "));
    }
}

/// The rows of a query whose columns are texts.
async fn list<const N: usize>(server: &mut MySqlConnection, query: String) -> Vec<[String; N]> {
    let rows = sqlx::query(AssertSqlSafe(query)).fetch_all(server).await;
    rows.expect("MariaDB answers")
        .iter()
        .map(|row| std::array::from_fn(|column| text(row, column)))
        .collect()
}

/// A text, whatever MariaDB calls its type.
fn text(row: &sqlx::mysql::MySqlRow, column: usize) -> String {
    let bytes: Vec<u8> = row.get_unchecked(column);
    String::from_utf8_lossy(&bytes).into_owned()
}
