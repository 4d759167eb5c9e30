//! Tells systemd's watchdog that the worker lives, from a thread of its own, so that a busy runtime delays
//! nothing. What counts as life is the loop that consumes: [`crate::intake`] counts its turns, and the
//! thread tells only of new ones. Where there is none it asks for one: a loop with nothing to do does not turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sd_notify::NotifyState;
use tokio::sync::Notify;

/// The turns of the loop. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<Turns>);

#[derive(Debug, Default)]
struct Turns {
    count: AtomicU64,
    stopping: AtomicBool,
    asked: Notify,
}

impl Pulse {
    /// Another turn.
    pub fn beat(&self) {
        self.0.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends when the loop is to show that it turns.
    pub async fn asked(&self) {
        self.0.asked.notified().await;
    }

    /// The loop ends because it was told to: from here on systemd's limit on stopping counts alone.
    pub fn stopping(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
    }

    /// Tells systemd, where it wants to know, until the process ends.
    ///
    /// # Errors
    /// When there can be no such thread.
    pub fn watch(&self) -> std::io::Result<()> {
        let Some(limit) = sd_notify::watchdog_enabled() else {
            return Ok(());
        };
        let turns = Arc::clone(&self.0);
        std::thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(move || {
                let mut told = 0;
                loop {
                    std::thread::sleep(limit / 4);
                    let count = turns.count.load(Ordering::Relaxed);
                    if count != told || turns.stopping.load(Ordering::Relaxed) {
                        told = count;
                        // Without systemd there is nobody to tell, which is fine.
                        drop(sd_notify::notify(&[NotifyState::Watchdog]));
                    } else {
                        turns.asked.notify_one();
                    }
                }
            })
            .map(drop)
    }
}
