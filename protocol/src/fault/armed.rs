//! The armed half of [`crate::fault`].

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::{Mutex, OnceLock};

use super::Ordered;

static ORDERS: OnceLock<Orders> = OnceLock::new();

struct Orders {
    wanted: Vec<String>,
    passed: Mutex<Passed>,
}

#[derive(Default)]
struct Passed {
    all: u64,
    by_name: HashMap<String, u64>,
    trace: Option<File>,
}

impl Passed {
    fn note(&mut self, line: &str) {
        if let Some(trace) = &mut self.trace {
            trace
                .write_all(format!("{line}\n").as_bytes())
                .expect("a test without its trace proves nothing");
        }
    }
}

/// Takes the orders: `wanted` as this module's parent describes, separated by commas, and where to write
/// the names of the points. Without either nothing is armed.
///
/// # Errors
/// When the file cannot be written.
pub fn arm(wanted: Option<String>, trace: Option<&std::path::Path>) -> std::io::Result<()> {
    if wanted.is_none() && trace.is_none() {
        return Ok(());
    }
    let trace = match trace {
        Some(path) => Some(OpenOptions::new().create(true).append(true).open(path)?),
        None => None,
    };
    let wanted = wanted
        .map(|text| text.split(',').map(str::to_owned).collect())
        .unwrap_or_default();
    ORDERS.get_or_init(|| Orders {
        wanted,
        passed: Mutex::new(Passed {
            trace,
            ..Passed::default()
        }),
    });
    Ok(())
}

/// Passes a point; does not come back when it is the one at which to die.
///
/// # Panics
/// When what was passed cannot be noted.
pub fn point(name: &str) {
    let Some(orders) = ORDERS.get() else { return };
    // Held until death: nothing passes a point after the one at which the process dies.
    let mut passed = orders.passed.lock().expect("nobody panics in here");
    passed.all += 1;
    let number = passed.all;
    let times = passed.by_name.entry(name.to_owned()).or_default();
    *times += 1;
    let times = *times;
    passed.note(&format!("{number} {name}"));
    let dies = [
        format!("kill@{number}"),
        format!("kill@{name}#{times}"),
        format!("kill@{name}"),
    ];
    if dies.iter().any(|order| orders.wanted.contains(order)) {
        passed.note(&format!("{number} KILLED {name}"));
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
            .expect("a process may kill itself");
        loop {
            std::thread::park();
        }
    }
}

/// Fails when this operation was ordered to.
///
/// # Errors
/// As ordered.
///
/// # Panics
/// When that it failed cannot be noted.
pub fn fail(name: &str) -> Result<(), Ordered> {
    let Some(orders) = ORDERS.get() else {
        return Ok(());
    };
    if orders.wanted.contains(&format!("fail@{name}")) {
        let mut passed = orders.passed.lock().expect("nobody panics in here");
        passed.note(&format!("FAILED {name}"));
        return Err(Ordered(name.to_owned()));
    }
    Ok(())
}

/// Whether this was ordered to be done twice.
#[must_use]
pub fn twice(name: &str) -> bool {
    ORDERS
        .get()
        .is_some_and(|orders| orders.wanted.contains(&format!("twice@{name}")))
}
