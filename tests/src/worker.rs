//! A worker under test.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
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
    /// Such as `kill@17` or `fail@apply:create_database,twice@undo`, or `@` and a file that holds them.
    pub faults: Option<String>,
    /// The file.
    pub trace: Option<PathBuf>,
    /// Another configuration than the spoke's own.
    pub config: Option<PathBuf>,
    /// More of its environment.
    pub environment: Vec<(String, String)>,
}

impl Orders {
    /// Gives them to a program that is about to be started.
    pub fn to(&self, command: &mut std::process::Command) {
        if let Some(faults) = &self.faults {
            command.env("KOLGA_FAULTS", faults);
        }
        if let Some(trace) = &self.trace {
            command.env("KOLGA_FAULT_TRACE", trace);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
    }
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
            .arg("run");
        orders.to(&mut command);
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

    /// What it says of itself over its control socket, as `kolga-worker status` asks it; `None` while it does
    /// not listen.
    #[must_use]
    pub fn status(&self) -> Option<Value> {
        use std::io::{BufRead as _, BufReader, Write as _};
        let socket = self
            .stack
            .spoke(&self.server, "state_dir")
            .join("control.sock");
        let mut stream = std::os::unix::net::UnixStream::connect(socket).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .ok()?;
        stream.write_all(b"{\"verb\":\"status\"}\n").ok()?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }

    /// Waits until it consumes and everything that it had to tell is confirmed.
    pub async fn rests(&self) {
        until("the worker comes to rest", START, async || {
            let status = self.status()?;
            (status["mood"] == "consuming" && status["link"] == "up" && status["spooled"] == 0)
                .then_some(())
        })
        .await;
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
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

    /// Asks it to end, and waits until it has; how it did.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        self.end(Duration::from_secs(90)).await
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Panics
    /// When it does not end well.
    pub async fn stop(mut self) {
        let status = self.terminate().await;
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
