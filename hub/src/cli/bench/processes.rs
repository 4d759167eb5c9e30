//! Processes to watch while tasks run: the hub, a worker, the broker, by their numbers on this machine.

use std::str::FromStr;

use serde::Serialize;

use crate::usage::{self, Usage};

/// `--process NAME=PID`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Watched {
    /// What it is called in the figures.
    pub name: String,
    pid: u32,
}

impl FromStr for Watched {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write it as NAME=PID, such as hub=1234".to_owned();
        let (name, pid) = text.split_once('=').ok_or_else(wrong)?;
        let pid = pid.parse().map_err(|_| wrong())?;
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(wrong());
        }
        usage::of(pid).map_err(|error| format!("there is no process {pid} here: {error}"))?;
        Ok(Self {
            name: name.to_owned(),
            pid,
        })
    }
}

/// What each uses now; nothing for one that has ended.
pub(super) fn usage(watched: &[Watched]) -> Vec<Option<Usage>> {
    let of = |process: &Watched| usage::of(process.pid).ok();
    watched.iter().map(of).collect()
}

/// The memory of a process over a phase.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Memory {
    /// Which.
    pub name: String,
    /// Resident bytes at the beginning of the phase.
    pub before: u64,
    /// The most that were seen.
    pub most: u64,
    /// At its end.
    pub after: u64,
}

/// How much memory each holds, from now on.
pub(super) fn memory(watched: &[Watched]) -> Vec<Memory> {
    let begin = |process: &Watched| {
        let now = usage::of(process.pid).ok()?.resident_bytes;
        Some(Memory {
            name: process.name.clone(),
            before: now,
            most: now,
            after: now,
        })
    };
    watched.iter().filter_map(begin).collect()
}

/// Looks again.
pub(super) fn look(watched: &[Watched], memory: &mut [Memory]) {
    for held in memory {
        let process = watched.iter().find(|process| process.name == held.name);
        if let Some(used) = process.and_then(|process| usage::of(process.pid).ok()) {
            held.after = used.resident_bytes;
            held.most = held.most.max(held.after);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_to_watch_has_a_name_and_lives() {
        let me = std::process::id();
        let watched: Watched = format!("hub={me}").parse().expect("this one lives");
        assert_eq!((watched.name.as_str(), watched.pid), ("hub", me));
        let mut held = memory(std::slice::from_ref(&watched));
        look(&[watched], &mut held);
        assert!(held[0].before > 0 && held[0].most >= held[0].after);
        for wrong in ["hub", "hub=", "=1", "a b=1", "hub=4294967295"] {
            assert!(wrong.parse::<Watched>().is_err(), "{wrong}");
        }
    }
}
