//! Backups that are not kept any more go by themselves, when `[backups] prune_at` says so: those of this spoke, by the same
//! policy as `backup.prune`, never those that other spokes have in the same repository. Its turn keeps it apart from tasks
//! that need the backups as they are.
//!
//! What became of it the last time lies in the worker's own folder, for `kolga backup list` and `kolga-worker status`.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use kolga_protocol::id::UnixMillis;
use kolga_protocol::message::printable;
use kolga_protocol::task::backup_list::Pruned;

use super::kept::Kept;
use super::{context, unless_halted};
use crate::config::Config;
use crate::cx::Cx;
use crate::files::Dir;
use crate::run::Turn;
use crate::spoke::Spoke;

/// What it was the last time.
const FILE: &str = "pruned.json";
/// That is no longer.
const LONGEST: u64 = 64 * 1024;
/// How much of what no backup needs may stay, as restic says it.
const UNUSED: &str = "5%";
/// Characters of a reason that are kept.
const MOST: usize = 1000;

/// When the spoke prunes next, in seconds since 1970; `None` when it does not.
#[must_use]
pub fn next(config: &Config, now: u64) -> Option<u64> {
    let at = config.backups.as_ref()?.prune_at?;
    Some(at.next(&config.server, now))
}

/// What became of it the last time; `None` when there was none.
///
/// # Errors
/// When the record cannot be read.
pub fn last(state_dir: &Path) -> anyhow::Result<Option<Pruned>> {
    let text = Dir::open(state_dir)?.read(FILE, LONGEST)?;
    text.map(|text| serde_json::from_slice(&text))
        .transpose()
        .with_context(|| format!("{} is damaged", state_dir.join(FILE).display()))
}

/// Prunes once, and notes what became of it.
pub async fn once(spoke: Arc<Spoke>, turn: Turn) {
    let kept = Arc::new(Kept::default());
    let cx = context(spoke, &turn, &kept);
    let mut pruned = Pruned {
        at: UnixMillis::now(),
        kept: 0,
        gone: 0,
        failure: None,
    };
    let ended = unless_halted(&cx, &turn, carry_out(&cx, &mut pruned)).await;
    let (stay, go) = (pruned.kept, pruned.gone);
    match ended {
        Ok(()) => tracing::info!(stay, go, "backups were pruned"),
        Err(error) => {
            let (error, said) = (format!("{error:#}"), kept.said());
            tracing::warn!(stay, go, error, said, "backups could not be pruned");
            pruned.failure = Some(printable(&error).chars().take(MOST).collect());
        }
    }
    if let Err(error) = note(&cx, &pruned) {
        let error = format!("{error:#}");
        tracing::error!(error, "what became of the pruning could not be noted");
    }
}

async fn carry_out(cx: &Cx, pruned: &mut Pruned) -> anyhow::Result<()> {
    let restic = cx.spoke.need_backups()?;
    let all = restic.backups(cx, None).await?;
    let there = all.len();
    let gone = restic.policy().outdated(all);
    pruned.kept = u32::try_from(there - gone.len())?;
    pruned.gone = u32::try_from(gone.len())?;
    if gone.is_empty() {
        return Ok(());
    }
    let ids: Vec<String> = gone.into_iter().map(|backup| backup.id).collect();
    restic.forget_for_good(cx, &ids, UNUSED).await
}

fn note(cx: &Cx, pruned: &Pruned) -> anyhow::Result<()> {
    let text = serde_json::to_vec_pretty(pruned)?;
    Dir::open(&cx.spoke.config.state_dir)?.write_atomically(FILE, &text, 0o600)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    use super::*;
    use crate::steps::testing::site_context;
    use crate::testing::{Scratch, context as testing_context};

    const DAY: i64 = 86_400_000;

    /// A spoke with a repository of its own, and where that lies.
    fn scene(scratch: &Scratch) -> (Cx, std::path::PathBuf) {
        let mut config = site_context(scratch).spoke.config.clone();
        let repository = scratch.path().join("restic");
        let password = scratch.path().join("password");
        std::fs::write(&password, "long and good\n").expect("written");
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&password, private).expect("set");
        let text = format!(
            "repository = {repository:?}\npassword_file = {password:?}\nprune_at = \"03:30\"\n\
             keep_daily = 2\nkeep_weekly = 0\nkeep_monthly = 0\n"
        );
        config.backups = Some(toml::from_str(&text).expect("backups"));
        (testing_context(config).0, repository)
    }

    /// Runs restic by hand.
    fn restic(scratch: &Scratch, args: &[&str]) -> String {
        let done = Command::new("/usr/bin/restic")
            .args(["--no-cache", "-r"])
            .arg(scratch.path().join("restic"))
            .arg("--password-file")
            .arg(scratch.path().join("password"))
            .args(args)
            .current_dir(scratch.path())
            .output()
            .expect("restic runs");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{args:?}: {said}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    /// A backup of this host's, so many days old.
    fn backup(scratch: &Scratch, host: &str, days: i64) {
        let at = UnixMillis::now().0 - days * DAY;
        let tags = format!("--tag=kolga,site=a.test,run=none,at={at}");
        let host = format!("--host={host}");
        restic(scratch, &["backup", &host, &tags, "password"]);
    }

    /// How many snapshots a host has.
    fn count(scratch: &Scratch, host: &str) -> usize {
        let host = format!("--host={host}");
        let listed = restic(scratch, &["snapshots", "--json", &host]);
        let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
        listed.as_array().map_or(0, Vec::len)
    }

    #[tokio::test]
    #[ignore = "needs the stack: run deploy/test"]
    async fn what_is_not_kept_goes_and_what_another_spoke_has_in_the_same_place_stays() {
        let scratch = Scratch::new();
        let (cx, repository) = scene(&scratch);
        let own = cx.spoke.config.server.to_string();
        restic(&scratch, &["init"]);
        for days in 0..4 {
            backup(&scratch, &own, days);
            backup(&scratch, "another", days);
        }
        assert_eq!(last(&cx.spoke.config.state_dir).expect("read"), None);
        once(Arc::clone(&cx.spoke), Turn::alone()).await;
        let pruned = last(&cx.spoke.config.state_dir).expect("read");
        let pruned = pruned.expect("noted");
        assert_eq!((pruned.kept, pruned.gone), (2, 2), "{pruned:?}");
        assert_eq!(pruned.failure, None);
        assert_eq!((count(&scratch, &own), count(&scratch, "another")), (2, 4));
        restic(&scratch, &["check", "--read-data"]);

        // Nobody can get at it: that is told, and nothing is half done.
        let away = repository.with_file_name("away");
        std::fs::rename(repository.join("keys"), &away).expect("moved");
        once(Arc::clone(&cx.spoke), Turn::alone()).await;
        let failed = last(&cx.spoke.config.state_dir).expect("read");
        let failed = failed.and_then(|it| it.failure).expect("a reason");
        assert!(failed.contains("snapshots cannot be read"), "{failed}");
        std::fs::rename(&away, repository.join("keys")).expect("moved back");

        // A worker that stops at once ends it, too.
        let turn = Turn::alone();
        turn.halt.cancel();
        once(Arc::clone(&cx.spoke), turn).await;
        let stopped = last(&cx.spoke.config.state_dir).expect("read");
        assert!(stopped.and_then(|it| it.failure).is_some());
        assert_eq!((count(&scratch, &own), count(&scratch, "another")), (2, 4));
    }
}
