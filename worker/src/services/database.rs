//! The database server of a site, whichever it is: what steps ask of one, told to [`super::mariadb`] or to
//! [`super::postgresql`].
//!
//! A site's entry names its [`Engine`], and so does the record of each step that needs it; [`crate::spoke::Spoke::database`]
//! gives the [`Service`] to it. What a site gets is the same everywhere: a database and a user of one name, who has all rights
//! there and none elsewhere, both with the mark of the run that made them where the server can keep one.

mod authority;
mod dumped;
mod foreign;
mod room;

use std::time::Duration;

use kolga_protocol::names::{DatabaseName, Engine};

use super::mariadb::{Former, Mariadb};
use super::postgresql::Postgresql;
use super::postgresql::functions::Function;
use crate::cx::Cx;
use crate::files::Dir;
use crate::profile::Tables;
use crate::profile::template::Database;
use crate::secrets::Secret;
pub use authority::Authority;
pub(super) use authority::told;
pub use dumped::Dumped;
pub(crate) use dumped::{Measured, hex};
pub use foreign::{Account, Inside, Spot};
pub(super) use room::room_for_dump;

/// What a site's database user may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Whether it has all rights on its own database.
    pub on_its_own: bool,
    /// On what else it has any.
    pub elsewhere: Vec<String>,
}

/// What becomes of a site's user that comes with a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// It is let in.
    Open,
    /// It has another password, or none that is good for longer.
    OtherPassword,
    /// It may not log in; in PostgreSQL also, is not in the group of sites' roles.
    KeptOut,
    /// It may log in, and not to this database.
    NoRight,
    /// All of that is as it should be, and yet it is not let in: by what stands elsewhere (pg_hba.conf, `REQUIRE`).
    Shut,
}

/// One of a spoke's database servers.
#[derive(Clone, Copy, Debug)]
pub enum Service<'a> {
    /// Of MariaDB.
    Mariadb(&'a Mariadb),
    /// Of PostgreSQL.
    Postgresql(&'a Postgresql),
}

/// Asks the one or the other.
macro_rules! ask {
    ($service:expr, $it:ident => $asked:expr) => {
        match $service {
            Service::Mariadb($it) => $asked,
            Service::Postgresql($it) => $asked,
        }
    };
}

/// How long a program that dumps or imports may run: a task ends at its own limit before.
pub(super) fn longest(cx: &Cx) -> Duration {
    Duration::from_secs(cx.spoke.config.limits.task_timeout_seconds)
}

impl Service<'_> {
    /// Which it is.
    #[must_use]
    pub fn engine(self) -> Engine {
        match self {
            Self::Mariadb(_) => Engine::Mariadb,
            Self::Postgresql(_) => Engine::Postgresql,
        }
    }

    /// The server's version.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn version(self) -> anyhow::Result<String> {
        ask!(self, it => it.version().await)
    }

    /// For what these functions of an administrator's are needed for, where the server is one that works by such.
    ///
    /// # Errors
    /// Which are missing, and what to do.
    pub async fn needs(self, functions: &[Function]) -> anyhow::Result<()> {
        match self {
            Self::Mariadb(_) => Ok(()),
            Self::Postgresql(it) => it.needs(functions).await,
        }
    }

    /// Whether there is a database of this name.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn has_database(self, name: &DatabaseName) -> anyhow::Result<bool> {
        ask!(self, it => it.has_database(name).await)
    }

    /// The comment of the database of this name, which is its owner when the worker made it; `None` when there is no
    /// such database.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn comment_of(self, name: &DatabaseName) -> anyhow::Result<Option<String>> {
        ask!(self, it => it.comment_of(name).await)
    }

    /// Whether there is a user of this name.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn has_user(self, name: &DatabaseName) -> anyhow::Result<bool> {
        ask!(self, it => it.has_user(name).await)
    }

    /// What the user of this name may do, as far as it is about databases. `None` when there is no such user.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn rights(self, name: &DatabaseName) -> anyhow::Result<Option<Rights>> {
        ask!(self, it => it.rights(name).await)
    }

    /// Whether the user of this name is let in with this password.
    ///
    /// # Errors
    /// When the server does not say.
    pub async fn lets_in(self, name: &DatabaseName, password: &Secret) -> anyhow::Result<bool> {
        ask!(self, it => it.lets_in(name, password).await)
    }

    /// What becomes of the user of this name that comes with this password, on the way that sites take.
    ///
    /// # Errors
    /// When the server does not say.
    pub async fn way_in(self, name: &DatabaseName, password: &Secret) -> anyhow::Result<Door> {
        ask!(self, it => it.way_in(name, password).await)
    }

    /// Why the user and the database of this name, with this mark, are not to be mended; `None` where they are.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn why_not_mend(
        self,
        name: &DatabaseName,
        mark: &str,
        other_password: bool,
    ) -> anyhow::Result<Option<String>> {
        match self {
            Self::Mariadb(it) => it.why_not_mend(name, mark, other_password).await,
            Self::Postgresql(it) => it.why_not_mend(name, mark).await,
        }
    }

    /// What the user of this name is, where the server does not keep that itself while it is mended.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn former(self, name: &DatabaseName) -> anyhow::Result<Option<Former>> {
        match self {
            Self::Mariadb(it) => it.former(name).await.map(Some),
            Self::Postgresql(_) => Ok(None),
        }
    }

    /// Forgets what the server has kept of the user of this name for going back.
    ///
    /// # Errors
    /// When the server does not do it.
    pub async fn forget_former(self, name: &DatabaseName, run: &str) -> anyhow::Result<()> {
        match self {
            Self::Mariadb(it) => it.forget_former(name, run).await,
            // That of the last run that mended it stays until its user goes.
            Self::Postgresql(_) => Ok(()),
        }
    }

    /// Whether the user of this name is kept out.
    ///
    /// # Errors
    /// When there is no such user, or the server cannot be asked.
    pub async fn is_locked(self, name: &DatabaseName) -> anyhow::Result<bool> {
        ask!(self, it => it.is_locked(name).await)
    }

    /// Makes a database that belongs to `owner`, such as `run.to_string()`.
    ///
    /// # Errors
    /// When there is one of this name, or the worker's account may not.
    pub async fn create_database(self, name: &DatabaseName, owner: &str) -> anyhow::Result<()> {
        ask!(self, it => it.create_database(name, owner).await)
    }

    /// Drops a database when it is `owner`'s. Says whether it was. Somebody else's stays.
    ///
    /// # Errors
    /// When the server cannot be asked, or the worker's account may not.
    pub async fn drop_database_of(self, name: &DatabaseName, owner: &str) -> anyhow::Result<bool> {
        ask!(self, it => it.drop_database_of(name, owner).await)
    }

    /// Makes a user that belongs to `owner`, as far as the server can note that of a user.
    ///
    /// # Errors
    /// When there is one of this name, or the worker's account may not. Never tells the password.
    pub async fn create_user(
        self,
        name: &DatabaseName,
        password: &Secret,
        owner: &str,
    ) -> anyhow::Result<()> {
        match self {
            Self::Mariadb(it) => it.create_user(name, password).await,
            Self::Postgresql(it) => it.create_user(name, password, owner).await,
        }
    }

    /// Drops a user and its rights; there need not be one. What the server notes as somebody else's stays; where an
    /// older release has noted nothing, there is no `owner` to compare.
    ///
    /// # Errors
    /// When the worker's account may not.
    pub async fn drop_user_of(
        self,
        name: &DatabaseName,
        owner: Option<&str>,
    ) -> anyhow::Result<()> {
        match self {
            Self::Mariadb(it) => it.drop_user(name).await,
            Self::Postgresql(it) => it.drop_user_of(name, owner).await,
        }
    }

    /// Keeps a user out who was let in, or lets him in again; there need not be one. Connections that are open
    /// stay open.
    ///
    /// # Errors
    /// When the worker's account may not.
    pub async fn lock_user(self, name: &DatabaseName, locked: bool) -> anyhow::Result<()> {
        ask!(self, it => it.lock_user(name, locked).await)
    }

    /// Keeps a user out, and ends what connections it has; how many there were.
    ///
    /// # Errors
    /// When the server does not do it.
    pub async fn close_to_user(
        self,
        name: &DatabaseName,
        password: &Secret,
    ) -> anyhow::Result<usize> {
        match self {
            Self::Mariadb(it) => it.close_to_user(name, password).await,
            Self::Postgresql(it) => it.close_to_user(name).await,
        }
    }

    /// Gives the user of this name all rights on the database of this name and on no other. A PostgreSQL's user has them
    /// since the database is its own from the first moment.
    ///
    /// # Errors
    /// When one of both is missing, or the worker's account may not.
    pub async fn grant(self, name: &DatabaseName) -> anyhow::Result<()> {
        match self {
            Self::Mariadb(it) => it.grant(name).await,
            Self::Postgresql(_) => Ok(()),
        }
    }

    /// How many bytes the database takes up on the server, indexes included: what a dump of it may come to, and what
    /// the same database takes beside it.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn size_of(self, name: &DatabaseName) -> anyhow::Result<u64> {
        ask!(self, it => it.size_of(name).await)
    }

    /// Dumps a database into a new file of a folder of the worker's own, as it is at one moment and without the rows of
    /// some tables. On an error the file may be there, half written.
    ///
    /// # Errors
    /// When there is too little room, there is a file already, or the program fails or is stopped.
    pub async fn dump(
        self,
        cx: &Cx,
        name: &DatabaseName,
        without: &[Tables],
        folder: &Dir,
        file: &str,
    ) -> anyhow::Result<Dumped> {
        ask!(self, it => it.dump(cx, name, without, folder, file).await)
    }

    /// Imports a dump of a folder of the worker's own into an empty database, as the user of the same name.
    ///
    /// # Errors
    /// When something is in the database, or the program fails or is stopped.
    pub async fn import(
        self,
        cx: &Cx,
        name: &DatabaseName,
        password: &Secret,
        folder: &Dir,
        file: &str,
    ) -> anyhow::Result<()> {
        ask!(self, it => it.import(cx, name, password, folder, file).await)
    }

    /// Who has signed the server's certificate, where it is spoken to over TLS alone.
    #[must_use]
    pub fn authority(&self) -> Option<Authority<'_>> {
        match self {
            Self::Mariadb(it) => it.server().authority(),
            Self::Postgresql(it) => it.server().authority(),
        }
    }

    /// What a site's settings say of the server, and of the account that the site has there.
    #[must_use]
    pub fn settings(self, name: &DatabaseName, password: &Secret) -> Database {
        ask!(self, it => it.server().settings(name, password))
    }
}
