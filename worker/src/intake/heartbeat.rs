//! The heartbeat: what this worker does, told to the hub by the loop that consumes.

use kolga_protocol::envelope::{self, Message as _};
use kolga_protocol::id::UnixMillis;
use kolga_protocol::link::{Address, Outgoing};
use kolga_protocol::message::{Heartbeat, Mood};
use kolga_protocol::topology::HEARTBEATS_EXCHANGE;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::Intake;
use crate::run::Counts;

/// Beats.
pub(super) struct Heart {
    /// The last beat, while it is on its way: a broker that blocks must not gather them.
    beating: Option<JoinHandle<()>>,
    disk: std::path::PathBuf,
}

impl Heart {
    pub(super) fn new(intake: &Intake) -> Self {
        Self {
            beating: None,
            disk: intake.disk.clone(),
        }
    }

    pub(super) async fn beat(&mut self, intake: &mut Intake, mood: Mood, counts: Counts) {
        let on_its_way = self
            .beating
            .as_ref()
            .is_some_and(|beat| !beat.is_finished());
        if on_its_way || !intake.publisher.state().borrow().is_up() {
            return;
        }
        let spooled = match intake.reader.overview().await {
            Ok(overview) => overview.spooled.cast_unsigned(),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the journal cannot be read"
                );
                return;
            }
        };
        let heartbeat = Heartbeat {
            server: intake.server.clone(),
            journal: intake.journal.id,
            at: UnixMillis::now(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mood,
            running: number(counts.running),
            waiting: number(counts.waiting),
            stuck: number(counts.stuck),
            spooled,
            load_milli: load_milli(),
            disk_free: disk_free(&self.disk),
            deferring: intake.runner.deferring().borrow().clone(),
        };
        let message = Outgoing {
            to: Address::Exchange {
                name: HEARTBEATS_EXCHANGE.to_owned(),
                key: intake.server.to_string(),
            },
            message_id: Uuid::now_v7().to_string(),
            kind: Heartbeat::KIND,
            body: envelope::seal(&heartbeat),
            persistent: false,
        };
        let publisher = intake.publisher.clone();
        self.beating = Some(tokio::spawn(async move {
            drop(publisher.publish(vec![message]).await);
        }));
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The load average over one minute, in thousandths; 0 where the kernel does not tell.
fn load_milli() -> u32 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = text
        .split(' ')
        .next()
        .and_then(|first| first.parse().ok())
        .unwrap_or(0.0);
    // A load is small and never negative.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let milli = (load * 1000.0) as u32;
    milli
}

/// Bytes that the worker may still write where sites lie; 0 where that cannot be told.
fn disk_free(path: &std::path::Path) -> u64 {
    rustix::fs::statvfs(path).map_or(0, |fs| fs.f_bavail * fs.f_frsize)
}
