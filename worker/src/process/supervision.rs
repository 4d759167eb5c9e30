//! How commands are started and held together: each in a cgroup of its own where the worker may make some,
//! by process group and mark elsewhere.
//!
//! [`crate::start`] finds out which and sweeps what an earlier worker left; [`crate::spoke`] keeps it for
//! every command.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use anyhow::Context as _;
use kolga_protocol::id::Run;

use super::cgroup::{self, Base, Leaf};
use super::{Confinement, enter, reaper};
use crate::config::{Cgroups, Config, Process};

/// This very program, also when its file has been replaced: the link is followed by the child.
const SELF: &str = "/proc/self/exe";
/// Where the worker notes its base, for a successor that is started in another cgroup.
const NOTE: &str = "cgroup";

/// How commands are started and held together. Cheap to clone.
#[derive(Clone)]
pub struct Supervision {
    launcher: Option<PathBuf>,
    base: Option<Arc<Base>>,
    words: Arc<str>,
}

impl Supervision {
    /// By process groups, and children as the caller is: for whoever is no worker.
    #[must_use]
    pub fn plain() -> Self {
        Self::said("process groups")
    }

    /// As [`Supervision::plain`], but says what another process said of itself.
    #[must_use]
    pub fn said(words: &str) -> Self {
        Self {
            launcher: None,
            base: None,
            words: words.into(),
        }
    }

    /// What the configuration wants and this process may do, tried. Children are started by way of this
    /// very program.
    ///
    /// # Errors
    /// When the configuration requires cgroups and there are none.
    pub async fn find(config: &Config) -> anyhow::Result<Self> {
        Self::find_by(config, Path::new(SELF)).await
    }

    /// As [`Supervision::find`], from another program than `kolga-worker`, which then is `launcher`.
    ///
    /// # Errors
    /// When the configuration requires cgroups and there are none.
    pub async fn find_by(config: &Config, launcher: &Path) -> anyhow::Result<Self> {
        let (base, words) = match config.process.cgroups {
            Cgroups::Off => (
                None,
                "process groups (process.cgroups is \"off\")".to_owned(),
            ),
            wanted => match try_cgroups(&config.state_dir, launcher).await {
                Ok(base) => {
                    let words = format!("a cgroup for each command, below {}", base.dir.display());
                    (Some(Arc::new(base)), words)
                }
                Err(error) if wanted == Cgroups::Require => {
                    return Err(error).context(
                        "process.cgroups is \"require\", but no cgroup can be made: set Delegate=yes in the \
                         worker's systemd unit",
                    );
                }
                Err(error) => (
                    None,
                    format!("process groups, for want of a cgroup: {error:#}"),
                ),
            },
        };
        Ok(Self {
            launcher: Some(launcher.to_owned()),
            base,
            words: words.into(),
        })
    }

    /// Which it is, for a person.
    #[must_use]
    pub fn words(&self) -> &str {
        &self.words
    }

    /// Whether what runs as another user can be ended, too: the kernel does that with a cgroup, whoever is in it.
    #[must_use]
    pub fn has_cgroups(&self) -> bool {
        self.base.is_some()
    }

    /// Ends whatever an earlier worker's commands left in cgroups. The caller holds the lock on the state
    /// directory. Before any rollback: what is being taken back must not be written to any more.
    ///
    /// # Errors
    /// When the note of where they are cannot be written.
    pub async fn sweep(&self, state_dir: &Path) -> anyhow::Result<()> {
        let note = state_dir.join(NOTE);
        let own = self.base.as_ref().map(|base| base.dir.clone());
        let mut bases: Vec<PathBuf> = own.iter().cloned().collect();
        if let Ok(text) = std::fs::read_to_string(&note) {
            let noted = PathBuf::from(text.trim_end());
            let ours = noted.ends_with(cgroup::name(state_dir)) && noted.is_dir();
            if ours && !bases.contains(&noted) {
                bases.push(noted);
            }
        }
        for base in &bases {
            match cgroup::sweep(base).await {
                Ok(0) => {}
                Ok(count) => {
                    tracing::info!(count, "ended what commands of an earlier worker had left")
                }
                // What carries its attempt's mark is found and ended once more before its rollback.
                Err(error) => tracing::error!(error = format!("{error:#}"), "leftovers"),
            }
        }
        let text = own.map(|own| own.display().to_string()).unwrap_or_default();
        std::fs::write(&note, text).with_context(|| format!("cannot write {}", note.display()))
    }

    /// A cgroup for a command, where there are any.
    pub(super) fn leaf(&self, run: Run) -> anyhow::Result<Option<Leaf>> {
        self.base.as_ref().map(|base| base.leaf(run)).transpose()
    }

    /// The program as a command that goes into its cgroup and gives way first.
    pub(super) fn command(
        &self,
        program: &Path,
        leaf: Option<&Leaf>,
        confinement: Option<&Confinement>,
        process: &Process,
    ) -> anyhow::Result<tokio::process::Command> {
        let Some(launcher) = &self.launcher else {
            anyhow::ensure!(
                confinement.is_none(),
                "only a worker confines what it starts"
            );
            return Ok(tokio::process::Command::new(program));
        };
        // Said here and not by the launcher, which could only end with a status.
        rustix::fs::access(program, rustix::fs::Access::EXEC_OK)?;
        Ok(launch(launcher, program, leaf, confinement, process))
    }
}

fn launch(
    launcher: &Path,
    program: &Path,
    leaf: Option<&Leaf>,
    confinement: Option<&Confinement>,
    process: &Process,
) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(launcher);
    command.arg(enter::ENTER);
    match leaf {
        Some(leaf) => command.arg(&leaf.dir),
        None => command.arg(enter::NONE),
    };
    command
        .arg(process.nice.to_string())
        .arg(if process.io_idle {
            enter::IDLE
        } else {
            enter::NONE
        })
        // Folders by name, of which the child could be told in no better way: it is plain data.
        .arg(confinement.map_or(enter::NONE.to_owned(), |to| {
            serde_json::json!(to).to_string()
        }))
        .arg(program);
    command
}

/// Makes the base and has a program run below it.
async fn try_cgroups(state_dir: &Path, launcher: &Path) -> anyhow::Result<Base> {
    let base = Base::prepare(state_dir)?;
    let leaf = base.trial()?;
    let process = Process {
        nice: 0,
        io_idle: false,
        cgroups: Cgroups::Auto,
    };
    let mut command = launch(
        launcher,
        Path::new("/bin/true"),
        Some(&leaf),
        None,
        &process,
    );
    command
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let (child, pid) = reaper::spawn(&mut command)?;
    let output = child.wait_with_output().await;
    reaper::forget(pid);
    leaf.remove();
    let output = output?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{}", said.trim());
    Ok(base)
}
