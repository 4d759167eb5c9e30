//! Gates: whether the machine has room for another heavy task now. A task that finds one shut waits, and
//! never fails for it.
//!
//! [`super::actor`] looks before it begins something and again now and then while something waits for that
//! reason only; heartbeats and `kolga-worker status` tell the reason.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kolga_protocol::message::Deferral;

use crate::config;

/// How often it is looked at anew: while a task waits, and at most while tasks come. The kernel itself
/// measures pressure every 2 s and load every 5 s.
pub(super) const LOOK: Duration = Duration::from_secs(2);

/// The gates, and what was seen last.
pub(super) struct Gates {
    bounds: config::Gates,
    disk: PathBuf,
    cpus: f64,
    seen: Option<Instant>,
    shut: Option<Deferral>,
}

/// What the kernel tells; `None` where it does not.
struct Measured {
    load: Option<f64>,
    memory_pressure: Option<f64>,
    disk_free_mib: Option<u64>,
}

impl Gates {
    /// Gates within these bounds, over the disk on which `disk` lies. Nothing is looked at yet.
    pub(super) fn new(bounds: &config::Gates, disk: &Path) -> Self {
        // That a machine has fewer than 2^16 processors is safe to say.
        let cpus = std::thread::available_parallelism()
            .map_or(1, |count| u16::try_from(count.get()).unwrap_or(u16::MAX));
        Self {
            bounds: bounds.clone(),
            disk: disk.to_owned(),
            cpus: f64::from(cpus),
            seen: None,
            shut: None,
        }
    }

    /// Which gate is shut now, if one is.
    pub(super) fn look(&mut self) -> Option<&Deferral> {
        if self.seen.is_none_or(|seen| seen.elapsed() >= LOOK) {
            self.seen = Some(Instant::now());
            let before = self.shut.take();
            self.shut = judge(&self.bounds, self.cpus, &Measured::now(&self.disk));
            match (&before, &self.shut) {
                (None, Some(shut)) => tracing::info!("{}", shut.reason),
                (Some(_), None) => tracing::info!("there is room for heavy tasks again"),
                _ => {}
            }
        }
        self.shut.as_ref()
    }

    /// What was seen last.
    pub(super) fn shut(&self) -> Option<&Deferral> {
        self.shut.as_ref()
    }
}

/// What holds more comes first: a shut disk alone lets some heavy tasks through.
fn judge(bounds: &config::Gates, cpus: f64, now: &Measured) -> Option<Deferral> {
    let bound = bounds.load_per_cpu * cpus;
    if let Some(load) = now.load
        && bound > 0.0
        && load > bound
    {
        let per_cpu = bounds.load_per_cpu;
        return Some(Deferral {
            reason: format!(
                "load {load:.1} is above {bound:.1} ({per_cpu} per cpu): heavy tasks wait"
            ),
            growing_only: false,
        });
    }
    let bound = bounds.memory_pressure_percent;
    if let Some(pressure) = now.memory_pressure
        && bound > 0.0
        && pressure > bound
    {
        return Some(Deferral {
            reason: format!("memory pressure {pressure:.1} % is above {bound} %: heavy tasks wait"),
            growing_only: false,
        });
    }
    let bound = bounds.disk_free_mib;
    if let Some(free) = now.disk_free_mib
        && free < bound
    {
        return Some(Deferral {
            reason: format!(
                "free disk {free} MiB is below {bound} MiB: tasks that take up more wait"
            ),
            growing_only: true,
        });
    }
    None
}

impl Measured {
    fn now(disk: &Path) -> Self {
        let read = |path| std::fs::read_to_string(path).ok();
        let free = rustix::fs::statvfs(disk).ok();
        Self {
            load: read("/proc/loadavg").and_then(|text| text.split(' ').next()?.parse().ok()),
            memory_pressure: read("/proc/pressure/memory").and_then(|text| pressure(&text)),
            disk_free_mib: free.map(|fs| fs.f_bavail.saturating_mul(fs.f_frsize) >> 20),
        }
    }
}

/// `some avg10=1.23 …`, the first line of the kernel's pressure files.
fn pressure(text: &str) -> Option<f64> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let avg10 = some
        .split(' ')
        .find_map(|part| part.strip_prefix("avg10="))?;
    avg10.parse().ok()
}

#[cfg(test)]
mod tests {
    use kolga_protocol::task::Kind;

    use super::*;

    const CALM: Measured = Measured {
        load: Some(1.0),
        memory_pressure: Some(0.0),
        disk_free_mib: Some(100_000),
    };

    fn shut(now: &Measured) -> Option<Deferral> {
        judge(&config::Gates::default(), 2.0, now)
    }

    #[test]
    fn a_calm_machine_and_one_that_tells_nothing_let_everything_through() {
        assert_eq!(shut(&CALM), None);
        let silent = Measured {
            load: None,
            memory_pressure: None,
            disk_free_mib: None,
        };
        assert_eq!(shut(&silent), None);
    }

    #[test]
    fn a_loaded_machine_holds_heavy_tasks_and_says_what_was_measured() {
        let load = Some(12.3);
        let shut = shut(&Measured { load, ..CALM }).expect("shut");
        let told = "load 12.3 is above 10.0 (5 per cpu): heavy tasks wait";
        assert_eq!(shut.reason, told);
        assert!(shut.holds(Kind::SiteInstall) && shut.holds(Kind::SiteDelete));
        assert!(!shut.holds(Kind::Ping) && !shut.holds(Kind::ServerVerify));
    }

    #[test]
    fn memory_pressure_holds_heavy_tasks() {
        let memory_pressure = pressure("some avg10=41.50 avg60=0.1 avg300=0 total=1\nfull avg10=0");
        let shut = shut(&Measured {
            memory_pressure,
            ..CALM
        });
        let reason = "memory pressure 41.5 % is above 40 %: heavy tasks wait";
        assert_eq!(shut.expect("shut").reason, reason);
    }

    #[test]
    fn a_full_disk_holds_what_takes_up_more_of_it_and_no_deletion() {
        let disk_free_mib = Some(511);
        let shut = shut(&Measured {
            disk_free_mib,
            ..CALM
        })
        .expect("shut");
        assert!(shut.holds(Kind::SiteInstall) && shut.holds(Kind::PlatformBuild));
        assert!(!shut.holds(Kind::SiteDelete) && !shut.holds(Kind::Ping));
    }

    #[test]
    fn zero_turns_a_gate_off() {
        let off = config::Gates {
            load_per_cpu: 0.0,
            memory_pressure_percent: 0.0,
            disk_free_mib: 0,
        };
        let worst = Measured {
            load: Some(1e6),
            memory_pressure: Some(100.0),
            disk_free_mib: Some(0),
        };
        assert_eq!(judge(&off, 2.0, &worst), None);
    }
}
