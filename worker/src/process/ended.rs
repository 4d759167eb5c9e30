//! Waiting for the end of any process, a child or not, by its pidfd: a number could be given to another.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// One process, by a descriptor that never comes to mean another.
#[derive(Clone)]
pub(super) struct Process {
    pub(super) pid: Pid,
    fd: Arc<OwnedFd>,
}

impl Process {
    /// The process that has this number now.
    pub(super) fn open(pid: Pid) -> std::io::Result<Self> {
        Ok(Self {
            pid,
            fd: Arc::new(pidfd_open(pid, PidfdFlags::empty())?),
        })
    }

    /// Sends a signal. That it is gone already, or another user's by now, is no fault of the sender.
    pub(super) fn signal(&self, signal: Signal) {
        pidfd_send_signal(&*self.fd, signal).ok();
    }
}

/// The end of one process, as something to wait for.
pub(super) struct Ended {
    fd: std::io::Result<AsyncFd<OwnedFd>>,
}

impl Ended {
    #[expect(
        deprecated,
        reason = "its successor is unsafe, to make callers keep the descriptor open; the owner inside does"
    )]
    pub(super) fn of(process: &Process) -> Self {
        // A descriptor of its own: one can be waited for at one place only.
        let fd = process.fd.try_clone();
        Self {
            fd: fd.and_then(|fd| AsyncFd::with_interest(fd, Interest::READABLE)),
        }
    }

    /// Comes back when the process has ended, buried or not.
    ///
    /// # Cancel safety
    /// May be dropped and called again.
    pub(super) async fn wait(&mut self) -> std::io::Result<()> {
        match &self.fd {
            // A pidfd stays readable once the process has ended, so readiness need not be cleared.
            Ok(fd) => fd.readable().await.map(drop),
            Err(error) => Err(std::io::Error::new(error.kind(), error.to_string())),
        }
    }
}
