//! A disk that is full for a moment.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, sleep};

/// Fills a file system and keeps it full; whether there was ever not a byte left.
pub async fn fill(disk: &Path, moment: Duration) -> anyhow::Result<u64> {
    let ballast = disk.join(".chaos-ballast");
    let mut file = std::fs::File::create(&ballast)
        .with_context(|| format!("cannot write to {}", disk.display()))?;
    let began = Instant::now();
    let mut full = false;
    while began.elapsed() < moment {
        full |= stuff(&mut file);
        sleep(Duration::from_millis(20)).await;
    }
    drop(file);
    std::fs::remove_file(&ballast)?;
    Ok(u64::from(full))
}

/// Writes until nothing more fits; whether it came to that.
fn stuff(file: &mut std::fs::File) -> bool {
    let mut size = 1024 * 1024;
    let zeroes = vec![0; size];
    while size > 0 {
        match file.write_all(&zeroes[..size]) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => size /= 2,
            Err(_) => return false,
        }
    }
    true
}
