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

use super::quote::{pass_line, value};
use super::{Postgresql, connect_as};
use crate::cx::Cx;
use crate::files::Dir;
use crate::process::Command;
use crate::secrets::Secret;
use crate::services::database::{Dumped, Measured, longest, room_for_dump};

/// Below it is a folder for each version of PostgreSQL that is installed (Debian).
const VERSIONS: &str = "/usr/lib/postgresql";

impl Postgresql {
    /// Dumps a database into a new file of a folder of the worker's own, as it is at one moment. On an error the file
    /// may be there, half written.
    ///
    /// # Errors
    /// When there is too little room, there is a file already, or the program fails or is stopped.
    pub async fn dump(
        &self,
        cx: &Cx,
        name: &DatabaseName,
        folder: &Dir,
        file: &str,
    ) -> anyhow::Result<Dumped> {
        room_for_dump(name, self.size_of(name).await?, folder)?;
        let into = folder.create_file(file)?;
        let passwords = format!("{file}.pgpass");
        if let Some(password) = self.server.password()? {
            let line = pass_line(&self.user, password.expose())?;
            folder.write_atomically(&passwords, line.as_bytes(), 0o600)?;
        }
        fault::point("postgresql:dump");
        let (host, port) = self.server.place();
        let done = Command::new(program("pg_dump"))
            .env("PGPASSFILE", folder.path().join(&passwords))
            .args(["--format=custom", "--compress=0", "--encoding=UTF8"])
            .args(["--no-owner", "--no-privileges", "--no-tablespaces"])
            .args([
                "--no-subscriptions",
                "--no-password",
                "--quote-all-identifiers",
            ])
            .arg(format!("--role={name}"))
            .arg(format!("--host={host}"))
            .arg(format!("--port={port}"))
            .arg(format!("--username={}", self.user))
            .arg(format!("--dbname={name}"))
            .time_limit(longest(cx))
            .pipe(cx, move |pieces| {
                let mut file = Measured::file(into);
                for piece in pieces {
                    file.write_all(&piece)?;
                }
                Ok(file.durable()?)
            })
            .await
            .with_context(|| format!("cannot dump the database {name}"));
        folder.remove_file(&passwords)?;
        done
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
        let (host, port) = self.server.site_place();
        let done = Command::new(program("pg_restore"))
            .env("PGPASSFILE", folder.path().join(&passwords))
            .args(["--format=custom", "--no-owner", "--no-privileges"])
            .args(["--single-transaction", "--exit-on-error", "--no-password"])
            .arg(format!(
                "--dbname=host={} port={port} user={} dbname={}",
                value(&host),
                value(name.as_str()),
                value(name.as_str())
            ))
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

/// A program of PostgreSQL's, of the newest version that is there: it understands the dumps and the servers of all before.
/// What lies in /usr/bin on a Debian only looks for it.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let paths = versions.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        let path = entry.path().join("bin").join(name);
        path.exists().then_some((version, path))
    });
    let newest = paths.max().map(|(_, path)| path);
    newest.unwrap_or_else(|| Path::new("/usr/bin").join(name))
}
