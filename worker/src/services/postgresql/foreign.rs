//! A database that is not of Kolga's making, looked into and dumped with its own account: what that one may not read is not
//! read, and nothing is written. It comes by its password over the way that sites take; the password is in no argv, log or
//! record.
//!
//! Whether all of it can be copied is asked before anything is done: pg_restore runs as a site's role, that may do less than
//! whoever made what is there.

use anyhow::Context as _;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};

use super::dump::{Way, dump_by, programs_fit};
use super::quote::foreign_identifier;
use super::server::Server;
use super::{Postgresql, code_of, connect_as};
use crate::cx::Cx;
use crate::files::Dir;
use crate::services::database::{Account, Dumped, Inside, Spot, told};

/// Where PostgreSQL listens unless it is told otherwise.
const PORT: &str = "5432";
/// `invalid_password`, `invalid_authorization_specification`, `insufficient_privilege`
const DENIED: [&str; 3] = ["28P01", "28000", "42501"];
/// `invalid_catalog_name`
const NO_DATABASE: &str = "3D000";
/// So many names are told of each sort.
const MOST_NAMES: usize = 10;

/// What there is, and why it cannot be copied: each asks for names.
const PROBLEMS: [(&str, &str); 6] = [
    (
        "its user may not read",
        "SELECT format('%I.%I', n.nspname, c.relname)
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_'
            AND n.nspname <> 'information_schema'
            AND NOT (has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'))
          ORDER BY 1",
    ),
    (
        "its user is not shown every row (row-level security) of",
        "SELECT format('%I.%I', n.nspname, c.relname)
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE c.relkind IN ('r', 'p') AND c.oid >= 16384 AND row_security_active(c.oid) ORDER BY 1",
    ),
    (
        "only an administrator can make the extensions",
        "SELECT e.extname::text FROM pg_extension e
          WHERE e.extname <> 'plpgsql' AND NOT EXISTS (
                SELECT FROM pg_available_extension_versions v
                 WHERE v.name = e.extname AND v.version = e.extversion AND v.trusted)
          ORDER BY 1",
    ),
    (
        "only an administrator can make the functions",
        "SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
          WHERE p.oid >= 16384 AND NOT l.lanpltrusted AND l.lanname <> 'sql'
            AND NOT EXISTS (SELECT FROM pg_depend d
                             WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype IN ('e', 'i'))
          ORDER BY 1",
    ),
    (
        "only an administrator can make the event triggers",
        "SELECT evtname::text FROM pg_event_trigger ORDER BY 1",
    ),
    (
        "only an administrator can make the publications of all tables",
        "SELECT pubname::text FROM pg_publication WHERE puballtables ORDER BY 1",
    ),
];

/// What does not come along, or not as it is.
const REMARKS: [(&str, &str); 3] = [
    (
        "settings of its database or user are not taken over:",
        "SELECT unnest(s.setconfig) FROM pg_db_role_setting s
          WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
            AND s.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = current_user))
            AND (s.setdatabase <> 0 OR s.setrole <> 0)
          ORDER BY 1",
    ),
    (
        "it does not sort as databases of sites do, but by",
        "SELECT d.datcollate::text FROM pg_database d, pg_database t
          WHERE d.datname = current_database() AND t.datname = 'template0'
            AND (d.datcollate, d.datctype) <> (t.datcollate, t.datctype)",
    ),
    (
        "rights that others have in it are not taken over:",
        "SELECT DISTINCT pg_get_userbyid(given.grantee)::text
           FROM pg_class c, aclexplode(c.relacl) given
          WHERE c.oid >= 16384 AND given.grantee NOT IN (0, c.relowner) ORDER BY 1",
    ),
];

impl Postgresql {
    /// Whether this host and port, as applications write them, are this server's.
    ///
    /// # Errors
    /// When they are not, in a sentence.
    pub fn is_meant_by(&self, host: &str, port: &str) -> anyhow::Result<()> {
        let (name, behind) = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
            Some((name, rest)) => (name, rest.strip_prefix(':').unwrap_or(rest)),
            None if host.matches(':').count() > 1 => (host, ""),
            None => host.split_once(':').unwrap_or((host, "")),
        };
        let port = match (behind, port) {
            ("", "") => PORT,
            ("", port) => port,
            (behind, _) => behind,
        };
        let is_same = match &self.server {
            Server::Elsewhere(remote) => {
                name.parse() == Ok(remote.address.ip()) && port == remote.address.port().to_string()
            }
            Server::Here { socket, port: own } => {
                let real = |path: &std::path::Path| path.canonicalize().unwrap_or(path.to_owned());
                let is_here = match name.starts_with('/') {
                    true => real(name.as_ref()) == real(socket),
                    false => ["", "localhost", "127.0.0.1", "::1"].contains(&name),
                };
                is_here && port == own.to_string()
            }
        };
        anyhow::ensure!(
            is_same,
            "its database is on {host:?}, port {port}, and not on this spoke's PostgreSQL"
        );
        Ok(())
    }

    /// What is in the account's database, and whether all of it can be copied.
    ///
    /// # Errors
    /// When it is not let in.
    pub async fn look_into(&self, account: &Account) -> anyhow::Result<Inside> {
        let mut inside = self.connect_by(account).await?;
        // Nothing that is asked here can write, whatever a tenant has put there.
        sqlx::raw_sql("SET default_transaction_read_only = on")
            .execute(&mut inside)
            .await?;
        let bytes: i64 = sqlx::query_scalar("SELECT pg_database_size(current_database())")
            .fetch_one(&mut inside)
            .await?;
        let tables = sqlx::query_scalar(
            "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE c.relkind IN ('r', 'p', 'v', 'm') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_'
                AND n.nspname <> 'information_schema' ORDER BY 1",
        )
        .fetch_all(&mut inside)
        .await?;
        let mut found = Inside {
            bytes: u64::try_from(bytes).unwrap_or(0),
            tables,
            ..Inside::default()
        };
        found.problems.extend(refused(&mut inside).await?);
        for (what, asked) in PROBLEMS {
            found
                .problems
                .extend(names(&mut inside, what, asked).await?);
        }
        for (what, asked) in REMARKS {
            found.remarks.extend(names(&mut inside, what, asked).await?);
        }
        inside.close().await?;
        Ok(found)
    }

    /// The text at one spot of the account's database; `None` when there is no such row.
    ///
    /// # Errors
    /// When it is not let in, or there is no such table.
    pub async fn text_at(
        &self,
        account: &Account,
        spot: Spot<'_>,
    ) -> anyhow::Result<Option<String>> {
        let mut inside = self.connect_by(account).await?;
        // Where the application finds it.
        sqlx::raw_sql(
            "SET default_transaction_read_only = on; SET search_path = \"$user\", public",
        )
        .execute(&mut inside)
        .await?;
        let [value, table, key] = [spot.value, spot.table, spot.key].map(foreign_identifier);
        let (value, table, key) = (value?, table?, key?);
        let statement = format!(
            "SELECT {value}::pg_catalog.text FROM {table} WHERE {key}::pg_catalog.text OPERATOR(pg_catalog.=) $1 LIMIT 1"
        );
        let found: Option<Option<String>> = sqlx::query_scalar(AssertSqlSafe(statement))
            .bind(spot.is)
            .fetch_optional(&mut inside)
            .await?;
        Ok(found.flatten())
    }

    /// Dumps the account's database as the account, as [`Postgresql::dump`] does a site's.
    ///
    /// # Errors
    /// When there is a file already, or the program fails or is stopped.
    pub async fn dump_as(
        &self,
        cx: &Cx,
        account: &Account,
        folder: &Dir,
        file: &str,
    ) -> anyhow::Result<Dumped> {
        let way = Way {
            place: self.server.site_place(),
            authority: self.server.authority(),
            user: &account.user,
            password: Some(&account.password),
            database: &account.database,
        };
        dump_by(cx, way, Vec::new(), folder, file).await
    }

    async fn connect_by(&self, account: &Account) -> anyhow::Result<PgConnection> {
        let (user, database) = (&account.user, &account.database);
        // The server cuts what is longer, and would let somebody else in somewhere else.
        for name in [user, database] {
            foreign_identifier(name)?;
        }
        // Both mean something in what is said at a login (RFC 5802), and sqlx does not escape them there.
        anyhow::ensure!(
            !user.contains([',', '=']),
            "the name of its database's user, {user:?}, has a comma or an equals sign, with which the worker cannot log in"
        );
        let options = self.server.site_options().username(user);
        let options = options.password(account.password.expose());
        match connect_as(&options.database(database)).await {
            Ok(connection) => Ok(connection),
            Err(error) => match code_of(&error).as_deref() {
                Some(code) if DENIED.contains(&code) => anyhow::bail!(
                    "PostgreSQL does not let its user {user:?} in by its password from this machine, or not to the database \
                     {database}"
                ),
                Some(NO_DATABASE) => anyhow::bail!("there is no database {database}"),
                _ => Err(told(self.server.authority(), error))
                    .context("PostgreSQL does not answer as it should"),
            },
        }
    }
}

/// What of the database as a whole is in the way.
async fn refused(inside: &mut PgConnection) -> anyhow::Result<Vec<String>> {
    let encoding: String = sqlx::query_scalar(
        "SELECT pg_encoding_to_char(encoding)::text FROM pg_database WHERE datname = current_database()",
    )
    .fetch_one(&mut *inside)
    .await?;
    let mut found = Vec::new();
    if let Err(error) = programs_fit(inside).await {
        found.push(format!("{error:#}"));
    }
    if encoding == "SQL_ASCII" {
        found.push(
            "its database does not say which letters its texts are of (SQL_ASCII): make one in UTF8 of it first"
                .to_owned(),
        );
    }
    Ok(found)
}

/// One line with names, where there are some.
async fn names(
    inside: &mut PgConnection,
    what: &str,
    asked: &'static str,
) -> anyhow::Result<Option<String>> {
    let mut all: Vec<String> = sqlx::query_scalar(asked).fetch_all(inside).await?;
    let count = all.len();
    all.truncate(MOST_NAMES);
    let more = match count > MOST_NAMES {
        true => format!(" and {} more", count - MOST_NAMES),
        false => String::new(),
    };
    Ok((count > 0).then(|| format!("{what} {}{more}", all.join(", "))))
}
