//! An empty spoke to begin with.

use sqlx::{AssertSqlSafe, Row as _};

use super::backups::repository;
use super::databases::maria;
use super::folders;
use super::postgresql::{OURS, postgresql};
use super::web::reload_web;
use crate::stack::Stack;

/// Takes everything away that tests have put on a spoke, so that a test begins with an empty one whatever
/// happened to the one before. No worker may run there.
///
/// # Panics
/// When it cannot.
pub async fn clear(stack: &Stack, server: &str) {
    let config = stack.spoke(server, "config");
    let vhosts = config.parent().expect("a folder").join("conf/sites.d");
    // What is an operator's stays.
    let of_tasks = folders(stack, server).into_iter();
    let of_operator = ["conf", "profiles", "recipes"];
    let of_tasks = of_tasks.filter(|path| !of_operator.iter().any(|name| path.ends_with(name)));
    let repository = repository(stack, server);
    let backups = repository.parent().expect("a folder").to_owned();
    for folder in of_tasks.chain([vhosts, backups]) {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                true => std::fs::remove_dir_all(&path).expect("removed"),
                false => std::fs::remove_file(&path).expect("removed"),
            }
        }
    }
    let mut server_connection = maria(stack).await;
    for (list, drop) in [
        (
            "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'k\\_%' OR schema_name LIKE 'stranger%'",
            "DROP DATABASE",
        ),
        (
            "SELECT CONCAT(user, '`@`', host) FROM mysql.user WHERE user LIKE 'k\\_%' OR user LIKE 'stranger%'",
            "DROP USER",
        ),
    ] {
        let names = sqlx::query(list)
            .fetch_all(&mut server_connection)
            .await
            .expect("a list");
        for row in names {
            let name: String = row.get_unchecked(0);
            sqlx::query(AssertSqlSafe(format!("{drop} `{name}`")))
                .execute(&mut server_connection)
                .await
                .expect("dropped");
        }
    }
    if stack.has_postgresql() {
        clear_postgresql(stack).await;
    }
    reload_web(stack, server).await;
}

/// Databases and roles of sites and of strangers; those of the workers stay.
async fn clear_postgresql(stack: &Stack) {
    let mut server = postgresql(stack, "postgres").await;
    for (list, drop) in [
        ("SELECT datname::text AS name FROM pg_database", "DATABASE"),
        ("SELECT rolname::text AS name FROM pg_roles", "ROLE"),
    ] {
        let list = format!("SELECT name FROM ({list}) all_of_them WHERE {OURS}");
        let names: Vec<String> = sqlx::query_scalar(AssertSqlSafe(list))
            .fetch_all(&mut server)
            .await
            .expect("a list");
        for name in names.iter().filter(|name| !name.starts_with("kolga-")) {
            let force = if drop == "DATABASE" {
                " WITH (FORCE)"
            } else {
                ""
            };
            sqlx::raw_sql(AssertSqlSafe(format!("DROP {drop} \"{name}\"{force}")))
                .execute(&mut server)
                .await
                .expect("dropped");
        }
    }
}
