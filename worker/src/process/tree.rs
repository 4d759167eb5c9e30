//! A command's processes: all in its cgroup; or, without one, the child, its group, and whatever left the
//! group but carries the mark.
//!
//! Made and ended by [`super::Command`]; `super::reaper` uses the search for what a dead worker left.

use std::collections::HashSet;
use std::time::Duration;

use kolga_protocol::id::Run;
use rustix::process::{Pid, Signal, geteuid, getpid};
use tokio::process::Child;
use tokio::time::Instant;

use super::MARK;
use super::cgroup::Leaf;
use super::ended::{Ended, Process};
use super::reaper;
use super::stat::Stat;

/// How long the killed may take to be gone. Past it something holds them in the kernel.
pub(super) const DEATH: Duration = Duration::from_secs(10);

/// A child and what descends from it. Dropping it before [`Tree::bury`] kills the group.
pub(super) struct Tree {
    pub(super) child: Child,
    pub(super) leader: Process,
    run: Run,
    leaf: Option<Leaf>,
    buried: bool,
}

impl Tree {
    /// Starts what goes into `leaf`, where there is one.
    pub(super) fn spawn(
        command: &mut tokio::process::Command,
        run: Run,
        leaf: Option<Leaf>,
    ) -> std::io::Result<Self> {
        let started = reaper::spawn(command).and_then(|(child, pid)| {
            let leader = Process::open(pid).inspect_err(|_| reaper::forget(pid))?;
            Ok((child, leader))
        });
        let (child, leader) = started.inspect_err(|_| leaf.iter().for_each(Leaf::remove))?;
        Ok(Self {
            child,
            leader,
            run,
            leaf,
            buried: false,
        })
    }

    /// Ends everything: TERM, and after `grace` KILL, until nobody is found any more.
    pub(super) async fn end(&self, grace: Duration) -> anyhow::Result<()> {
        if let Some(leaf) = &self.leaf {
            return leaf.end(&self.leader, grace).await;
        }
        end_all(grace, || find(self.run, Some(self.leader.pid))).await?;
        // A program that became another user (sudo) cannot be signalled and is not searched for, but
        // is waited for: without its end there is nothing to bury.
        let ended = tokio::time::timeout(DEATH, Ended::of(&self.leader).wait()).await;
        let by_whom = "it runs as another user, whom the worker cannot signal";
        ended.map_err(|_| anyhow::anyhow!("process {} goes on: {by_whom}", self.leader.pid))??;
        Ok(())
    }

    /// Takes the child's status. Only after [`Tree::end`]: its number is free from then on.
    pub(super) async fn bury(mut self) -> std::io::Result<std::process::ExitStatus> {
        let status = self.child.wait().await;
        self.buried = true;
        status
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if !self.buried {
            rustix::process::kill_process_group(self.leader.pid, Signal::KILL).ok();
        }
        if let Some(leaf) = &self.leaf {
            leaf.kill();
            leaf.remove();
        }
        reaper::forget(self.leader.pid);
        reaper::reap_orphans();
    }
}

/// Ends all that `search` finds.
pub(super) async fn end_all(
    grace: Duration,
    search: impl Fn() -> Vec<Process>,
) -> anyhow::Result<()> {
    let kill_at = Instant::now() + grace;
    let give_up_at = kill_at + DEATH;
    let mut asked = HashSet::new();
    loop {
        let found = search();
        if found.is_empty() {
            return Ok(());
        }
        let now = Instant::now();
        let killing = now >= kill_at;
        for process in &found {
            if killing {
                process.signal(Signal::KILL);
            } else if asked.insert(process.pid) {
                process.signal(Signal::TERM);
                // One that is stopped would never see the TERM.
                process.signal(Signal::CONT);
            }
        }
        if now >= give_up_at {
            let pids: Vec<_> = found.iter().map(|p| p.pid.to_string()).collect();
            anyhow::bail!("processes {} do not end, not even by KILL", pids.join(", "));
        }
        let deadline = if killing { give_up_at } else { kill_at };
        let all = async {
            for process in &found {
                drop(Ended::of(process).wait().await);
            }
        };
        // Looked at again after a while even when nobody ended: new ones may have been forked.
        let next_look = (now + Duration::from_millis(200)).min(deadline);
        drop(tokio::time::timeout_at(next_look, all).await);
        reaper::reap_orphans();
    }
}

/// The living processes of our own user that carry this run's mark, or are in the group of `leader`, which
/// must be unburied; and, when no other command runs, whoever came to us as an orphan, which is one that
/// left both its session and its environment.
pub(super) fn find(run: Run, leader: Option<Pid>) -> Vec<Process> {
    let mark = format!("{MARK}={run}");
    let mut found = Vec::new();
    let strays = leader.is_some_and(reaper::is_alone);
    for pid in pids() {
        if pid == getpid() {
            continue;
        }
        // Opened before it is looked at: whatever is read after this is read of this very process,
        // or of nobody, since the descriptor would then tell of its end.
        let Ok(process) = Process::open(pid) else {
            continue;
        };
        let Some(stat) = Stat::read(pid) else {
            continue;
        };
        if stat.ended || stat.uid != geteuid().as_raw() {
            continue;
        }
        let in_group = leader.is_some_and(|leader| stat.group == leader.as_raw_nonzero().get());
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let stray = || {
            strays
                && stat.parent == getpid().as_raw_nonzero().get()
                && !reaper::is_ours(pid)
                && !carries(&environ, MARK)
        };
        if in_group || carries(&environ, &mark) || stray() {
            found.push(process);
        }
    }
    found
}

/// Every process number now in use.
pub(super) fn pids() -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Pid::from_raw)
        .collect()
}

/// Whether an environment has a variable that begins so, to its end or to its `=`.
fn carries(environ: &[u8], beginning: &str) -> bool {
    environ
        .split(|&byte| byte == 0)
        .filter_map(|variable| variable.strip_prefix(beginning.as_bytes()))
        .any(|rest| rest.is_empty() || rest[0] == b'=')
}
