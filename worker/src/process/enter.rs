//! `kolga-worker enter`, for the worker alone: the first thing that a child is. It goes into its cgroup,
//! gives way, gives up what it may not open, and becomes the program; so no program ever runs outside of its cgroup, and the worker keeps
//! its own priority.
//!
//! Started by [`super::supervision`]; `main` looks for it before anything else.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use super::cgroup::PROCS;
use super::confine::confine;
use super::give_way;

/// The word by which a child is told from a worker.
pub(super) const ENTER: &str = "enter";
/// In the place of what is not wanted.
pub(super) const NONE: &str = "-";
/// In the place of disk access that gives way.
pub(super) const IDLE: &str = "idle";
/// From util-linux: our own crates call no kernel interface by hand, and this one has no wrapper.
pub(super) const IONICE: &str = "/usr/bin/ionice";
/// As shells and env(1) say it of a program that could not be started.
const CANNOT_START: u8 = 127;

/// Becomes the program that these arguments of the process tell of. Comes back when they tell of none,
/// or, with the code to exit with, when it cannot.
pub fn enter(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut args = args.into_iter().skip(1);
    if args.next()? != ENTER {
        return None;
    }
    let why = match (
        args.next(),
        args.next(),
        args.next(),
        args.next(),
        args.next(),
    ) {
        (Some(cgroup), Some(nice), Some(disk), Some(folders), Some(program)) => {
            become_it(&cgroup, &nice, &disk, &folders, &program, args)
        }
        _ => "this command is the worker's own, for starting programs".to_owned(),
    };
    eprintln!("kolga-worker {ENTER}: {why}");
    Some(ExitCode::from(CANNOT_START))
}

/// Why it could not.
fn become_it(
    cgroup: &OsStr,
    nice: &OsStr,
    disk: &OsStr,
    folders: &OsStr,
    program: &OsStr,
    args: impl Iterator<Item = OsString>,
) -> String {
    if cgroup != NONE {
        let members = Path::new(cgroup).join(PROCS);
        // The number 0 means whoever writes it.
        if let Err(error) = std::fs::write(&members, "0") {
            return format!("cannot enter {}: {error}", members.display());
        }
    }
    if let Some(nice) = nice.to_str().and_then(|nice| nice.parse().ok()) {
        give_way::to(nice);
    }
    if folders != NONE {
        let told = serde_json::from_slice(folders.as_encoded_bytes()).map_err(Into::into);
        if let Err(error) = told.and_then(|to| confine(&to)) {
            return format!("the kernel does not let a program be confined: {error:#}");
        }
    }
    let mut command = if disk == IDLE && Path::new(IONICE).exists() {
        let mut command = Command::new(IONICE);
        // One that the kernel refuses runs all the same.
        command.args(["-c", "3", "-t"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    let error = command.args(args).exec();
    format!("cannot start {}: {error}", program.display())
}
