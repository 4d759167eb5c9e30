//! Snapshots that go, and the locks of what was killed.

use std::path::Path;
use std::time::Duration;

use kolga_protocol::id::Run;
use serde::{Deserialize, Serialize};

use super::{RESTIC, Restic, aside};
use crate::cx::Cx;

/// How often it is tried again while another spoke has the repository to itself, and how long in between.
const TRIES: u32 = 60;
const BETWEEN: Duration = Duration::from_secs(2);

/// When a snapshot came to a repository, or went, for the last time: seconds and nanoseconds. Only told by a repository
/// that is a folder of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark(i64, i64);

impl Restic {
    /// Where the repository stands.
    #[must_use]
    pub fn mark(&self) -> Option<Mark> {
        use std::os::unix::fs::MetadataExt as _;
        let snapshots = self.config.folder()?.join("snapshots");
        let found = std::fs::metadata(snapshots).ok()?;
        Some(Mark(found.mtime(), found.mtime_nsec()))
    }

    /// Forgets the snapshot that names this run, and what a crash left of the command that made it. `before` is the mark of
    /// before that command: while it stands there is no snapshot of this run's.
    ///
    /// # Errors
    /// When the repository cannot be reached, or somebody else has it to himself for too long.
    pub async fn forget_run(&self, cx: &Cx, run: Run, before: Option<Mark>) -> anyhow::Result<()> {
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
        self.unlock(cx).await?;
        if before.is_some() && self.mark() == before {
            return Ok(());
        }
        let ours = self.snapshots(cx, &format!("run={run}")).await?;
        let ids: Vec<String> = ours.into_iter().map(|snapshot| snapshot.id).collect();
        self.forget(cx, &["forget"], &ids).await
    }

    /// Takes away the locks of processes of this machine that are gone, and no others.
    async fn unlock(&self, cx: &Cx) -> anyhow::Result<()> {
        if self.config.folder().is_some_and(has_no_lock) {
            return Ok(());
        }
        let unlocked = self.command(cx)?.arg("unlock").capture(cx).await?;
        unlocked.success(RESTIC).map(drop)
    }

    /// Has restic do `how` to these snapshots; none is nothing to do. Whoever calls has the repository to himself here.
    async fn forget(&self, cx: &Cx, how: &[&str], ids: &[String]) -> anyhow::Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        for _ in 0..TRIES {
            let done = self.command(cx)?.args(how).args(ids).capture(cx).await?;
            let said = String::from_utf8_lossy(&done.stderr);
            if done.status.success() || !said.contains("already locked") {
                return done.success(RESTIC).map(drop);
            }
            // Another spoke's backup: nothing tells when it is through.
            tokio::time::sleep(BETWEEN).await;
        }
        anyhow::bail!("the repository is locked by somebody else: see restic list locks")
    }
}

/// Whether nobody has the folder of a repository, nor has died while he had it.
fn has_no_lock(folder: &Path) -> bool {
    std::fs::read_dir(folder.join("locks")).is_ok_and(|mut locks| locks.next().is_none())
}
