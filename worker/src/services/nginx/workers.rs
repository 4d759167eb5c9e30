//! Which of nginx's own workers still answer by what it read before.
//!
//! At a reload nginx starts new workers, lets the old ones answer beside them for 100 ms, and then has those close their
//! sockets (`ngx_master_process_cycle` and `ngx_worker_process_cycle` in nginx's `src/os/unix/ngx_process_cycle.c`). An old
//! worker says so in its title before it does. [`super::turn`] waits for that at each reload, and [`super::answer`] asks
//! whether there has just been one. Where the processes cannot be seen (no pid file, another pid namespace,
//! `hidepid`) both wait for as long as it takes on a machine that is not busy.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Pid;
use tokio::time::Instant;

use crate::cx::Cx;
use crate::process::Stat;

/// How long old workers may answer, where they cannot be seen.
const UNSEEN: Duration = Duration::from_millis(250);
/// Where they can be seen, they are waited for so long; nginx is busy then, or it did not take the new configuration.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(4);
/// A worker that is older than this has seen no reload that is still under way.
const GROWN: Duration = Duration::from_secs(1);

/// A process, also after its number has been given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Worker {
    pid: i32,
    /// In clock ticks since the machine's start.
    started: u64,
}

/// nginx's workers that take visitors at one moment; `None` where they cannot be seen.
#[derive(Debug)]
pub(super) struct Workers {
    pid_file: PathBuf,
    serving: Option<BTreeSet<Worker>>,
}

impl Workers {
    /// Those of now.
    pub(super) fn now(pid_file: &Path) -> Self {
        Self {
            pid_file: pid_file.to_owned(),
            serving: serving(pid_file),
        }
    }

    /// Waits until none of them takes visitors any more.
    pub(super) async fn retired(self, cx: &Cx) {
        let Some(old) = self.serving else {
            return tokio::time::sleep(UNSEEN).await;
        };
        let give_up = Instant::now() + PATIENCE;
        // nginx ended meanwhile: then its workers did too.
        while let Some(now) = serving(&self.pid_file) {
            if now.is_disjoint(&old) {
                return;
            }
            if Instant::now() >= give_up {
                cx.log.warn(format!(
                    "nginx still answers as before its reload, {} s after it: its error log may say why",
                    PATIENCE.as_secs()
                ));
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Waits as long as an old worker may be among them. Whether it had to: what was asked before may have been asked of one.
    pub(super) async fn settled(&self) -> bool {
        let Some(serving) = &self.serving else {
            tokio::time::sleep(UNSEEN).await;
            return true;
        };
        let youngest = serving.iter().map(|worker| worker.started).max();
        let age = youngest.and_then(age);
        if age.is_none_or(|age| age >= GROWN) {
            return false;
        }
        tokio::time::sleep(UNSEEN).await;
        true
    }
}

fn serving(pid_file: &Path) -> Option<BTreeSet<Worker>> {
    let master: u32 = std::fs::read_to_string(pid_file)
        .ok()?
        .trim()
        .parse()
        .ok()?;
    let children =
        std::fs::read_to_string(format!("/proc/{master}/task/{master}/children")).ok()?;
    let mut found = BTreeSet::new();
    for pid in children.split_ascii_whitespace() {
        let pid = pid.parse().ok().and_then(Pid::from_raw)?;
        // One that ended meanwhile serves nobody.
        let Ok(title) = std::fs::read(format!("/proc/{pid}/cmdline")) else {
            continue;
        };
        let Some(Stat { started, .. }) = Stat::read(pid) else {
            continue;
        };
        let title = title.split(|&byte| byte == 0).next().unwrap_or_default();
        if title.trim_ascii_end() == b"nginx: worker process" {
            let pid = pid.as_raw_nonzero().get();
            found.insert(Worker { pid, started });
        }
    }
    (!found.is_empty()).then_some(found)
}

fn age(started: u64) -> Option<Duration> {
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split_ascii_whitespace().next()?.parse().ok()?;
    let ticks = rustix::param::clock_ticks_per_second();
    #[expect(
        clippy::cast_precision_loss,
        reason = "a machine's age in ticks is far below 2^52"
    )]
    let born = started as f64 / ticks as f64;
    Duration::try_from_secs_f64((uptime - born).max(0.0)).ok()
}
