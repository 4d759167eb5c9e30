//! PHP: the command line that installers run with, and where php-fpm is and whether it answers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use super::fastcgi;
use crate::config;
use crate::pools::Pool;
use crate::process::Command;

const PATIENCE: Duration = Duration::from_secs(10);
/// Errors go to stderr and nowhere else.
const QUIET: [&str; 4] = ["-d", "display_errors=stderr", "-d", "log_errors=0"];
/// How long a script of ours may run in php-fpm.
const RUN: Duration = Duration::from_secs(120);

/// PHP as the configuration names it.
#[derive(Clone, Debug)]
pub struct Php {
    binary: PathBuf,
    fpm_socket: PathBuf,
}

/// Where Debian's php-fpm makes its sockets, one a version, and a name for the one that is the default.
const SOCKETS: &str = "/run/php";
const DEFAULT_SOCKET: &str = "/run/php/php-fpm.sock";

/// Debian's socket of the newest version that there is.
fn newest_socket(folder: &Path) -> Option<PathBuf> {
    let version = |name: &str| {
        let version = name.strip_prefix("php")?.strip_suffix("-fpm.sock")?;
        let (major, minor) = version.split_once('.')?;
        Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
    };
    let entries = std::fs::read_dir(folder).ok()?;
    let names = entries.flatten().map(|entry| entry.file_name());
    let newest = names
        .filter_map(|name| {
            let name = name.into_string().ok()?;
            version(&name).map(|version| (version, name))
        })
        .max()?;
    Some(folder.join(newest.1))
}

impl Php {
    /// From the configuration; nothing is started.
    #[must_use]
    pub fn new(config: &config::Php) -> Self {
        let named = config.fpm_socket.clone();
        Self {
            binary: config.binary.clone(),
            fpm_socket: named
                .or_else(|| newest_socket(Path::new(SOCKETS)))
                .unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET)),
        }
    }

    /// The interpreter, to be given a script: errors go to stderr, which is the task's log, and nowhere
    /// where a visitor could see them.
    #[must_use]
    pub fn command(&self) -> Command {
        Command::new(&self.binary).args(QUIET)
    }

    /// The same as the user of a pool.
    #[must_use]
    pub fn command_of(&self, pool: &Pool) -> Command {
        pool.command(&self.binary).args(QUIET)
    }

    /// The interpreter's path.
    #[must_use]
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// The same PHP, with the php-fpm that listens here.
    #[must_use]
    pub fn at(&self, socket: &Path) -> Self {
        Self {
            binary: self.binary.clone(),
            fpm_socket: socket.to_owned(),
        }
    }

    /// Where nginx reaches php-fpm.
    #[must_use]
    pub fn fpm_socket(&self) -> &Path {
        &self.fpm_socket
    }

    /// Whether php-fpm answers: asked for a script that does not exist, it must say so.
    ///
    /// # Errors
    /// When it does not, with what to do.
    pub async fn ping(&self) -> anyhow::Result<()> {
        let shown = self.fpm_socket.display();
        tokio::time::timeout(PATIENCE, self.ask())
            .await
            .map_err(|_| anyhow::anyhow!("php-fpm at {shown} gives no answer: are all its children busy?"))?
            .with_context(|| format!("php-fpm at {shown} does not answer: is it running, and may this user connect (listen.acl_users)?"))
    }

    async fn ask(&self) -> anyhow::Result<()> {
        let missing = Path::new("/nonexistent/kolga-check.php");
        fastcgi::call(&self.fpm_socket, missing).await.map(drop)
    }

    /// Has php-fpm run a script as its own user, and gives back what the script wrote.
    ///
    /// # Errors
    /// When php-fpm does not answer.
    pub async fn run_as_web_user(&self, script: &Path) -> anyhow::Result<String> {
        let shown = self.fpm_socket.display();
        let answer = tokio::time::timeout(RUN, fastcgi::call(&self.fpm_socket, script))
            .await
            .map_err(|_| anyhow::anyhow!("php-fpm at {shown} takes too long"))?
            .with_context(|| format!("php-fpm at {shown} does not answer"))?;
        let text = String::from_utf8_lossy(&answer);
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Ok(body.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    #[test]
    fn the_socket_of_the_newest_version_is_found_by_itself() {
        let scratch = Scratch::new();
        assert_eq!(newest_socket(scratch.path()), None);
        assert_eq!(newest_socket(&scratch.path().join("missing")), None);
        for name in [
            "php8.2-fpm.sock",
            "php8.10-fpm.sock",
            "php-fpm.sock",
            "php9.x-fpm.sock",
        ] {
            std::fs::write(scratch.path().join(name), "").expect("written");
        }
        let found = newest_socket(scratch.path()).expect("found");
        assert!(found.ends_with("php8.10-fpm.sock"), "{}", found.display());
    }
}
