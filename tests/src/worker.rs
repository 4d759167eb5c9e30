//! A worker under test.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::stack::Stack;
use crate::wait::until;

/// How long a worker may take to recover and to reach the broker.
const START: Duration = Duration::from_secs(60);

/// What a worker is told to break (see `protocol/src/fault.rs`), and where it notes what it passed.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    /// Such as `kill@17` or `fail@apply:create_database,twice@undo`.
    pub faults: Option<String>,
    /// The file.
    pub trace: Option<PathBuf>,
    /// Another configuration than the spoke's own.
    pub config: Option<PathBuf>,
    /// More of its environment.
    pub environment: Vec<(String, String)>,
}

/// A running `kolga-worker`.
pub struct Worker {
    stack: Stack,
    server: String,
    child: Child,
}

impl Worker {
    /// Starts the worker of a spoke and waits until it consumes.
    ///
    /// # Panics
    /// When it does not.
    pub async fn start(stack: &Stack, server: &str, orders: &Orders) -> Self {
        let worker = Self::spawn(stack, server, orders);
        until("the worker consumes", START, async || {
            let status = worker.status()?;
            (status["mood"] == "consuming" && status["link"] == "up").then_some(())
        })
        .await;
        worker
    }

    /// Starts it without waiting for anything.
    ///
    /// # Panics
    /// When there is no such program.
    #[must_use]
    pub fn spawn(stack: &Stack, server: &str, orders: &Orders) -> Self {
        let log = stack
            .spoke(server, "state_dir")
            .with_file_name("worker-test.log");
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .expect("a log");
        let mut command = stack.program_in(stack.cgroup(server).as_deref(), "kolga-worker");
        let config = orders.config.clone();
        command
            .arg("--config")
            .arg(config.unwrap_or_else(|| stack.spoke(server, "config")))
            .arg("run")
            .envs(orders.environment.iter().map(|(name, value)| (name, value)));
        if let Some(faults) = &orders.faults {
            command.env("KOLGA_FAULTS", faults);
        }
        if let Some(trace) = &orders.trace {
            command.env("KOLGA_FAULT_TRACE", trace);
        }
        let child = command
            .stdin(Stdio::null())
            .stderr(log.try_clone().expect("a log"))
            .stdout(log)
            .spawn()
            .expect("kolga-worker starts");
        Self {
            stack: stack.clone(),
            server: server.to_owned(),
            child,
        }
    }

    /// What `kolga-worker status --json` says; `None` when it says that none runs.
    #[must_use]
    pub fn status(&self) -> Option<Value> {
        let told = command(&self.stack, &self.server, &["status", "--json"]);
        told.status
            .success()
            .then(|| serde_json::from_slice(&told.stdout).expect("JSON"))
    }

    /// How it ended, if it has.
    ///
    /// # Panics
    /// When the kernel does not tell.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked about")
    }

    /// Whether it was ended by SIGKILL.
    pub fn was_killed(&mut self) -> bool {
        self.ended()
            .is_some_and(|status| status.signal() == Some(9))
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When it has ended already.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.expect("a pid"), signal).expect("it runs");
    }

    /// Waits for its end.
    pub async fn end(&mut self, limit: Duration) -> ExitStatus {
        until("the worker ends", limit, async || self.ended()).await
    }

    /// Kills it as a power cut would.
    pub async fn kill(mut self) {
        self.signal(rustix::process::Signal::KILL);
        self.end(Duration::from_secs(10)).await;
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Panics
    /// When it does not end well.
    pub async fn stop(mut self) {
        self.signal(rustix::process::Signal::TERM);
        let status = self.end(Duration::from_secs(90)).await;
        assert!(status.success(), "the worker ended with {status}");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // A test that failed must not leave a worker to the next one.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs one command of the worker of a spoke.
///
/// # Panics
/// When there is no such program.
#[must_use]
pub fn command(stack: &Stack, server: &str, arguments: &[&str]) -> std::process::Output {
    stack
        .program("kolga-worker")
        .arg("--config")
        .arg(stack.spoke(server, "config"))
        .args(arguments)
        .output()
        .expect("kolga-worker runs")
}

/// The points that a worker noted, one name each.
///
/// # Panics
/// When the file cannot be read.
#[must_use]
pub fn trace(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}
