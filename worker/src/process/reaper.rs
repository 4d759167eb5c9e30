//! What outlives its parent: orphans that the kernel gives to the worker, and what a dead worker left.
//!
//! [`crate::start`] calls [`become_subreaper`]; recovery calls [`kill_leftovers`] before it rolls back.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use kolga_protocol::id::Run;
use rustix::process::{Pid, WaitOptions, getpid, set_child_subreaper, waitpid};
use tokio::process::Child;

use super::stat::Stat;
use super::tree;

/// How long leftovers get between TERM and KILL.
const GRACE: Duration = Duration::from_secs(2);

static ADOPTING: AtomicBool = AtomicBool::new(false);

/// The children that tokio waits for. Whoever else is our child and dead was adopted.
static OURS: LazyLock<Mutex<HashSet<Pid>>> = LazyLock::new(Mutex::default);

/// From now on, descendants whose parent died become children of this process instead of init's, so that
/// they are found as zombies here and nowhere else.
///
/// # Errors
/// When the kernel does not know how.
pub fn become_subreaper() -> anyhow::Result<()> {
    set_child_subreaper(Some(getpid()))?;
    ADOPTING.store(true, Ordering::Relaxed);
    Ok(())
}

/// Buries orphans as they end, for as long as it is polled. A cgroup that was killed is empty a moment
/// before its last members can be buried, so the end of a command is no good time for it.
///
/// # Errors
/// When the kernel's word about children cannot be listened for.
pub async fn bury_orphans() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut ended = signal(SignalKind::child())?;
    while ended.recv().await.is_some() {
        reap_orphans();
    }
    Ok(())
}

/// Ends whatever an earlier worker's children of this run left running. Before a rollback: what is being
/// taken back must not be written to any more.
pub async fn kill_leftovers(run: Run) {
    if let Err(error) = tree::end_all(GRACE, || tree::find(run, None)).await {
        tracing::error!(%run, %error, "leftovers of a task could not be ended");
    }
}

/// Starts a child and notes that it is tokio's to bury.
pub(super) fn spawn(command: &mut tokio::process::Command) -> std::io::Result<(Child, Pid)> {
    // Held over both, or a child that ends at once could be taken for an orphan in between.
    let mut ours = OURS.lock().expect("nobody panics while holding it");
    let child = command.spawn()?;
    let pid = child
        .id()
        .and_then(|id| Pid::from_raw(id.cast_signed()))
        .expect("a child that was not waited for has a number");
    ours.insert(pid);
    Ok((child, pid))
}

/// Whether this process adopts, and no other command runs than this one: orphans are its own then.
pub(super) fn is_alone(leader: Pid) -> bool {
    let ours = OURS.lock().expect("nobody panics while holding it");
    ADOPTING.load(Ordering::Relaxed) && ours.iter().all(|&pid| pid == leader)
}

/// Whether it is a child that tokio waits for. One that is just being started is one: the lock is held
/// until it is noted.
pub(super) fn is_ours(pid: Pid) -> bool {
    OURS.lock()
        .expect("nobody panics while holding it")
        .contains(&pid)
}

/// The child is buried, or left to be.
pub(super) fn forget(pid: Pid) {
    OURS.lock()
        .expect("nobody panics while holding it")
        .remove(&pid);
}

/// Buries the orphans that have ended.
pub(super) fn reap_orphans() {
    if !ADOPTING.load(Ordering::Relaxed) {
        return;
    }
    let ours = OURS.lock().expect("nobody panics while holding it");
    let me = getpid().as_raw_nonzero().get();
    for pid in children() {
        let orphan = !ours.contains(&pid)
            && Stat::read(pid).is_some_and(|stat| stat.ended && stat.parent == me);
        if orphan {
            waitpid(Some(pid), WaitOptions::NOHANG).ok();
        }
    }
}

/// The children of this process, dead ones too; every process where the kernel does not list them.
fn children() -> Vec<Pid> {
    let list = || -> std::io::Result<Vec<Pid>> {
        let gone = rustix::io::Errno::SRCH.raw_os_error();
        let mut found = Vec::new();
        for thread in std::fs::read_dir("/proc/self/task")? {
            let text = match std::fs::read_to_string(thread?.path().join("children")) {
                // The thread ended meanwhile; what it had went to another.
                Err(error) if error.raw_os_error() == Some(gone) => continue,
                text => text?,
            };
            let numbers = text.split_ascii_whitespace();
            found.extend(numbers.filter_map(|number| Pid::from_raw(number.parse().ok()?)));
        }
        Ok(found)
    };
    list().unwrap_or_else(|_| tree::pids())
}
