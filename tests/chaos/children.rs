//! Children of workers: the installers that run right now.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use crate::patience::patient;
use crate::service::send;
use crate::system::System;

/// How long to wait for one: sites are installed all the time, unless the system is in trouble.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends a signal to an installer; how many were hit.
pub async fn strike(system: &System, signal: Signal) -> anyhow::Result<u64> {
    let root = PathBuf::from(system.stack.text("/dir"));
    let began = Instant::now();
    let patience = patient(PATIENCE);
    while began.elapsed() < patience {
        if let Some(pid) = installers(&root).first() {
            send(*pid, signal)?;
            return Ok(1);
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(0)
}

/// The installers of sites below a folder.
pub fn installers(root: &Path) -> Vec<u32> {
    let below = format!("{}/", root.display());
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        line.contains(&below) && line.contains(".install.php")
    })
    .collect()
}
