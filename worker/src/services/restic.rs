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
//! Snapshots are told apart by tags: `kolga`, `site=<host>`, `run=<run>`, `at=<milliseconds>`.

mod contents;
mod lines;
mod restore;

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

use super::mariadb::{Dumped, Measured};
use crate::config::Backups;
use crate::cx::Cx;
use crate::files::Dir;
use crate::process::{Command, Confinement, Pieces};

pub use contents::Contents;

const RESTIC: &str = "/usr/bin/restic";
/// The cache of what is far away, in the worker's own folder.
const CACHE: &str = "restic-cache";
/// How often it is tried again while another spoke has the repository to itself, and how long in between.
const TRIES: u32 = 60;
const BETWEEN: Duration = Duration::from_secs(2);
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
    /// Its name.
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
        Ok(format!("{}, {}", text.trim(), self.config.repository))
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
            if asked.status.success() {
                return Ok(());
            }
            let made = self.command(cx)?.arg("init").capture(cx).await?;
            let made = made.success(RESTIC);
            return made.map(drop).context("the repository cannot be made");
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
        let before = self
            .snapshots(cx, &format!("kolga,site={}", wanted.host))
            .await?;
        let tags = format!(
            "kolga,site={},run={},at={}",
            wanted.host,
            wanted.run,
            UnixMillis::now().0
        );
        let mut command = self
            .command(cx)?
            .args(["backup", "--json", "--one-file-system"])
            .arg(format!("--host={}", cx.spoke.config.server))
            .arg(format!("--tag={tags}"))
            // Files that a glance shows to be those of the last time are not read again.
            .args(before.last().map(|last| format!("--parent={}", last.id)));
        for path in &wanted.exclude {
            command = command.arg(format!("--exclude={}", path.display()));
        }
        let log = cx.log.clone();
        fault::point("restic:backup");
        let summary = command
            .args(&wanted.gathered)
            .arg(&wanted.folder)
            .dir(&wanted.stage)
            .env("TMPDIR", &wanted.stage)
            // Every fifth of a second without it.
            .env("RESTIC_PROGRESS_FPS", "0.2")
            .confined(self.confinement(cx, &wanted))
            .time_limit(longest(cx))
            .pipe(cx, move |pieces| lines::summary(pieces, &log))
            .await
            .context("the backup is not complete")?;
        fault::point("restic:made");
        let ours = self.snapshots(cx, &format!("run={}", wanted.run)).await?;
        let ours = ours.into_iter().next().context("restic made no snapshot")?;
        Ok(Made {
            id: ours.id,
            files: summary.files(),
            bytes: summary.total_bytes_processed,
            bytes_added: summary.data_added,
        })
    }

    /// Forgets the snapshot that names this run, and what a crash left of the command that made it.
    ///
    /// # Errors
    /// When the repository cannot be reached, or somebody else has it to himself for too long.
    pub async fn forget_run(&self, cx: &Cx, run: Run) -> anyhow::Result<()> {
        if let Some(folder) = self.config.folder() {
            let Ok((parent, _, aside)) = aside(folder, run) else {
                return Ok(());
            };
            parent.remove_tree(aside)?;
            if !folder.join("config").is_file() {
                return Ok(());
            }
        }
        let _alone = self.turn.write().await;
        let ids = self.snapshots(cx, &format!("run={run}")).await?;
        // Those of processes of this machine that are gone, and no others.
        let unlocked = self.command(cx)?.arg("unlock").capture(cx).await?;
        unlocked.success(RESTIC)?;
        if ids.is_empty() {
            return Ok(());
        }
        for _ in 0..TRIES {
            let ids = ids.iter().map(|snapshot| &snapshot.id);
            let done = self
                .command(cx)?
                .arg("forget")
                .args(ids)
                .capture(cx)
                .await?;
            let said = String::from_utf8_lossy(&done.stderr);
            if done.status.success() || !said.contains("already locked") {
                return done.success(RESTIC).map(drop);
            }
            // Another spoke's backup: nothing tells when it is through.
            tokio::time::sleep(BETWEEN).await;
        }
        anyhow::bail!("the repository is locked by somebody else: see restic list locks")
    }

    /// The backups of this spoke, of one site or of all, in no order.
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
        let backup = |snapshot: Snapshot| {
            Some(Backup {
                site: snapshot.tag("site")?.parse().ok()?,
                at: UnixMillis(snapshot.tag("at")?.parse().ok()?),
                id: snapshot.id,
            })
        };
        Ok(all.into_iter().filter_map(backup).collect())
    }

    /// How many files a snapshot lists.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub async fn files_in(&self, cx: &Cx, id: &str) -> anyhow::Result<u64> {
        let _turn = self.turn.read().await;
        self.command(cx)?
            .args(["ls", "--json", "--no-lock", "--"])
            .arg(id)
            .time_limit(longest(cx))
            .pipe(cx, lines::files)
            .await
            .context("the backup's list of files cannot be read")
    }

    /// What a file at the top of a snapshot is.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    pub async fn digest_of(&self, cx: &Cx, id: &str, name: &str) -> anyhow::Result<Dumped> {
        let _turn = self.turn.read().await;
        self.command(cx)?
            .args(["dump", "--no-lock", "--"])
            .arg(id)
            .arg(format!("/{name}"))
            .time_limit(longest(cx))
            .pipe(cx, |pieces| {
                use std::io::Write as _;
                let mut measured = Measured::new(std::io::sink());
                for piece in pieces {
                    measured.write_all(&piece)?;
                }
                Ok(measured.finish().0)
            })
            .await
            .with_context(|| format!("{name} cannot be read from the backup"))
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
        let password = lines::secret_file(&self.config.password_file)?;
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
        command = match self.config.folder() {
            Some(_) => command.arg("--no-cache"),
            None => command
                .arg("--cache-dir")
                .arg(cx.spoke.config.state_dir.join(CACHE)),
        };
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
            None => to.write.push(cx.spoke.config.state_dir.join(CACHE)),
        }
        if self.config.repository.starts_with("sftp:") {
            let own = cx.spoke.config.state_dir.join(".ssh");
            to.read.extend([own, PathBuf::from("/etc/ssh")]);
        }
        to
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
