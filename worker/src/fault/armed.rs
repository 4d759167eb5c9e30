//! The armed half of [`crate::fault`].

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

static PASSED: AtomicU64 = AtomicU64::new(0);
static ORDERS: OnceLock<Orders> = OnceLock::new();

struct Orders {
    wanted: Vec<String>,
    trace: Option<Mutex<File>>,
}

/// Takes the orders: `wanted` as this module's parent describes, separated by commas, and where to write
/// the names of the points.
pub fn arm(wanted: Option<String>, trace: Option<&std::path::Path>) -> std::io::Result<()> {
    let trace = match trace {
        Some(path) => Some(Mutex::new(
            OpenOptions::new().create(true).append(true).open(path)?,
        )),
        None => None,
    };
    let wanted = wanted
        .map(|text| text.split(',').map(str::to_owned).collect())
        .unwrap_or_default();
    ORDERS.get_or_init(|| Orders { wanted, trace });
    Ok(())
}

fn orders() -> Option<&'static Orders> {
    ORDERS.get()
}

fn note(orders: &Orders, line: &str) {
    if let Some(trace) = &orders.trace {
        let mut trace = trace.lock().expect("nobody panics while writing a line");
        trace
            .write_all(format!("{line}\n").as_bytes())
            .expect("a test without its trace proves nothing");
    }
}

/// Passes a point; does not come back when it is the one at which to die.
pub fn point(name: &str) {
    let Some(orders) = orders() else { return };
    let number = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
    note(orders, &format!("{number} {name}"));
    let dies_by_number = format!("kill@{number}");
    let dies_by_name = format!("kill@{name}");
    if orders.wanted.contains(&dies_by_number) || orders.wanted.contains(&dies_by_name) {
        note(orders, &format!("{number} KILLED {name}"));
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
            .expect("a process may kill itself");
        loop {
            std::thread::park();
        }
    }
}

/// Fails when this operation was ordered to.
pub fn fail(name: &str) -> anyhow::Result<()> {
    let Some(orders) = orders() else {
        return Ok(());
    };
    if orders.wanted.contains(&format!("fail@{name}")) {
        note(orders, &format!("FAILED {name}"));
        anyhow::bail!("a test made {name} fail");
    }
    Ok(())
}

/// Whether this was ordered to be done twice.
pub fn twice(name: &str) -> bool {
    orders().is_some_and(|orders| orders.wanted.contains(&format!("twice@{name}")))
}
