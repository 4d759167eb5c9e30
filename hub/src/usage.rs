//! What a process uses, as /proc tells it: asked by `/v1/metrics` about the hub itself, and by `kolga bench`
//! about whatever it was told to watch.

use std::io;

/// What a process has used and holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// Seconds of processor time, with those of its children that have ended.
    pub cpu_seconds: f64,
    /// Bytes of memory that are resident now.
    pub resident_bytes: u64,
}

/// What this process uses.
///
/// # Errors
/// When the kernel does not tell.
pub fn mine() -> io::Result<Usage> {
    read("self")
}

/// What another process uses.
///
/// # Errors
/// When there is no such process.
pub fn of(pid: u32) -> io::Result<Usage> {
    read(&pid.to_string())
}

fn read(process: &str) -> io::Result<Usage> {
    let file = |name: &str| std::fs::read_to_string(format!("/proc/{process}/{name}"));
    parse(&file("stat")?, &file("status")?)
        .ok_or_else(|| io::Error::other(format!("/proc/{process} is not as proc(5) has it")))
}

/// See proc(5). The name, in brackets, may hold anything, brackets too.
fn parse(stat: &str, status: &str) -> Option<Usage> {
    /// What the kernel shows times in, whatever it counts in itself.
    const TICKS_A_SECOND: f64 = 100.0;
    /// Of the process and of its children, in user and in kernel mode: their places after the name.
    const TICKS: std::ops::RangeInclusive<usize> = 11..=14;
    let (_, after) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after.split_ascii_whitespace().collect();
    let mut ticks = 0;
    for place in TICKS {
        ticks += fields.get(place)?.parse::<u32>().ok()?;
    }
    // A process that has ended and is not forgotten yet holds none.
    let resident = status.lines().find_map(|line| {
        let size = line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?;
        size.parse::<u64>().ok()
    });
    Some(Usage {
        cpu_seconds: f64::from(ticks) / TICKS_A_SECOND,
        resident_bytes: resident.unwrap_or(0) * 1024,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_moves_nothing() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 150 30 15 5 20 0 1 0 9 1000000 25 1844";
        let status = "Name:\ta) b\nVmHWM:\t     200 kB\nVmRSS:\t     100 kB\n";
        let usage = parse(stat, status).expect("as the kernel writes it");
        assert_eq!(usage.cpu_seconds, 2.0);
        assert_eq!(usage.resident_bytes, 102_400);
        assert_eq!(parse("7 (a) S 1 2", status), None);
    }

    #[test]
    fn this_process_holds_memory() {
        assert!(mine().expect("/proc tells").resident_bytes > 100_000);
        assert!(of(u32::MAX).is_err());
    }
}
