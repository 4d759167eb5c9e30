//! What is tried once, before anything relies on it: a program that does nothing, started as commands will be.
//!
//! Asked by [`super::supervision`].

use std::path::Path;
use std::process::Stdio;

use super::cgroup::Leaf;
use super::supervision::launch;
use super::{Confinement, reaper};
use crate::config::{Cgroups, Process};

/// It succeeds.
const NOTHING: &str = "/bin/true";
/// How the launcher begins what it says.
const LAUNCHER: &str = "kolga-worker enter: ";

/// Has such a program run to its end.
///
/// # Errors
/// Why it could not, in the launcher's words.
pub(super) async fn run(
    launcher: &Path,
    leaf: Option<&Leaf>,
    confinement: Option<&Confinement>,
) -> anyhow::Result<()> {
    let process = Process {
        nice: 0,
        io_idle: false,
        cgroups: Cgroups::Auto,
    };
    let mut command = launch(launcher, Path::new(NOTHING), leaf, confinement, &process);
    command
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let (child, pid) = reaper::spawn(&mut command)?;
    let output = child.wait_with_output().await;
    reaper::forget(pid);
    let output = output?;
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim();
    anyhow::ensure!(
        output.status.success(),
        "{}",
        said.strip_prefix(LAUNCHER).unwrap_or(said)
    );
    Ok(())
}

/// Why nothing can be confined; `None` where it can. What decides it (the kernel, how that was started, a container's
/// filter) does not change while a process lives.
pub(super) async fn why_unconfined(launcher: &Path) -> Option<String> {
    let tried = run(launcher, None, Some(&Confinement::default())).await;
    tried.err().map(|error| format!("{error:#}"))
}
