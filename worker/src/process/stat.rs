//! What the kernel tells of a process in `/proc/<pid>/stat` (proc_pid_stat(5)). `tree` and `reaper` ask it of children;
//! [`crate::services::nginx`] of nginx's workers.

use rustix::process::Pid;

/// A process at one moment.
pub(crate) struct Stat {
    /// Dead, whether or not it is buried.
    pub(super) ended: bool,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) uid: u32,
    /// In clock ticks since the machine's start: with its number it is no other process.
    pub(crate) started: u64,
}

impl Stat {
    /// `None` when there is no such process.
    pub(crate) fn read(pid: Pid) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let uid = std::fs::metadata(format!("/proc/{pid}")).ok()?.uid();
        let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        // The name of the program stands in parentheses and may hold anything, also parentheses.
        let after_name = text.iter().rposition(|&b| b == b')')? + 1;
        let rest = String::from_utf8_lossy(&text[after_name..]).into_owned();
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?;
        Some(Self {
            ended: matches!(state, "Z" | "X" | "x"),
            parent: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
            // The 22nd of all; the state is the third.
            started: fields.nth(16)?.parse().ok()?,
            uid,
        })
    }
}
