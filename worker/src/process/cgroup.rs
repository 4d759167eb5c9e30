//! The kernel's own record of what a command started: a cgroup (version 2) for each, which nobody leaves
//! by forking, by a session of its own or by clearing its environment.
//!
//! [`super::supervision`] prepares the base, below which [`super::tree`] has a leaf for each command, as
//! `kolga-<state directory>/<run>/<number>`. Controllers are left alone, so the worker may stay in the
//! cgroup above: the rule against processes in inner nodes begins with the first enabled controller.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use kolga_protocol::id::Run;
use rustix::process::{Pid, Signal};
use sha2::{Digest as _, Sha256};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::ended::{Ended, Process};
use super::tree::DEATH;

/// Lists members; whoever writes its number here becomes one.
pub(super) const PROCS: &str = "cgroup.procs";
/// Kills all members and those of everything below, also while they fork, whoever they run as.
const KILL: &str = "cgroup.kill";

/// The folder below which a worker makes its cgroups. It goes with its last user, when it is empty.
pub(super) struct Base {
    pub(super) dir: PathBuf,
    next: AtomicU64,
}

impl Base {
    /// Makes it below this process's own cgroup, one for each state directory.
    pub(super) fn prepare(state_dir: &Path) -> anyhow::Result<Self> {
        let own = own()?;
        // The kernel asks for this right at the cgroup that a child comes from, too.
        let members = own.join(PROCS);
        OpenOptions::new()
            .write(true)
            .open(&members)
            .with_context(|| format!("{} is not delegated to the worker", own.display()))?;
        let dir = own.join(name(state_dir));
        make(&dir)?;
        let base = Self {
            dir,
            next: AtomicU64::new(0),
        };
        anyhow::ensure!(
            base.dir.join(KILL).exists(),
            "the kernel has no {KILL} (Linux before 5.14)"
        );
        Ok(base)
    }

    /// A new cgroup for a command of this attempt.
    pub(super) fn leaf(&self, run: Run) -> anyhow::Result<Leaf> {
        self.make(&run.to_string())
    }

    /// A new cgroup for whether it works at all.
    pub(super) fn trial(&self) -> anyhow::Result<Leaf> {
        self.make("trial")
    }

    fn make(&self, group: &str) -> anyhow::Result<Leaf> {
        let group = self.dir.join(group);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let dir = group.join(number.to_string());
        loop {
            make(&group)?;
            // The last command before this one may take the attempt's cgroup away in between.
            match make(&dir) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                made => return made.map(|()| Leaf { dir }).map_err(anyhow::Error::from),
            }
        }
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        std::fs::remove_dir(&self.dir).ok();
    }
}

/// The cgroup of one command.
pub(super) struct Leaf {
    pub(super) dir: PathBuf,
}

impl Leaf {
    /// Ends everything in it: TERM, and after `grace` KILL, until the kernel says that nobody is left.
    pub(super) async fn end(&self, leader: &Process, grace: Duration) -> anyhow::Result<()> {
        // A leader that has ended has entered before, or never will: then the kernel's word is final.
        let gone = async || {
            Ended::of(leader).wait().await?;
            emptied(&self.dir).await
        };
        for process in members(&self.dir) {
            process.signal(Signal::TERM);
            // One that is stopped would never see the TERM.
            process.signal(Signal::CONT);
        }
        leader.signal(Signal::TERM);
        if let Ok(gone) = tokio::time::timeout(grace, gone()).await {
            return Ok(gone?);
        }
        self.kill();
        leader.signal(Signal::KILL);
        match tokio::time::timeout(DEATH, gone()).await {
            Ok(gone) => Ok(gone?),
            Err(_) => anyhow::bail!(
                "{} does not get empty, not even by KILL",
                self.dir.display()
            ),
        }
    }

    /// Kills what is in it, and does not wait.
    pub(super) fn kill(&self) {
        kill(&self.dir).ok();
    }

    /// Removes it, and the attempt's when it was the last.
    pub(super) fn remove(&self) {
        if let Err(error) = remove(&self.dir) {
            tracing::warn!(%error, cgroup = %self.dir.display(), "an empty cgroup stays until the next start");
        }
        if let Some(group) = self.dir.parent() {
            std::fs::remove_dir(group).ok();
        }
    }
}

/// Ends and removes what an earlier worker left in a base; how many processes that were.
pub(super) async fn sweep(base: &Path) -> anyhow::Result<usize> {
    let found = members(base).len();
    let shown = || base.display().to_string();
    kill(base).with_context(|| format!("cannot end what is left in {}", shown()))?;
    tokio::time::timeout(DEATH, emptied(base))
        .await
        .map_err(|_| anyhow::anyhow!("{} does not get empty, not even by KILL", shown()))?
        .with_context(|| format!("cannot see whether {} is empty", shown()))?;
    for group in below(base) {
        remove(&group).with_context(|| format!("cannot remove {}", group.display()))?;
    }
    Ok(found)
}

/// What a worker with this state directory calls its base, wherever it lies.
pub(super) fn name(state_dir: &Path) -> String {
    let hash = Sha256::digest(state_dir.as_os_str().as_encoded_bytes());
    let hex: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("kolga-{hex}")
}

/// This process's own cgroup, as a folder.
fn own() -> anyhow::Result<PathBuf> {
    let text = std::fs::read_to_string("/proc/self/cgroup")?;
    let own = text
        .lines()
        .find_map(|line| line.strip_prefix("0::"))
        .context("the kernel has no cgroups of version 2")?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let (root, mount) = mounts
        .lines()
        .find_map(mounted)
        .context("no cgroups of version 2 are mounted")?;
    // What is mounted may be a part of the tree only, as in a container.
    let below = Path::new(own)
        .strip_prefix(root)
        .with_context(|| format!("the worker's cgroup {own} is not mounted"))?;
    Ok(mount.join(below))
}

/// Root and place of a mount (proc_pid_mountinfo(5)), when it is of cgroups of version 2.
fn mounted(line: &str) -> Option<(PathBuf, PathBuf)> {
    let (place, kind) = line.split_once(" - ")?;
    if kind.split(' ').next()? != "cgroup2" {
        return None;
    }
    let mut fields = place.split(' ').skip(3);
    Some((fields.next()?.into(), fields.next()?.into()))
}

/// Made, or there already.
fn make(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(io::Error::new(
            error.kind(),
            format!("cannot make the cgroup {}: {error}", dir.display()),
        )),
        Ok(()) => Ok(()),
    }
}

fn kill(dir: &Path) -> io::Result<()> {
    std::fs::write(dir.join(KILL), "1")
}

/// The cgroups right below.
fn below(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

fn remove(dir: &Path) -> io::Result<()> {
    for child in below(dir) {
        remove(&child)?;
    }
    std::fs::remove_dir(dir)
}

/// Those in it and below it.
fn members(dir: &Path) -> Vec<Process> {
    let listed = std::fs::read_to_string(dir.join(PROCS)).unwrap_or_default();
    let mut found: Vec<Process> = listed
        .lines()
        .filter_map(|line| Pid::from_raw(line.parse().ok()?))
        // Opened before it is asked about: the answer is then about this very process, or about one
        // whose descriptor tells that it has ended.
        .filter_map(|pid| Process::open(pid).ok())
        .filter(|process| is_in(dir, process.pid))
        .collect();
    for child in below(dir) {
        found.extend(members(&child));
    }
    found
}

fn is_in(dir: &Path, pid: Pid) -> bool {
    // Where only a part of the tree is mounted, the beginnings differ.
    let mut names = dir.iter().rev();
    let (name, above) = (names.next(), names.next());
    let told = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let mut paths = told.lines().filter_map(|line| line.strip_prefix("0::"));
    paths.any(|path| {
        let mut its = Path::new(path).iter().rev();
        its.next() == name && its.next() == above
    })
}

/// Comes back when nobody lives in it or below it any more.
async fn emptied(dir: &Path) -> io::Result<()> {
    let mut events = Events::open(dir)?;
    while events.populated()? {
        events.changed().await?;
    }
    Ok(())
}

/// `cgroup.events`, which tells whether anybody lives in a cgroup and when that changes.
struct Events {
    file: File,
    polled: AsyncFd<File>,
}

impl Events {
    #[expect(
        deprecated,
        reason = "its successor is unsafe, to make callers keep the descriptor open; the file inside does"
    )]
    fn open(dir: &Path) -> io::Result<Self> {
        let file = File::open(dir.join("cgroup.events"))?;
        // The same open file: the kernel counts as news what came since it was read.
        let polled = AsyncFd::with_interest(file.try_clone()?, Interest::PRIORITY)?;
        Ok(Self { file, polled })
    }

    fn populated(&mut self) -> io::Result<bool> {
        let mut text = String::new();
        self.file.rewind()?;
        self.file.read_to_string(&mut text)?;
        Ok(text.lines().any(|line| line == "populated 1"))
    }

    async fn changed(&self) -> io::Result<()> {
        let mut ready = self.polled.ready(Interest::PRIORITY).await?;
        ready.clear_ready();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_recognised_with_the_part_of_the_tree_that_it_shows() {
        let line = "29 23 0:26 /docker/1 /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw";
        let found = mounted(line).expect("it is one");
        assert_eq!(found, ("/docker/1".into(), "/sys/fs/cgroup".into()));
        assert_eq!(mounted("30 23 0:27 / /tmp rw - tmpfs tmpfs rw"), None);
    }

    #[test]
    fn each_state_directory_has_a_name_of_its_own() {
        let one = name(Path::new("/srv/kolga/state"));
        assert_eq!(one.len(), "kolga-".len() + 16);
        assert_eq!(one, name(Path::new("/srv/kolga/state")));
        assert_ne!(one, name(Path::new("/srv/other/state")));
    }
}
