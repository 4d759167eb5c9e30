//! How much at once and for how long, how children run, and when heavy tasks wait: `[limits]`, `[process]`, `[gates]`.

use serde::Deserialize;

/// Bounds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Heavy tasks at once.
    pub heavy: usize,
    /// Light tasks at once.
    pub light: usize,
    /// Accepted tasks that may wait; the worker takes no more while so many do.
    pub backlog: usize,
    /// Seconds that running tasks get to finish after the first TERM.
    pub grace_seconds: u64,
    /// Seconds that a task may take before it is stopped and rolled back.
    pub task_timeout_seconds: u64,
    /// Seconds for which an undo, or a final step, that fails is tried again before the task is stuck: as
    /// long as a database server may be away.
    pub undo_patience_seconds: u64,
    /// Bytes of log kept of the head of one task; of what comes after it the last are kept, as many but no
    /// more than 1 MiB.
    pub log_bytes: usize,
}

impl Limits {
    /// What makes no sense.
    pub(super) fn problems(&self) -> Option<String> {
        let none = self.heavy == 0 || self.light == 0 || self.backlog == 0;
        none.then(|| "limits.heavy, limits.light and limits.backlog must be at least 1".into())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            heavy: 2,
            light: 16,
            backlog: 1000,
            grace_seconds: 60,
            task_timeout_seconds: 7200,
            undo_patience_seconds: 60,
            log_bytes: 1024 * 1024,
        }
    }
}

/// How every child runs: scheduled, and held together.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Process {
    /// CPU niceness of children and of the worker's own work on files, 0 to 19.
    pub nice: i32,
    /// Whether the children's disk access gives way to everybody else's.
    pub io_idle: bool,
    /// Whether each command gets a cgroup of its own.
    pub cgroups: Cgroups,
}

/// Whether each command gets a cgroup of its own. Taken at start; a reload does not change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cgroups {
    /// Where the worker may make some; by process groups elsewhere.
    Auto,
    /// By process groups.
    Off,
    /// The worker does not start without.
    Require,
}

impl Process {
    /// What makes no sense.
    pub(super) fn problems(&self) -> Option<String> {
        let is_nice = (0..=19).contains(&self.nice);
        (!is_nice).then(|| "process.nice must be between 0 and 19".into())
    }
}

impl Default for Process {
    fn default() -> Self {
        Self {
            nice: 10,
            io_idle: true,
            cgroups: Cgroups::Auto,
        }
    }
}

/// When heavy tasks wait. They never fail for it, and 0 turns a gate off.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gates {
    /// The load average over one minute, for each processor, above which heavy tasks wait.
    pub load_per_cpu: f64,
    /// The part of the time that something waited for memory (`some avg10` in `/proc/pressure/memory`), in
    /// percent, above which heavy tasks wait. Off where the kernel does not measure it.
    pub memory_pressure_percent: f64,
    /// Free disk where sites lie, in MiB, below which those tasks wait that take up more of it.
    pub disk_free_mib: u64,
}

impl Gates {
    /// What makes no sense.
    pub(super) fn problems(&self) -> impl Iterator<Item = String> {
        let values = [
            ("gates.load_per_cpu", self.load_per_cpu),
            (
                "gates.memory_pressure_percent",
                self.memory_pressure_percent,
            ),
        ];
        let bad = values
            .into_iter()
            .filter(|(_, value)| !(value.is_finite() && *value >= 0.0));
        bad.map(|(name, _)| format!("{name} must be 0 (off) or more"))
    }
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            load_per_cpu: 5.0,
            memory_pressure_percent: 40.0,
            disk_free_mib: 512,
        }
    }
}
