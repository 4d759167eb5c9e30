//! Processes that a task started, the control groups that they are in, and what the worker itself has open.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::World;
use crate::stack::Stack;

/// What SQLite may have open of one file. It keeps the descriptor of a connection that is closed for the
/// next one: closing it would let go of the locks that all others of the process hold.
const SQLITE: usize = 8;

pub(super) fn note(world: &mut World, stack: &Stack, server: &str, uid: u32) {
    let config = stack.spoke(server, "config").display().to_string();
    let mut commands = BTreeMap::new();
    if let Some(worker) = stack.cgroup(server) {
        groups(world, &worker);
    }
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let process = entry.path();
        // Those of the spokes: unit tests that run at the same time have processes of their own.
        if !entry.metadata().is_ok_and(|found| found.uid() == uid) {
            continue;
        }
        let command = std::fs::read(process.join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if command.contains("kolga-worker") && command.contains(&config) {
            if command.trim_end().ends_with(" run") {
                descriptors(world, &process);
            }
            continue;
        }
        let environ = std::fs::read(process.join("environ")).unwrap_or_default();
        let marked = environ.windows(11).any(|window| window == b"KOLGA_TASK=");
        let elsewhere = is_elsewhere(&command, stack) || lives_elsewhere(&environ, stack);
        if marked && !is_of_others(&process, &config) && !elsewhere {
            *commands.entry(format!("process {command}")).or_default() += 1;
        }
    }
    world.counted(commands);
}

/// Of another set of services, of another run of the tests or of the demo.
fn is_elsewhere(command: &str, stack: &Stack) -> bool {
    command.contains("/var/tmp/kolga-") && !command.contains(&format!("{}/", stack.text("/dir")))
}

/// The worker gives its children its own folder for a home.
fn lives_elsewhere(environ: &[u8], stack: &Stack) -> bool {
    let mut variables = environ.split(|&byte| byte == 0);
    let home = variables.find_map(|variable| variable.strip_prefix(b"HOME="));
    let home = home.map(String::from_utf8_lossy).unwrap_or_default();
    home.starts_with("/var/tmp/kolga-") && !home.starts_with(&format!("{}/", stack.text("/dir")))
}

/// What the worker has open, counted: the numbers differ from one process to the next.
fn descriptors(world: &mut World, process: &Path) {
    let mut counts = BTreeMap::new();
    let open = std::fs::read_dir(process.join("fd")).into_iter().flatten();
    for entry in open.flatten() {
        let Ok(target) = std::fs::read_link(entry.path()) else {
            continue;
        };
        let target = target.display().to_string();
        // `socket:[4711]`, `pipe:[4712]`: the number is another one each time.
        let sort = target.split(":[").next().unwrap_or_default();
        *counts.entry(format!("descriptor {sort}")).or_default() += 1;
    }
    for (name, count) in &mut counts {
        if name.contains(".sqlite") && *count <= SQLITE {
            *count = 0;
        }
    }
    world.counted(counts);
}

/// Control groups of attempts; a running worker has one above them.
fn groups(world: &mut World, worker: &Path) {
    let below = |dir: &Path| {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        paths.filter(|path| path.is_dir()).collect::<Vec<_>>()
    };
    for attempt in below(worker).iter().flat_map(|base| below(base)) {
        let name = format!("cgroup {}", attempt.display());
        world.note(name, String::new(), String::new());
    }
}

/// Whether another stack's worker, or a test of the worker's own, is the one that it belongs to. What has
/// lost its parents is looked at by its command alone.
fn is_of_others(process: &Path, config: &str) -> bool {
    let mut process = process.to_owned();
    while let Ok(status) = std::fs::read_to_string(process.join("status")) {
        let command = std::fs::read(process.join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if command.contains("kolga-worker") {
            return !command.contains(config);
        }
        let program = std::fs::read_link(process.join("exe")).unwrap_or_default();
        if program
            .parent()
            .is_some_and(|folder| folder.ends_with("deps"))
        {
            return true;
        }
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        process = Path::new("/proc").join(parent.unwrap_or("0").trim());
    }
    false
}
