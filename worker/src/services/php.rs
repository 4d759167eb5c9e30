//! PHP: the command line that installers run with, and whether php-fpm answers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use super::fastcgi;
use crate::config;
use crate::process::Command;

const PATIENCE: Duration = Duration::from_secs(10);
/// How long a script of ours may run in php-fpm.
const RUN: Duration = Duration::from_secs(120);

/// PHP as the configuration names it.
#[derive(Clone, Debug)]
pub struct Php {
    binary: PathBuf,
    fpm_socket: PathBuf,
}

impl Php {
    /// From the configuration; nothing is started.
    #[must_use]
    pub fn new(config: &config::Php) -> Self {
        Self {
            binary: config.binary.clone(),
            fpm_socket: config.fpm_socket.clone(),
        }
    }

    /// The interpreter, to be given a script: errors go to stderr, which is the task's log, and nowhere
    /// where a visitor could see them.
    #[must_use]
    pub fn command(&self) -> Command {
        Command::new(&self.binary).args(["-d", "display_errors=stderr", "-d", "log_errors=0"])
    }

    /// The interpreter's path.
    #[must_use]
    pub fn binary(&self) -> &Path {
        &self.binary
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
