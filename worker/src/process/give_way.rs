//! Makes the worker, and with it every child, give way to whatever else the machine does.

use crate::config::Process;

/// Lowers the priority for the processor and for disks. What is refused is only said: a worker in the
/// way is better than none.
pub fn give_way(process: &Process) {
    if let Err(error) = rustix::process::setpriority_process(None, process.nice) {
        tracing::warn!(%error, nice = process.nice, "the worker cannot be niced");
    }
    if process.io_idle {
        // Our own crates call no kernel interface by hand, and this one has no wrapper: ask util-linux.
        let pid = std::process::id().to_string();
        let asked = std::process::Command::new("/usr/bin/ionice")
            .args(["-c", "3", "-p", &pid])
            .env_clear()
            .output();
        let told = match asked {
            Ok(output) if output.status.success() => return,
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(why = told, "the worker's disk access does not give way");
    }
}
