//! A database as a file of the worker's own, and back.
//!
//! Dumping is done as the worker's account, which is a member of the site's role and takes its rights alone (`--role`): the
//! site may be kept out meanwhile. The file is of pg_dump's own format and not a script, so that what reads it back runs no
//! command that a tenant has got into it; it names no owners and no rights, so that all of it belongs to whoever imports it.
//! Importing is done as the database's own role, in one transaction. Where there is a password, it goes through a file that
//! only the worker may read.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kolga_protocol::fault;
use kolga_protocol::names::DatabaseName;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use super::quote::{pass_line, value};
use super::{Postgresql, connect_as};
use crate::cx::Cx;
use crate::files::Dir;
use crate::process::Command;
use crate::profile::Tables;
use crate::secrets::Secret;
use crate::services::database::{Authority, Dumped, Measured, longest, room_for_dump};

/// Below it is a folder for each version of PostgreSQL that is installed (Debian).
const VERSIONS: &str = "/usr/lib/postgresql";

impl Postgresql {
    /// Dumps a database into a new file of a folder of the worker's own, as it is at one moment and without the rows of
    /// some tables. On an error the file may be there, half written.
    ///
    /// # Errors
    /// When there is too little room, there is a file already, or the program fails or is stopped.
    pub async fn dump(
        &self,
        cx: &Cx,
        name: &DatabaseName,
        without: &[Tables],
        folder: &Dir,
        file: &str,
    ) -> anyhow::Result<Dumped> {
        room_for_dump(name, self.size_of(name).await?, folder)?;
        let password = self.server.password()?;
        let place = self.server.place();
        let way = Way {
            place,
            authority: self.server.authority(),
            user: &self.user,
            password: password.as_ref(),
            database: name.as_str(),
        };
        let mut told = vec![format!("--role={name}")];
        told.extend(
            without
                .iter()
                .map(|these| format!("--exclude-table-data=*.{}", these.as_str())),
        );
        dump_by(cx, way, told, folder, file).await
    }

    /// Which programs there are that dump and import.
    ///
    /// # Errors
    /// When the server's are newer, or it cannot be asked.
    pub async fn programs(&self) -> anyhow::Result<String> {
        programs_fit(&mut self.connect().await?).await
    }

    /// Imports a dump of a folder of the worker's own into an empty database, as the role of the same name.
    ///
    /// # Errors
    /// When something is in the database, or the program fails or is stopped.
    pub async fn import(
        &self,
        cx: &Cx,
        name: &DatabaseName,
        password: &Secret,
        folder: &Dir,
        file: &str,
    ) -> anyhow::Result<()> {
        self.refuse_filled(name, password).await?;
        let dump = folder.open_file(file)?;
        let passwords = format!("{file}.pgpass");
        let line = pass_line(name.as_str(), password.expose())?;
        folder.write_atomically(&passwords, line.as_bytes(), 0o600)?;
        fault::point("postgresql:import");
        let way = Way {
            place: self.server.site_place(),
            authority: self.server.authority(),
            user: name.as_str(),
            password: Some(password),
            database: name.as_str(),
        };
        let done = Command::new(program("pg_restore"))
            .env("PGPASSFILE", folder.path().join(&passwords))
            .args(["--format=custom", "--no-owner", "--no-privileges"])
            .args(["--single-transaction", "--exit-on-error", "--no-password"])
            .arg(format!("--dbname={}", way.to_text()))
            .stdin_file(dump)
            .time_limit(longest(cx))
            .run(cx)
            .await
            .with_context(|| format!("cannot import into the database {name}"));
        folder.remove_file(&passwords)?;
        done
    }

    async fn refuse_filled(&self, name: &DatabaseName, password: &Secret) -> anyhow::Result<()> {
        let mut site = connect_as(&self.for_site(name, password))
            .await
            .with_context(|| format!("the database user {name} is not let in"))?;
        let things: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'",
        )
        .fetch_one(&mut site)
        .await?;
        site.close().await?;
        anyhow::ensure!(things == 0, "the database {name} is not empty");
        Ok(())
    }
}

/// How a program gets in.
pub(super) struct Way<'a> {
    /// Host, or the folder of a socket, and port.
    pub(super) place: (String, u16),
    /// Who has signed the server's certificate, where nothing but TLS will do.
    pub(super) authority: Option<Authority<'a>>,
    pub(super) user: &'a str,
    pub(super) password: Option<&'a Secret>,
    pub(super) database: &'a str,
}

impl Way<'_> {
    /// As one word of libpq's.
    fn to_text(&self) -> String {
        let (host, port) = &self.place;
        let authority = self.authority.map(|authority| {
            let file = value(&authority.to_text());
            format!(" sslmode=verify-full sslrootcert={file}")
        });
        format!(
            "host={} port={port} user={} dbname={}{}",
            value(host),
            value(self.user),
            value(self.database),
            authority.unwrap_or_default()
        )
    }
}

/// Dumps on this way, with the rights of this role alone where one is named.
pub(super) async fn dump_by(
    cx: &Cx,
    way: Way<'_>,
    told: Vec<String>,
    folder: &Dir,
    file: &str,
) -> anyhow::Result<Dumped> {
    let into = folder.create_file(file)?;
    let passwords = format!("{file}.pgpass");
    if let Some(password) = way.password {
        let line = pass_line(way.user, password.expose())?;
        folder.write_atomically(&passwords, line.as_bytes(), 0o600)?;
    }
    fault::point("postgresql:dump");
    let done = Command::new(program("pg_dump"))
        .env("PGPASSFILE", folder.path().join(&passwords))
        .args(["--format=custom", "--compress=0", "--encoding=UTF8"])
        .args(["--no-owner", "--no-privileges", "--no-tablespaces"])
        .args([
            "--no-subscriptions",
            "--no-password",
            "--quote-all-identifiers",
        ])
        .args(told)
        .arg(format!("--dbname={}", way.to_text()))
        .time_limit(longest(cx))
        .pipe(cx, move |pieces| {
            let mut file = Measured::file(into);
            for piece in pieces {
                file.write_all(&piece)?;
            }
            Ok(file.durable()?)
        })
        .await
        .with_context(|| format!("cannot dump the database {}", way.database));
    folder.remove_file(&passwords)?;
    done
}

/// Of which version the programs are that dump and import; those of an older one than the server refuse to.
///
/// # Errors
/// When they are older, or the server cannot be asked.
pub(super) async fn programs_fit(connection: &mut PgConnection) -> anyhow::Result<String> {
    let server: i32 =
        sqlx::query_scalar("SELECT current_setting('server_version_num')::int / 10000")
            .fetch_one(connection)
            .await?;
    let Some((programs, _)) = newest("pg_dump") else {
        return Ok("pg_dump is in /usr/bin".to_owned());
    };
    anyhow::ensure!(
        i64::from(programs) >= i64::from(server),
        "PostgreSQL is of version {server}, and its programs here are of {programs}, which cannot dump it: install \
         postgresql-client-{server}"
    );
    Ok(format!("pg_dump of version {programs}"))
}

/// A program of PostgreSQL's, of the newest version that is there: it understands the dumps and the servers of all before.
/// What lies in /usr/bin on a Debian only looks for it.
fn program(name: &str) -> PathBuf {
    let found = newest(name).map(|(_, path)| path);
    found.unwrap_or_else(|| Path::new("/usr/bin").join(name))
}

fn newest(name: &str) -> Option<(u32, PathBuf)> {
    let versions = std::fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let paths = versions.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        let path = entry.path().join("bin").join(name);
        path.exists().then_some((version, path))
    });
    paths.max()
}
