//! nginx: one file a site, tested aside, swapped in, tested whole, reloaded; or nothing changed.
//!
//! A new site's file is first tested in a configuration around it alone, so that a bad line is found while
//! it can hurt nobody. Only then does it go among the others, in [`turn`]. Tasks that change sites at the same
//! time share one test and one reload.

mod answer;
mod complaint;
mod kept;
pub mod snippet;
mod stage;
mod turn;
mod workers;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kolga_protocol::names::HostName;

use crate::config;
use crate::cx::{Cx, Stop};
use crate::files::Dir;
use crate::process::Command;
use kolga_protocol::fault;

use turn::{Change, Turns};
use workers::Workers;

pub use answer::{Answer, Door};
pub use kept::Kept;

const LONGEST: u64 = 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(60);

/// The web server.
#[derive(Debug)]
pub struct Nginx {
    config: Arc<config::Nginx>,
    turns: Arc<Turns>,
}

impl Nginx {
    /// From the configuration. After a reload of the configuration it shares its turn with the one before,
    /// which tasks may still be using.
    #[must_use]
    pub fn new(config: &config::Nginx, previous: Option<&Self>) -> Self {
        Self {
            config: Arc::new(config.clone()),
            turns: previous.map_or_else(Arc::default, |previous| Arc::clone(&previous.turns)),
        }
    }

    /// The file of a site, there or not.
    #[must_use]
    pub fn vhost_path(&self, host: &HostName) -> PathBuf {
        self.config.sites_dir.join(file_name(host))
    }

    /// What the file of a site says; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn vhost(&self, host: &HostName) -> anyhow::Result<Option<String>> {
        let bytes = self.sites_dir()?.read(file_name(host), LONGEST)?;
        bytes
            .map(|bytes| String::from_utf8(bytes).context("it is not text"))
            .transpose()
            .with_context(|| format!("cannot take over {}", self.vhost_path(host).display()))
    }

    /// Puts a site on the web: tested aside, swapped in, tested whole, reloaded.
    ///
    /// # Errors
    /// When nginx does not accept it or cannot be reloaded. What was there before is there again then.
    pub async fn publish(&self, cx: &Cx, host: &HostName, text: &str) -> anyhow::Result<()> {
        let (text, keep) = (text.to_owned(), None);
        self.change(cx, host, Change::Publish { text, keep }).await
    }

    /// The same, and what was there before is kept under another name, for [`Nginx::put_back`].
    ///
    /// # Errors
    /// As [`Nginx::publish`].
    pub async fn replace(
        &self,
        cx: &Cx,
        host: &HostName,
        text: &str,
        keep: Kept,
    ) -> anyhow::Result<()> {
        let (text, keep) = (text.to_owned(), Some(keep));
        self.change(cx, host, Change::Publish { text, keep }).await
    }

    /// Takes a site off the web; its file is kept under another name, for [`Nginx::put_back`].
    ///
    /// # Errors
    /// When the file cannot be moved, nginx does not accept what is left, or cannot be reloaded.
    pub async fn take_off(&self, cx: &Cx, host: &HostName, keep: Kept) -> anyhow::Result<()> {
        self.change(cx, host, Change::TakeOff(keep)).await
    }

    /// Makes a site's file what it was, or takes it away, and reloads; also when the file is that already,
    /// because nginx may still have to be told. For undo, and for taking a site off the web. Is not stopped.
    ///
    /// # Errors
    /// When the file cannot be changed, nginx does not accept what is there now, or cannot be reloaded.
    pub async fn restore(
        &self,
        cx: &Cx,
        host: &HostName,
        previous: Option<&str>,
    ) -> anyhow::Result<()> {
        self.put_back(cx, host, previous, None).await
    }

    /// The same, where what was there may have been kept: then it needs no room on the disk.
    ///
    /// # Errors
    /// As [`Nginx::restore`].
    pub async fn put_back(
        &self,
        cx: &Cx,
        host: &HostName,
        previous: Option<&str>,
        kept: Option<&Kept>,
    ) -> anyhow::Result<()> {
        let (previous, kept) = (previous.map(str::to_owned), kept.cloned());
        self.change(cx, host, Change::Restore { previous, kept })
            .await
    }

    /// Tests what serves.
    ///
    /// # Errors
    /// When nginx does not accept its configuration: names the file, the line and the reason.
    pub async fn test(&self, cx: &Cx) -> anyhow::Result<()> {
        let _turn = self.take_turn().await?;
        self.run(cx, &self.config.test, None).await
    }

    /// Makes nginx read its configuration anew, as it is.
    ///
    /// # Errors
    /// When the command fails: nginx does not run, or the worker may not.
    pub async fn reload(&self, cx: &Cx) -> anyhow::Result<()> {
        let _turn = self.take_turn().await?;
        self.run(cx, &self.config.reload, None).await
    }

    /// Writes our own include file where it is missing.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn ensure_include(&self) -> anyhow::Result<()> {
        let include = &self.config.include;
        if include.exists() {
            return Ok(());
        }
        let (dir, name) = parent(include)?;
        let text = format!(
            "# Kolga's sites. Have the http block include this file.\ninclude {}/*.conf;\n",
            self.config.sites_dir.display()
        );
        dir.write_atomically(name, text.as_bytes(), 0o644)
    }

    /// What the configuration says of nginx.
    #[must_use]
    pub fn config(&self) -> &config::Nginx {
        &self.config
    }

    /// Tests and loads what is there, and returns when all visitors see it.
    async fn load(&self, cx: &Cx, host: Option<&HostName>) -> anyhow::Result<()> {
        self.run(cx, &self.config.test, host).await?;
        fault::point("nginx:tested");
        let before = Workers::now(&self.config.pid_file);
        self.run(cx, &self.config.reload, host)
            .await
            .context("nginx was not told of its new configuration")?;
        fault::point("nginx:reloaded");
        before.retired(cx).await;
        Ok(())
    }

    /// Runs one of the configured commands. nginx tells on stderr what it does not like.
    async fn run(&self, cx: &Cx, argv: &[String], host: Option<&HostName>) -> anyhow::Result<()> {
        let captured = Command::from_argv(argv)?
            .time_limit(PATIENCE)
            .capture(cx)
            .await?;
        let said = String::from_utf8_lossy(&captured.stderr).into_owned();
        if captured.status.success() {
            for line in said.lines().filter(|line| line.contains("[warn]")) {
                cx.log.warn(line);
            }
            return Ok(());
        }
        let ours = host.map(|host| complaint::Ours {
            host,
            live: self.vhost_path(host),
            staged: self.config.staged.with_file_name(self.staged_site()),
        });
        if let Some(complaint) = complaint::read(&said, ours.as_ref()) {
            anyhow::bail!(complaint);
        }
        captured
            .success(argv.first().map_or("nginx", String::as_str))
            .map(drop)
    }

    fn sites_dir(&self) -> anyhow::Result<Dir> {
        Dir::open(&self.config.sites_dir).context("cannot get at the folder of nginx's sites")
    }
}

fn unstoppable(cx: &Cx) -> Cx {
    cx.same(Stop::never())
}

fn file_name(host: &HostName) -> String {
    format!("{host}.conf")
}

fn parent(path: &Path) -> anyhow::Result<(Dir, &std::ffi::OsStr)> {
    let parent = path.parent().context("it has no folder")?;
    let name = path.file_name().context("it has no name")?;
    Ok((Dir::open(parent)?, name))
}

#[cfg(test)]
mod tests;
