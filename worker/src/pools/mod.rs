//! Pools: php-fpms that root has made beforehand, each with a Unix user that is nobody else's. A site that has one to
//! itself can be reached by no other site's PHP.
//!
//! Which site has which is this spoke's own knowledge: an entry in its book ([`crate::registry`]), an item of the trash
//! with files of that user in it, or, while a task makes a site, a file of the run's here:
//!
//! ```text
//! <pools>/<user>.sock        where its php-fpm listens; root's
//! <pools>/<user>/tmp/        the only other place that is its user's
//! <state>/pools/<user>       taken, by the run that it names
//! ```
//!
//! Steps `open_pool` and `close_pool` take and give back; [`clean()`] sees to it that nothing of a former site is left in
//! one. Nothing here writes configuration of php-fpm's, nor could it: decision 20 says why.

mod clean;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use kolga_protocol::id::Run;
use kolga_protocol::names::{HostName, OptionName, OptionValue};

use crate::config;
use crate::files::{Dir, Kind, user_id};
use crate::process::Command;
use crate::spoke::Spoke;

pub use clean::{clean, end_processes};

/// The option of a site of any profile that says in which pool its PHP runs.
pub const OPTION: &str = "pool";
/// What it says for a pool of the site's own.
pub const OWN: &str = "own";
/// What it says for the one that sites share.
const SHARED: &str = "shared";
/// How the worker becomes a pool's user, who may then become nobody else.
const BECOME: [&str; 3] = ["/usr/bin/sudo", "-n", "-u"];
const GAIN_NOTHING: [&str; 4] = ["--", "/usr/bin/setpriv", "--no-new-privs", "--"];
/// No file of ours here is longer.
const LONGEST: u64 = 4096;

/// One pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its Unix user, and its name.
    pub user: String,
    /// The user's number.
    pub uid: u32,
    /// Where its php-fpm listens.
    pub socket: PathBuf,
    /// Where its PHP keeps sessions, uploads and what else is temporary.
    pub temporary: PathBuf,
}

impl Pool {
    /// A command that runs this one as the pool's user.
    #[must_use]
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let [sudo, quiet, user] = BECOME;
        Command::new(sudo)
            .args([quiet, user, &self.user])
            .args(GAIN_NOTHING)
            .arg(program.as_ref())
    }
}

/// All pools of this spoke.
#[derive(Clone, Debug)]
pub struct Pools {
    folder: PathBuf,
    users: Vec<String>,
    book: PathBuf,
}

impl Pools {
    /// From the configuration.
    #[must_use]
    pub fn new(config: &config::Pools, state_dir: &Path) -> Self {
        Self {
            folder: config.folder.clone(),
            users: config.users.clone(),
            book: state_dir.join("pools"),
        }
    }

    /// Their names.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.users
    }

    /// The pool of this name.
    ///
    /// # Errors
    /// When the configuration does not have it, or there is no such user.
    pub fn get(&self, user: &str) -> anyhow::Result<Pool> {
        anyhow::ensure!(
            self.users.iter().any(|known| known == user),
            "the pool {user} is not among pools.users of the worker's configuration any more"
        );
        Ok(Pool {
            user: user.to_owned(),
            uid: user_id(user)?,
            socket: self.folder.join(format!("{user}.sock")),
            temporary: self.folder.join(user).join("tmp"),
        })
    }

    /// Takes the first pool that nobody has, for a run; `None` when there is none. Of two that ask at the same moment each
    /// gets another.
    ///
    /// # Errors
    /// When the spoke's books cannot be read or written.
    pub fn take(
        &self,
        spoke: &Spoke,
        run: Run,
        but: &BTreeSet<String>,
    ) -> anyhow::Result<Option<Pool>> {
        // Two that write one file at the same moment would take each other's aside away. One worker has this book, and all
        // of its configurations, so that it is the process that takes turns.
        static TURN: Mutex<()> = Mutex::new(());
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let named = self.named(spoke)?;
        let book = self.book()?;
        for user in &self.users {
            if but.contains(user) || named.contains_key(user) || book.kind(user)?.is_some() {
                continue;
            }
            let pool = self.get(user)?;
            match book.write_new(user, run.to_string().as_bytes(), 0o600) {
                Ok(()) => return Ok(Some(pool)),
                // Somebody else was faster.
                Err(_) if book.kind(user)?.is_some() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Which run has taken a pool, as its file says.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn taken_by(&self, user: &str) -> anyhow::Result<Option<String>> {
        let book = self.book()?;
        let text = match book.kind(user)? {
            None => return Ok(None),
            Some(Kind::File) => book.read(user, LONGEST)?.unwrap_or_default(),
            // A person's, for whatever reason.
            Some(_) => return Ok(Some("nobody: it is no file".to_owned())),
        };
        Ok(Some(String::from_utf8_lossy(&text).into_owned()))
    }

    /// Gives back every pool that this run has taken, and what a crash left of taking one.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn give_back_all_of(&self, run: Run) -> anyhow::Result<()> {
        let book = self.book()?;
        for user in &self.users {
            book.remove_half_written(user)?;
            if self.taken_by(user)? == Some(run.to_string()) {
                book.remove_file(user)?;
            }
        }
        Ok(())
    }

    /// Gives a pool back, whoever has taken it.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn give_back(&self, user: &str) -> anyhow::Result<()> {
        self.book()?.remove_file(user)
    }

    /// Who has which: the site in the book, and the items of the trash that have files of the pool's user in them.
    ///
    /// # Errors
    /// When the books cannot be read.
    pub fn named(&self, spoke: &Spoke) -> anyhow::Result<BTreeMap<String, Vec<Holder>>> {
        let mut named: BTreeMap<String, Vec<Holder>> = BTreeMap::new();
        let mut note = |user: Option<String>, holder| {
            if let Some(user) = user {
                named.entry(user).or_default().push(holder);
            }
        };
        for entry in spoke.registry.sites.list()? {
            note(entry.pool, Holder::Site(entry.host, entry.owner));
        }
        for item in spoke.trash.all_with_folders()? {
            note(item.entry.pool, Holder::Trash(item.run, item.entry.host));
        }
        Ok(named)
    }

    /// Who has this one.
    ///
    /// # Errors
    /// When the books cannot be read.
    pub fn holders(&self, spoke: &Spoke, user: &str) -> anyhow::Result<Vec<Holder>> {
        Ok(self.named(spoke)?.remove(user).unwrap_or_default())
    }

    fn book(&self) -> anyhow::Result<Dir> {
        Dir::open_or_make(&self.book, 0o700).context("cannot get at the spoke's book of pools")
    }
}

/// Who has a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A site, by its name and the run that its folder is marked with.
    Site(HostName, String),
    /// What a run has put into the trash, and of which site.
    Trash(Run, HostName),
}

/// Whether a site's options ask for a pool of its own, and the options that are its profile's.
///
/// # Errors
/// When the option says anything else.
pub fn wish(
    options: &BTreeMap<OptionName, OptionValue>,
) -> anyhow::Result<(bool, BTreeMap<OptionName, OptionValue>)> {
    let mut rest = options.clone();
    let wish = rest.iter().find(|(name, _)| name.as_str() == OPTION);
    let wish = wish.map(|(name, value)| (name.clone(), value.as_str().to_owned()));
    let Some((name, value)) = wish else {
        return Ok((false, rest));
    };
    rest.remove(&name);
    match value.as_str() {
        OWN => Ok((true, rest)),
        SHARED => Ok((false, rest)),
        other => anyhow::bail!("the option {OPTION} is {OWN} or {SHARED}, and not {other:?}"),
    }
}

#[cfg(test)]
pub(crate) mod tests;
