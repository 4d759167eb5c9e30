//! Snapshots that go, and the locks of what was killed.

use std::path::Path;
use std::time::Duration;

use kolga_protocol::fault;
use kolga_protocol::id::Run;
use serde::{Deserialize, Serialize};

use super::{RESTIC, Restic, aside, longest};
use crate::cx::Cx;

/// How often it is tried again while another spoke has the repository to itself, and how long in between.
const TRIES: u32 = 60;
const BETWEEN: Duration = Duration::from_secs(2);
/// How often locks are looked at, and how long in between, twice as long each time: others' may be among them, which stay.
const BURIED_AFTER: u32 = 5;
const BURYING: Duration = Duration::from_millis(300);
/// How long a host that says nothing is waited for: it is the first question of whatever is undone.
const UNLOCKED_AFTER: Duration = Duration::from_secs(120);
/// Names of snapshots in one command.
const AT_ONCE: usize = 1000;

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

    /// What a crash left of the command that makes the repository.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove_aside(&self, run: Run) -> anyhow::Result<()> {
        let Some(folder) = self.config.folder() else {
            return Ok(());
        };
        match aside(folder, run) {
            Ok((parent, _, aside)) => parent.remove_tree(aside),
            // The folder in which it would lie is not there.
            Err(_) => Ok(()),
        }
    }

    /// Forgets the snapshot that names this run. `before` is the mark of before that was made: while it stands there is none,
    /// and a repository that cannot be opened need not be.
    ///
    /// # Errors
    /// When the repository cannot be reached, or somebody else has it to himself for too long.
    pub async fn forget_run(&self, cx: &Cx, run: Run, before: Option<Mark>) -> anyhow::Result<()> {
        let _alone = self.turn.write().await;
        let came = before.is_none() || self.mark() != before;
        if !came
            || self
                .config
                .folder()
                .is_some_and(|it| is_empty(&it.join("snapshots")))
        {
            // A lock of what was killed is in the way of those alone who take such away before they begin.
            if let Err(error) = self.unlock(cx).await {
                let what = "a lock may be left in the repository";
                cx.log.warn(format!("{what}: {error:#}"));
            }
            return Ok(());
        }
        self.unlock(cx).await?;
        let ours = self.snapshots(cx, &format!("run={run}")).await?;
        let ids: Vec<String> = ours.into_iter().map(|snapshot| snapshot.id).collect();
        self.forget(cx, &ids).await
    }

    /// Forgets these snapshots and takes out of the repository what no other needs; `unused` is how much of that may stay,
    /// as restic says it. What is gone already is no fault, and restic leaves the repository whole wherever it is stopped:
    /// it writes what it keeps first, then the new index, and removes last.
    ///
    /// # Errors
    /// When the repository cannot be reached, or somebody else has it to himself for too long.
    pub async fn forget_for_good(
        &self,
        cx: &Cx,
        ids: &[String],
        unused: &str,
    ) -> anyhow::Result<()> {
        self.need_repository()?;
        let _alone = self.turn.write().await;
        self.unlock(cx).await?;
        self.forget(cx, ids).await?;
        fault::point("restic:forgotten");
        self.take_out(cx, unused).await
    }

    /// Takes out of the repository what no snapshot needs, but so much of it.
    pub(super) async fn take_out(&self, cx: &Cx, unused: &str) -> anyhow::Result<()> {
        let unused = format!("--max-unused={unused}");
        self.alone(cx, &["prune".to_owned(), unused]).await
    }

    /// Takes away the locks of processes of this machine that are gone, and no others. restic takes one that was killed for
    /// a living one until somebody has buried it, which init does when it comes to it: so what stays is tried again.
    pub(super) async fn unlock(&self, cx: &Cx) -> anyhow::Result<()> {
        for tried in 0..BURIED_AFTER {
            let locks = self.config.folder().map(|it| it.join("locks"));
            if locks.as_deref().map_or(tried > 0, is_empty) {
                break;
            }
            if tried > 0 {
                tokio::time::sleep(BURYING * 2_u32.pow(tried - 1)).await;
            }
            let unlock = self.command(cx)?.arg("unlock").time_limit(UNLOCKED_AFTER);
            let unlocked = unlock.capture(cx).await?;
            unlocked.success(RESTIC)?;
        }
        Ok(())
    }

    pub(super) async fn forget(&self, cx: &Cx, ids: &[String]) -> anyhow::Result<()> {
        for some in ids.chunks(AT_ONCE) {
            let forget = ["forget".to_owned()];
            let arguments: Vec<String> = forget.iter().chain(some).cloned().collect();
            self.alone(cx, &arguments).await?;
        }
        Ok(())
    }

    /// Runs what needs the repository to itself. Whoever calls has it on this spoke.
    async fn alone(&self, cx: &Cx, arguments: &[String]) -> anyhow::Result<()> {
        for _ in 0..TRIES {
            let command = self.command(cx)?.args(arguments).time_limit(longest(cx));
            let done = command.capture(cx).await?;
            let said = String::from_utf8_lossy(&done.stderr);
            if done.status.success() || !said.contains("already locked") {
                return done.success(RESTIC).map(drop);
            }
            // Another spoke's backup: nothing tells when it is through.
            tokio::time::sleep(BETWEEN).await;
            self.unlock(cx).await?;
        }
        anyhow::bail!("the repository is locked by somebody else: see restic list locks")
    }
}

/// Whether nothing is in a folder of a repository, or there is none.
fn is_empty(folder: &Path) -> bool {
    match std::fs::read_dir(folder) {
        Ok(mut inside) => inside.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}
