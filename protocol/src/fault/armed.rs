//! The armed half of [`crate::fault`].

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock};

use super::Ordered;

static ARMED: OnceLock<Mutex<Armed>> = OnceLock::new();

/// What was ordered, and what was passed since.
#[derive(Default)]
struct Armed {
    file: Option<PathBuf>,
    text: String,
    wanted: Vec<String>,
    all: u64,
    by_name: HashMap<String, u64>,
    trace: Option<File>,
}

impl Armed {
    fn order(&mut self, text: String) {
        self.wanted = text
            .split(',')
            .map(|order| order.trim().to_owned())
            .collect();
        self.text = text;
        self.all = 0;
        self.by_name.clear();
    }

    /// Looks whether there are new orders. A file that is not there orders nothing.
    fn look(&mut self) {
        let Some(file) = &self.file else { return };
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if text != self.text {
            self.note(&format!("ORDERS {}", text.trim()));
            self.order(text);
        }
    }

    fn note(&mut self, line: &str) {
        if let Some(trace) = &mut self.trace {
            trace
                .write_all(format!("{line}\n").as_bytes())
                .expect("a test without its trace proves nothing");
        }
    }

    fn wants(&self, order: &str) -> bool {
        self.wanted.iter().any(|wanted| wanted == order)
    }

    /// The folders whose disks are to be full from here on.
    fn fills(&self, name: &str) -> Vec<PathBuf> {
        let prefix = format!("fill@{name}@");
        let folders = self.wanted.iter();
        let folders = folders.filter_map(|order| order.strip_prefix(&prefix));
        folders.map(PathBuf::from).collect()
    }
}

/// Takes the orders as this module's parent describes them, and where to write the names of the points.
/// Without either nothing is armed.
///
/// # Errors
/// When the file of the trace cannot be written.
pub fn arm(wanted: Option<String>, trace: Option<&std::path::Path>) -> std::io::Result<()> {
    if wanted.is_none() && trace.is_none() {
        return Ok(());
    }
    let trace = match trace {
        Some(path) => Some(OpenOptions::new().create(true).append(true).open(path)?),
        None => None,
    };
    let mut armed = Armed {
        trace,
        ..Armed::default()
    };
    let wanted = wanted.unwrap_or_default();
    match wanted.strip_prefix('@') {
        Some(file) => armed.file = Some(PathBuf::from(file)),
        None => armed.order(wanted),
    }
    ARMED.get_or_init(|| Mutex::new(armed));
    Ok(())
}

fn armed() -> Option<MutexGuard<'static, Armed>> {
    let mut armed = ARMED.get()?.lock().expect("nobody panics in here");
    armed.look();
    Some(armed)
}

/// Passes a point; does not come back when it is the one at which to die.
///
/// # Panics
/// When what was passed cannot be noted.
pub fn point(name: &str) {
    // Held until death: nothing passes a point after the one at which the process dies.
    let Some(mut armed) = armed() else { return };
    armed.all += 1;
    let number = armed.all;
    let times = armed.by_name.entry(name.to_owned()).or_default();
    *times += 1;
    let times = *times;
    armed.note(&format!("{number} {name}"));
    let dies = armed.wants(&format!("kill@{number}"))
        || armed.wants(&format!("kill@{name}#{times}"))
        || times == 1 && armed.wants(&format!("kill@{name}"));
    if dies {
        armed.note(&format!("{number} KILLED {name}"));
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
            .expect("a process may kill itself");
        loop {
            std::thread::park();
        }
    }
}

/// The name of the file that takes all the room there is.
const FILLER: &str = ".kolga-test-filler";

/// Takes all the room that the disk of a folder has, for as long as the file is there.
fn fill(folder: &std::path::Path) -> std::io::Result<()> {
    let mut filler = File::create(folder.join(FILLER))?;
    let block = [0; 64 * 1024];
    let mut wanted = block.len();
    // Less and less, until not even a byte has room.
    while wanted > 0 {
        match filler.write(&block[..wanted]) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => wanted /= 2,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Fails when this operation was ordered to; or fills disks before it.
///
/// # Errors
/// As ordered.
///
/// # Panics
/// When that it failed cannot be noted, or a disk cannot be filled.
pub fn fail(name: &str) -> Result<(), Ordered> {
    let Some(mut armed) = armed() else {
        return Ok(());
    };
    if armed.wants(&format!("fail@{name}")) {
        armed.note(&format!("FAILED {name}"));
        return Err(Ordered(name.to_owned()));
    }
    for folder in armed.fills(name) {
        fill(&folder).expect("a disk is full in the end");
        armed.note(&format!("FILLED {name}"));
    }
    Ok(())
}

/// Whether this was ordered to be done twice.
///
/// # Panics
/// When that it is cannot be noted.
#[must_use]
pub fn twice(name: &str) -> bool {
    let Some(mut armed) = armed() else {
        return false;
    };
    let wanted = armed.wants(&format!("twice@{name}"));
    if wanted {
        armed.note(&format!("TWICE {name}"));
    }
    wanted
}
