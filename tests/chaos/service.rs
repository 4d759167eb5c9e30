//! A program under test, kept running as systemd would: whatever ends is started again.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

/// How long a program may take to end once it was told twice.
const ENDS: Duration = Duration::from_secs(90);

/// A program.
#[derive(Clone)]
pub struct Service(Arc<Inner>);

struct Inner {
    name: String,
    command: Box<dyn Fn() -> std::io::Result<Command> + Send + Sync>,
    child: Mutex<Option<Child>>,
    /// Ends that nobody had asked for.
    unasked: AtomicU64,
}

impl Service {
    /// Starts it, and looks after it until it is stopped.
    pub async fn start(
        name: &str,
        command: impl Fn() -> std::io::Result<Command> + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let service = Self(Arc::new(Inner {
            name: name.to_owned(),
            command: Box::new(command),
            child: Mutex::new(None),
            unasked: AtomicU64::new(0),
        }));
        service.start_again().await?;
        let watched = service.clone();
        tokio::spawn(async move {
            loop {
                sleep(Duration::from_millis(200)).await;
                if let Err(error) = watched.look().await {
                    eprintln!("{}: {error:#}", watched.0.name);
                }
            }
        });
        Ok(service)
    }

    async fn look(&self) -> anyhow::Result<()> {
        let mut child = self.0.child.lock().await;
        if let Some(running) = child.as_mut()
            && let Some(status) = running.try_wait()?
        {
            self.0.unasked.fetch_add(1, Ordering::Relaxed);
            eprintln!("{} ended by itself: {status}", self.0.name);
            *child = Some(self.spawn()?);
        }
        Ok(())
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        (self.0.command)()
            .and_then(|mut command| command.stdin(Stdio::null()).spawn())
            .with_context(|| format!("cannot start {}", self.0.name))
    }

    /// Starts it after [`Service::stop`].
    pub async fn start_again(&self) -> anyhow::Result<()> {
        *self.0.child.lock().await = Some(self.spawn()?);
        Ok(())
    }

    /// Ends it with a signal and does not start it again; how it ended. TERM is said twice, a moment apart, so
    /// that what runs is interrupted.
    pub async fn stop(&self, signal: Signal) -> anyhow::Result<ExitStatus> {
        let mut slot = self.0.child.lock().await;
        let Some(mut child) = slot.take() else {
            bail!("{} does not run", self.0.name);
        };
        let began = Instant::now();
        let mut told = 0;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if told == 0 || (told == 1 && began.elapsed() > Duration::from_millis(500)) {
                send(child.id(), signal)?;
                told += 1;
            }
            if began.elapsed() > ENDS {
                send(child.id(), Signal::KILL)?;
                child.wait()?;
                bail!("{} did not end within {ENDS:?} of {signal:?}", self.0.name);
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends it with a signal and starts it again; whether it was this signal that ended it.
    pub async fn strike(&self, signal: Signal) -> anyhow::Result<bool> {
        let status = self.stop(signal).await?;
        self.start_again().await?;
        Ok(match signal {
            Signal::KILL => status.signal() == Some(Signal::KILL.as_raw()),
            _ => status.success(),
        })
    }

    /// How often it ended without being asked to.
    pub fn unasked(&self) -> u64 {
        self.0.unasked.load(Ordering::Relaxed)
    }

    pub fn name(&self) -> &str {
        &self.0.name
    }
}

/// Sends a signal to a process that may be gone.
pub fn send(pid: u32, signal: Signal) -> anyhow::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.context("no number of a process")?;
    match rustix::process::kill_process(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
