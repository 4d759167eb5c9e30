//! restic: backups as snapshots in one repository, which several spokes may share. Everything in it can be read
//! with plain `restic` and the password.
//!
//! The password goes to restic over its standard input, so it is in no argv and no environment, and restic needs no
//! right to read its file. The repository's address and what the operator's `environment_file` says stand in
//! restic's environment, which only the worker's own user can read.
//!
//! restic walks by path, so whoever can write to a site's folder could lead it elsewhere through a link put into
//! its way. It is therefore confined ([`Confinement`]) to the site's folder, the worker's folder of that run and
//! the repository: what a link leads to cannot be opened, and a backup in which something cannot be opened fails.
//!
//! Snapshots are told apart by tags: `kolga`, `site=<host>`, `run=<run>`, `at=<milliseconds>`; others say what a restore has to
//! know before it begins ([`Brief`]).
//!
//! Each start of restic derives the key from the password anew, which takes most of a second by design: what is not asked of
//! it is saved. A backup of a small site into a folder of this machine takes two, the backup itself and `read_back`; a restore
//! takes two, the list of what is in it and the restore itself.

mod brief;
mod contents;
mod forget;
mod identity;
mod lines;
mod owed;
pub mod policy;
mod read_back;
mod restore;
mod ssh;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kolga_protocol::fault;
use kolga_protocol::id::{Run, UnixMillis};
use kolga_protocol::names::HostName;
use kolga_protocol::task::backup_list::Backup;
use serde::Deserialize;
use tokio::sync::RwLock;

use crate::config::Backups;
use crate::cx::Cx;
use crate::files::Dir;
use crate::process::{Command, Confinement, Pieces};
use crate::secrets::secret_file;

pub use brief::Brief;
pub use contents::Contents;
pub use forget::Mark;
pub use owed::owed_anywhere;
use policy::Policy;
pub use read_back::ReadBack;

const RESTIC: &str = "/usr/bin/restic";
/// The cache of what is far away, in the worker's own folder.
const CACHE: &str = "restic-cache";
/// How the folder in which restic runs is called by restic.
const STAGE: &str = "/proc/self/cwd";
/// What restic asks when what it looks for is not there; or when it cannot tell.
const NO_REPOSITORY: &str = "Is there a repository at the following location?";
/// No list of snapshots or files is longer.
const LONGEST: usize = 256 * 1024 * 1024;

/// The backups.
#[derive(Clone, Debug)]
pub struct Restic {
    config: Backups,
    /// restic's own locks make whoever comes second fail; within one worker he waits instead. Written to by
    /// what needs the repository for itself.
    turn: Arc<RwLock<()>>,
}

/// What a snapshot is to be made of.
pub struct Wanted {
    /// For whom.
    pub run: Run,
    /// Of which site.
    pub host: HostName,
    /// Its folder.
    pub folder: PathBuf,
    /// What its manifest says of it, in short.
    pub brief: Brief,
    /// The worker's folder for this run.
    pub stage: PathBuf,
    /// Files in that folder.
    pub gathered: Vec<&'static str>,
    /// What is left out.
    pub exclude: Vec<PathBuf>,
}

/// A snapshot that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its name as restic 0.14 tells it: the first eight digits.
    pub id: String,
    /// Files in it.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Bytes that were new.
    pub bytes_added: u64,
}

#[derive(Debug, Deserialize)]
struct Snapshot {
    id: String,
    #[serde(default)]
    tags: Vec<String>,
}

impl Snapshot {
    fn tag(&self, name: &str) -> Option<&str> {
        let values = self.tags.iter().filter_map(|tag| tag.split_once('='));
        values
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value)
            .next()
    }
}

impl Restic {
    /// From the configuration; nothing is opened yet. At a reload, `previous` is the one whose commands may still
    /// be running.
    #[must_use]
    pub fn new(config: &Backups, previous: Option<&Self>) -> Self {
        Self {
            config: config.clone(),
            turn: previous.map_or_else(Arc::default, |previous| Arc::clone(&previous.turn)),
        }
    }

    /// restic's version, when it is there and can be used.
    ///
    /// # Errors
    /// When it is not installed, or a file with secrets is not right.
    pub async fn version(&self, cx: &Cx) -> anyhow::Result<String> {
        self.command(cx)?;
        let told = Command::new(RESTIC).arg("version").capture(cx).await?;
        let told = told.success(RESTIC)?;
        let text = String::from_utf8_lossy(&told);
        Ok(format!("{}, {}", text.trim(), self.config.shown()))
    }

    /// Makes the repository where there is none. One in a folder is made aside and renamed, so that neither a
    /// crash nor another spoke leaves one that is made by half.
    ///
    /// # Errors
    /// When it can be neither opened nor made.
    pub async fn make_repository(&self, cx: &Cx, run: Run) -> anyhow::Result<()> {
        let _alone = self.turn.write().await;
        let Some(folder) = self.config.folder() else {
            let asked = self
                .command(cx)?
                .args(["cat", "config"])
                .capture(cx)
                .await?;
            if !asked.status.success() {
                let said = String::from_utf8_lossy(&asked.stderr).into_owned();
                if !said.contains(NO_REPOSITORY) {
                    let reached = asked.success(RESTIC).map(drop);
                    let reached = self.ask_host(cx).await.and(reached);
                    return reached.context("the repository cannot be reached");
                }
                let made = self.command(cx)?.arg("init").capture(cx).await?;
                let made = made.success(RESTIC);
                made.context("the repository cannot be made")?;
            }
            return Ok(());
        };
        if folder.join("config").is_file() {
            return Ok(());
        }
        let (parent, name, aside) = aside(folder, run)?;
        let init = self
            .command(cx)?
            .env("RESTIC_REPOSITORY", parent.path().join(&aside));
        let made = init.arg("init").capture(cx).await?;
        made.success(RESTIC)
            .context("the repository cannot be made")?;
        fault::point("restic:made_aside");
        let moved = parent.move_to(&aside, &parent, &name);
        if moved.is_err() && folder.join("config").is_file() {
            // Another spoke was faster.
            return parent.remove_tree(&aside);
        }
        moved?;
        cx.log
            .info(format!("made the repository {}", folder.display()));
        Ok(())
    }

    /// Makes a snapshot.
    ///
    /// # Errors
    /// When anything of it could not be read, or restic fails or is stopped. A snapshot may be there all the same.
    pub async fn back_up(&self, cx: &Cx, wanted: Wanted) -> anyhow::Result<Made> {
        let _turn = self.turn.read().await;
        let tags = format!(
            "kolga,site={},run={},at={}{}",
            wanted.host,
            wanted.run,
            UnixMillis::now().0,
            wanted.brief.tags()
        );
        if self.config.folder().is_none() {
            self.expect_to_owe(&cx.spoke.config.state_dir)?;
        }
        let mut command = self
            .command(cx)?
            .args(["backup", "--json", "--one-file-system"])
            .arg(format!("--host={}", cx.spoke.config.server))
            .arg(format!("--tag={tags}"));
        for path in &wanted.exclude {
            command = command.arg(format!("--exclude={}", path.display()));
        }
        let log = cx.log.clone();
        fault::point("restic:backup");
        let summary = command
            .args(&wanted.gathered)
            .arg(&wanted.folder)
            .dir(&wanted.stage)
            // Under the same names each time, whatever the run's folder is called, so that restic finds the backup before
            // by itself: files that a glance shows to be those of that time are not read again.
            .env("PWD", STAGE)
            .env("TMPDIR", &wanted.stage)
            // Every fifth of a second without it.
            .env("RESTIC_PROGRESS_FPS", "0.2")
            .confined(self.confinement(cx, &wanted))
            .time_limit(longest(cx))
            .pipe(cx, move |pieces| lines::summary(pieces, &log))
            .await
            .context("the backup is not complete")?;
        fault::point("restic:made");
        Ok(Made {
            files: summary.files(),
            id: summary.snapshot_id,
            bytes: summary.total_bytes_processed,
            bytes_added: summary.data_added,
        })
    }

    /// What is kept when backups are pruned, unless somebody says otherwise.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy {
            daily: self.config.keep_daily,
            weekly: self.config.keep_weekly,
            monthly: self.config.keep_monthly,
        }
    }

    /// The backups of this spoke that count, of one site or of all, in no order.
    ///
    /// # Errors
    /// When the repository cannot be reached.
    pub async fn backups(&self, cx: &Cx, site: Option<&HostName>) -> anyhow::Result<Vec<Backup>> {
        if let Some(folder) = self.config.folder()
            && !folder.join("config").is_file()
        {
            return Ok(Vec::new());
        }
        let tags = site.map_or("kolga".to_owned(), |site| format!("kolga,site={site}"));
        let all = self.snapshots(cx, &tags).await?;
        let owed = self.owed(&cx.spoke.config.state_dir)?;
        let backup = |snapshot: Snapshot| {
            Some(Backup {
                site: snapshot.tag("site")?.parse().ok()?,
                at: UnixMillis(snapshot.tag("at")?.parse().ok()?),
                id: snapshot.id,
            })
        };
        let counting = all.into_iter().filter(|it| !owed.is(it));
        Ok(counting.filter_map(backup).collect())
    }

    /// Those of this spoke with all of these tags, the oldest first.
    async fn snapshots(&self, cx: &Cx, tags: &str) -> anyhow::Result<Vec<Snapshot>> {
        let listed = self
            .command(cx)?
            .args(["snapshots", "--json", "--no-lock"])
            .arg(format!("--host={}", cx.spoke.config.server))
            .arg(format!("--tag={tags}"))
            .pipe(cx, all)
            .await
            .context("the list of snapshots cannot be read")?;
        let listed: Option<Vec<Snapshot>> = serde_json::from_slice(&listed)?;
        Ok(listed.unwrap_or_default())
    }

    /// restic with its repository, its password and what the operator gives it besides.
    fn command(&self, cx: &Cx) -> anyhow::Result<Command> {
        let password = secret_file(&self.config.password_file)?;
        anyhow::ensure!(
            !password.is_empty(),
            "{} is empty: put a long password there, and keep a copy elsewhere",
            self.config.password_file.display()
        );
        // As a file, since restic says on its standard output that it reads a password from its standard input.
        let mut command = Command::new(RESTIC)
            .arg("--password-file=/dev/stdin")
            .env("RESTIC_REPOSITORY", &self.config.repository)
            .stdin(password);
        if let Some(ssh) = self.ssh_command(cx)? {
            command = command.arg("-o").arg(format!("sftp.command={ssh}"));
        }
        command = match self.config.folder() {
            Some(_) => command.arg("--no-cache"),
            None => {
                let cache = cx.spoke.config.state_dir.join(CACHE);
                // One that is confined could not make it.
                Dir::open_or_make(&cache, 0o700)?;
                command.arg("--cache-dir").arg(cache)
            }
        };
        if let Some(file) = &self.config.ca_file {
            command = command.arg("--cacert").arg(file);
        }
        if let Some(file) = &self.config.environment_file {
            for (name, value) in lines::environment(file)? {
                command = command.env(name, value);
            }
        }
        Ok(command)
    }

    fn confinement(&self, cx: &Cx, wanted: &Wanted) -> Confinement {
        let mut to = Confinement {
            read: vec![wanted.folder.clone()],
            write: vec![wanted.stage.clone()],
        };
        match self.config.folder() {
            Some(folder) => to.write.push(folder.to_owned()),
            None => self.reach(cx, &mut to),
        }
        to
    }

    /// What a confined restic needs besides to reach what is not a folder of this machine.
    fn reach(&self, cx: &Cx, to: &mut Confinement) {
        to.write.push(cx.spoke.config.state_dir.join(CACHE));
        to.read.extend(self.config.ca_file.clone());
        if self.config.is_sftp() {
            to.read.extend(self.ssh_files(cx));
        }
    }
}

/// The repository's parent, its name there, and the name under which this run makes it.
fn aside(folder: &Path, run: Run) -> anyhow::Result<(Dir, String, String)> {
    let parent = Dir::open(folder.parent().context("the repository is no folder")?)?;
    let name = folder.file_name().and_then(|name| name.to_str());
    let name = name.context("the repository has no name")?.to_owned();
    let aside = format!(".{name}.new-{run}");
    Ok((parent, name, aside))
}

/// A task ends at its own limit before.
fn longest(cx: &Cx) -> Duration {
    Duration::from_secs(cx.spoke.config.limits.task_timeout_seconds)
}

fn all(pieces: Pieces) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    for piece in pieces {
        text.extend(piece);
        anyhow::ensure!(text.len() <= LONGEST, "restic says too much");
    }
    Ok(text)
}
