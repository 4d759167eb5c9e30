//! How commands are started and held together: each in a cgroup of its own where the worker may make some,
//! by process group and mark elsewhere.
//!
//! [`crate::start`] finds out which and sweeps what an earlier worker left; [`crate::spoke`] keeps it for
//! every command.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use kolga_protocol::id::Run;

use super::cgroup::{self, Base, Leaf};
use super::{Confinement, enter, trial};
use crate::config::{Cgroups, Config, Process};

/// This very program, also when its file has been replaced: the link is followed by the child.
const SELF: &str = "/proc/self/exe";
/// Where the worker notes its base, for a successor that is started in another cgroup.
const NOTE: &str = "cgroup";
/// What to do where nothing can be confined.
pub const TO_CONFINE: &str = "confining takes a kernel with Landlock (Linux 5.13 or newer, `landlock` among what \
    /sys/kernel/security/lsm lists, or else put at lsm= in the kernel's command line), and in a container a seccomp filter \
    that lets landlock_create_ruleset, landlock_add_rule and landlock_restrict_self through; then restart the worker";

/// How commands are started and held together. Cheap to clone.
#[derive(Clone)]
pub struct Supervision {
    launcher: Option<PathBuf>,
    base: Option<Arc<Base>>,
    words: Arc<str>,
    /// Why none can be confined, where that was tried in vain.
    unconfined: Option<Arc<str>>,
}

impl Supervision {
    /// By process groups, and children as the caller is: for whoever is no worker.
    #[must_use]
    pub fn plain() -> Self {
        Self::said("process groups", None)
    }

    /// As [`Supervision::plain`], but says what another process said of itself.
    #[must_use]
    pub fn said(words: &str, unconfined: Option<&str>) -> Self {
        Self {
            launcher: None,
            base: None,
            words: words.into(),
            unconfined: unconfined.map(Into::into),
        }
    }

    /// For one that [`Supervision::find`] does not give: why nothing that this very program starts can be confined.
    pub async fn why_unconfined() -> Option<String> {
        trial::why_unconfined(Path::new(SELF)).await
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
            unconfined: trial::why_unconfined(launcher).await.map(Into::into),
        })
    }

    /// Why no command can be confined; `None` where nothing speaks against it.
    #[must_use]
    pub fn unconfined(&self) -> Option<&str> {
        self.unconfined.as_deref()
    }

    /// For what has to be confined.
    ///
    /// # Errors
    /// Where nothing can be: why, and what to do.
    pub fn need_confinement(&self) -> anyhow::Result<()> {
        match self.unconfined() {
            None => Ok(()),
            Some(why) => anyhow::bail!("{why}; {TO_CONFINE}"),
        }
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

pub(super) fn launch(
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
    let ran = trial::run(launcher, Some(&leaf), None).await;
    leaf.remove();
    ran.map(|()| base)
}
