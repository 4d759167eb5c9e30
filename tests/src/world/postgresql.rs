//! PostgreSQL: databases with their owners, rights and comments, roles with what they may and who is in them, and the rows of
//! neighbours. Only what bears a site's name, or a stranger's: the hub of another test has its databases in the same server.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, PgConnection};

use super::World;
use crate::stack::Stack;
use crate::wait::until;

/// Names that are looked at.
pub(super) const OURS: &str = "(name LIKE 'k\\_%' OR name LIKE 'stranger%' OR name LIKE 'kolga-%')";

/// A connection to a database of PostgreSQL's as its administrator.
///
/// # Panics
/// When the stack has none, or it does not let us in.
pub async fn postgresql(stack: &Stack, database: &str) -> PgConnection {
    let options: PgConnectOptions = stack.text("/postgres_url").parse().expect("a URL");
    let connected = options.database(database).connect().await;
    connected.unwrap_or_else(|error| panic!("{database}: {error}"))
}

/// Has PostgreSQL offer TLS, or not; a run that broke off may have left it so.
///
/// # Panics
/// When it does not.
pub async fn offer_tls(stack: &Stack, is_offered: bool) {
    let (statement, wanted) = match is_offered {
        true => ("ALTER SYSTEM SET ssl = on", "on"),
        false => ("ALTER SYSTEM RESET ssl", "off"),
    };
    let mut server = postgresql(stack, "postgres").await;
    for statement in [statement, "SELECT pg_reload_conf()"] {
        server.execute(statement).await.expect("it is so");
    }
    until(
        "new connections find it so",
        Duration::from_secs(10),
        async || {
            let mut server = postgresql(stack, "postgres").await;
            let found = sqlx::query_scalar("SHOW ssl").fetch_one(&mut server).await;
            let found: String = found.expect("it says so");
            (found == wanted).then_some(())
        },
    )
    .await;
}

/// Connections that are kept from one look to the next.
#[derive(Default)]
pub(super) struct Postgresql {
    server: Option<PgConnection>,
    /// Of those databases that no task of a scenario's drops.
    neighbours: BTreeMap<String, PgConnection>,
}

impl Postgresql {
    pub(super) async fn look(&mut self, stack: &Stack) -> World {
        let mut world = World::default();
        if !stack.has_postgresql() {
            return world;
        }
        let server = match &mut self.server {
            Some(kept) => kept,
            none => none.insert(postgresql(stack, "postgres").await),
        };
        let databases = note(&mut world, server).await;
        let is_neighbours =
            |name: &String| name.starts_with("stranger") || name.starts_with("k_neighbour");
        self.neighbours.retain(|name, _| databases.contains(name));
        for name in databases.into_iter().filter(is_neighbours) {
            let connection = match self.neighbours.remove(&name) {
                Some(kept) => kept,
                None => postgresql(stack, &name).await,
            };
            let connection = self.neighbours.entry(name.clone()).or_insert(connection);
            rows(&mut world, connection, &name).await;
        }
        world
    }
}

/// What the server as a whole knows; its databases.
async fn note(world: &mut World, server: &mut PgConnection) -> Vec<String> {
    let databases: Vec<(String, String, String, String)> = list(
        server,
        "SELECT datname::text AS name, pg_get_userbyid(datdba)::text, coalesce(datacl::text, 'default'),
                coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database",
    )
    .await;
    let mut names = Vec::new();
    for (name, owner, rights, comment) in databases {
        // The comment of a site's database names the run that made it.
        let said = format!("postgresql database {name} of {owner}, rights {rights}");
        world.note(said, String::new(), comment);
        names.push(name);
    }
    let roles: Vec<(String, String, String)> = list(
        server,
        "SELECT rolname::text AS name,
                concat_ws(' ', CASE WHEN rolcanlogin THEN 'login' END, CASE WHEN rolsuper THEN 'superuser' END,
                    CASE WHEN rolcreatedb THEN 'createdb' END, CASE WHEN rolcreaterole THEN 'createrole' END,
                    CASE WHEN rolinherit THEN 'inherit' END, rolconnlimit),
                concat_ws(' ', rolpassword, shobj_description(oid, 'pg_authid')) FROM pg_authid",
    )
    .await;
    for (name, may, content) in roles {
        world.note(
            format!("postgresql role {name}: {may}"),
            String::new(),
            content,
        );
    }
    let members: Vec<(String, String)> = list(
        server,
        "SELECT pg_get_userbyid(roleid)::text AS name, pg_get_userbyid(member)::text FROM pg_auth_members",
    )
    .await;
    for (role, member) in members {
        let said = format!("postgresql member {member} of {role}");
        world.note(said, String::new(), String::new());
    }
    names
}

/// Every table of a database, with a sum over its rows.
async fn rows(world: &mut World, connection: &mut PgConnection, database: &str) {
    let tables: Vec<(String,)> = sqlx::query_as(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
          WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
    )
    .fetch_all(&mut *connection)
    .await
    .expect("PostgreSQL answers");
    for (table,) in tables {
        let sum = format!(
            "SELECT coalesce(md5(string_agg(t::text, E'\\n' ORDER BY t::text)), '') FROM {table} t"
        );
        let sum: String = sqlx::query_scalar(AssertSqlSafe(sum))
            .fetch_one(&mut *connection)
            .await
            .expect("a sum");
        let said = format!("postgresql table {database}.{table}");
        world.note(said, String::new(), sum);
    }
}

async fn list<T>(server: &mut PgConnection, query: &str) -> Vec<T>
where
    T: Send + Unpin + for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>,
{
    let query = format!("SELECT * FROM ({query}) all_of_them WHERE {OURS}");
    let rows = sqlx::query_as(AssertSqlSafe(query)).fetch_all(server).await;
    rows.expect("PostgreSQL answers")
}
