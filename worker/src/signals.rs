//! Signals, by signal-hook: a thread of its own waits for them and passes them to [`crate::start`].

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tokio::sync::mpsc;

/// What an operator, or systemd, wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// TERM or INT.
    End,
    /// HUP.
    Reload,
}

/// The signals that have come.
pub struct Signals(mpsc::UnboundedReceiver<Signal>);

impl Signals {
    /// Begins to catch them.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn listen() -> std::io::Result<Self> {
        let mut caught = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGHUP])?;
        let (tell, signals) = mpsc::unbounded_channel();
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                for signal in caught.forever() {
                    let meant = if signal == SIGHUP {
                        Signal::Reload
                    } else {
                        Signal::End
                    };
                    if tell.send(meant).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self(signals))
    }

    /// The next one.
    pub async fn next(&mut self) -> Signal {
        self.0.recv().await.unwrap_or(Signal::End)
    }

    /// The next one that means the end.
    pub async fn end(&mut self) {
        while self.next().await != Signal::End {}
    }
}
