//! The only place that starts children. Steps hand it an argv; it hands their output to the task's log.
//!
//! A child runs with a cleared environment and a fixed `PATH`, in a process group of its own, and carries
//! `KOLGA_TASK=<run>` as a mark that its descendants inherit. It begins as [`enter()`], which goes into the
//! command's own cgroup, where [`Supervision`] has found that there can be one, gives way, and becomes the
//! program. Whatever ends a command (its own end, a stop, its time limit) also ends everything that it left
//! running: the kernel kills the cgroup; without one, `tree` finds processes by group and by mark. After a
//! crash of the worker the next one does the same by [`Supervision::sweep`] and [`kill_leftovers`];
//! `reaper` buries what was orphaned to the worker.
//! There is no shell anywhere: what is given as one argument stays one argument.

mod cgroup;
mod confine;
mod drive;
mod ended;
mod enter;
mod give_way;
mod output;
mod pieces;
mod reaper;
mod stat;
mod supervision;
mod tree;
mod trial;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Context as _;
use kolga_protocol::message::Level;

use crate::cx::{Cx, Stopped};
use output::{Bytes, Lines, Said};
pub use pieces::Pieces;

pub use confine::Confinement;
pub use enter::enter;
pub use give_way::{give_way, set_nice};
pub use reaper::{become_subreaper, bury_orphans, kill_leftovers};
pub(crate) use stat::Stat;
pub use supervision::{Supervision, TO_CONFINE};

/// Where programs are looked for by those children that start others by name.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The mark that descendants inherit.
const MARK: &str = "KOLGA_TASK";
/// How long a program gets between TERM and KILL.
const GRACE: Duration = Duration::from_secs(5);
/// How long the same lasts for what a program that has ended left running.
const LEFTOVER_GRACE: Duration = Duration::from_millis(500);
/// How long output is still read after the program has ended, when somebody else holds the pipe open.
const DRAIN: Duration = Duration::from_millis(500);
/// How long a program may run unless it is told otherwise.
const TIME_LIMIT: Duration = Duration::from_secs(600);
/// How much of each stream [`Command::capture`] keeps.
const CAPTURE_BYTES: usize = 1024 * 1024;

/// A program to run, as an argv.
pub struct Command {
    program: PathBuf,
    args: Vec<OsString>,
    dir: PathBuf,
    env: Vec<(OsString, OsString)>,
    stdin: Input,
    confinement: Option<Confinement>,
    stderr: Level,
    time_limit: Duration,
}

/// What a program reads from its standard input.
enum Input {
    Nothing,
    Bytes(Vec<u8>),
    File(std::fs::File),
}

/// What a program gave back. Both streams are cut at 1 MiB.
#[derive(Debug)]
pub struct Captured {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

impl Command {
    /// The program at this absolute path; running it fails for any other.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            dir: PathBuf::from("/"),
            env: Vec::new(),
            stdin: Input::Nothing,
            confinement: None,
            stderr: Level::Error,
            time_limit: TIME_LIMIT,
        }
    }

    /// An argv that the configuration holds.
    ///
    /// # Errors
    /// When it is empty.
    pub fn from_argv(argv: &[String]) -> anyhow::Result<Self> {
        let (program, args) = argv
            .split_first()
            .context("the configuration names an empty command")?;
        Ok(Self::new(program).args(args))
    }

    /// Adds an argument. Every user of the machine can read it: no secret belongs here.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// The folder to run in; `/` unless said.
    #[must_use]
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.dir = dir.as_ref().to_owned();
        self
    }

    /// Adds a variable to an otherwise cleared environment. No secret belongs here either.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// What the program reads from its standard input; the way for secrets. Nothing unless said.
    #[must_use]
    pub fn stdin(mut self, bytes: Vec<u8>) -> Self {
        self.stdin = Input::Bytes(bytes);
        self
    }

    /// A file that the program reads from its standard input.
    #[must_use]
    pub fn stdin_file(mut self, file: std::fs::File) -> Self {
        self.stdin = Input::File(file);
        self
    }

    /// Lets it open nothing but this.
    #[must_use]
    pub fn confined(mut self, to: Confinement) -> Self {
        self.confinement = Some(to);
        self
    }

    /// What it writes to its standard error is no more than what others write to their standard output.
    #[must_use]
    pub fn speaks_on_stderr(mut self) -> Self {
        self.stderr = Level::Output;
        self
    }

    /// How long it may run; ten minutes unless said.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Runs it, its output going to the task's log line by line.
    ///
    /// # Errors
    /// When it cannot be started, ends with anything but success, is stopped ([`Stopped`] is then in the
    /// chain), or takes too long. In every case nothing of it runs any more.
    pub async fn run(self, cx: &Cx) -> anyhow::Result<()> {
        let mut stdout = Lines::new(&cx.log, Level::Output);
        let mut stderr = Lines::new(&cx.log, self.stderr);
        let program = self.program.clone();
        let status = self.drive(cx, &mut stdout, &mut stderr).await?;
        if status.success() {
            return Ok(());
        }
        Err(failure(&program, status, stderr.said()))
    }

    /// Runs it while `work`, on a thread where it may block, takes its output in pieces. A program whose output
    /// is not wanted to its end finds the pipe closed.
    ///
    /// # Errors
    /// Those of [`Command::run`], and that of `work`, which comes before the complaint of a program whose pipe
    /// was closed for it.
    pub async fn pipe<T: Send + 'static>(
        self,
        cx: &Cx,
        work: impl FnOnce(Pieces) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let (mut stdout, pieces) = pieces::channel();
        let mut stderr = Lines::new(&cx.log, Level::Error);
        let program = self.program.clone();
        let (status, made) = tokio::join!(
            async {
                let status = self.drive(cx, &mut stdout, &mut stderr).await;
                drop(stdout);
                status
            },
            crate::files::blocking(move || work(pieces)),
        );
        let status = status?;
        if status.success() {
            return made;
        }
        let failed = failure(&program, status, stderr.said());
        // Which of the two was first, and so the cause, cannot be told.
        Err(match made {
            Ok(_) => failed,
            Err(error) => failed.context(format!("{error:#}")),
        })
    }

    /// Runs it and keeps its output, bounded, out of the log. How it ended is for the caller to judge;
    /// [`Captured::success`] does what [`Command::run`] does.
    ///
    /// # Errors
    /// When it cannot be started, is stopped, or takes too long.
    pub async fn capture(self, cx: &Cx) -> anyhow::Result<Captured> {
        let mut stdout = Bytes::new(CAPTURE_BYTES);
        let mut stderr = Bytes::new(CAPTURE_BYTES);
        let status = self.drive(cx, &mut stdout, &mut stderr).await?;
        Ok(Captured {
            status,
            stdout: stdout.kept,
            stderr: stderr.kept,
        })
    }
}

impl Captured {
    /// The output of a program that succeeded.
    ///
    /// # Errors
    /// When it did not: names the program, how it ended, and the first and last line of its standard error.
    pub fn success(self, program: impl AsRef<Path>) -> anyhow::Result<Vec<u8>> {
        if self.status.success() {
            return Ok(self.stdout);
        }
        let text = String::from_utf8_lossy(&self.stderr);
        Err(failure(program.as_ref(), self.status, Said::of(&text)))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is spent here")]
fn failure(program: &Path, status: ExitStatus, said: Said) -> anyhow::Error {
    anyhow::anyhow!("{} ended with {status}{said}", program.display())
}

/// Whether this error is a stop and not a fault.
#[must_use]
pub fn was_stopped(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Stopped>().is_some()
}

#[cfg(test)]
mod tests;
