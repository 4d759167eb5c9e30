//! The heartbeat: what this worker does, told to the hub by the loop that consumes. Seldom while nothing
//! changes, soon when its numbers have changed, and at once for what somebody may wait to see.

use std::time::Duration;

use kolga_protocol::envelope::{self, Message as _};
use kolga_protocol::id::UnixMillis;
use kolga_protocol::link::{Address, Outgoing};
use kolga_protocol::message::{Heartbeat, Mood};
use kolga_protocol::rhythm;
use kolga_protocol::topology::HEARTBEATS_EXCHANGE;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use uuid::Uuid;

use super::Intake;
use crate::run::Counts;

/// Between two beats while there is nothing to tell, at most; about 20 s, since it beats when the process wakes
/// anyway. The hub counts a server as silent after 60 (`tasks.silent_seconds`).
const LONGEST: Duration = Duration::from_secs(25);
/// Between two beats while there is something to tell, or one could not leave.
const SOON: Duration = Duration::from_secs(5);

/// Beats.
pub(super) struct Heart {
    next: Interval,
    /// What the last beat told.
    told: Option<Counts>,
    /// The next beat comes earlier than when there is nothing to tell.
    hurries: bool,
    /// The last beat, while it is on its way: a broker that blocks must not gather them.
    beating: Option<JoinHandle<()>>,
    disk: std::path::PathBuf,
}

impl Heart {
    pub(super) fn new(intake: &Intake) -> Self {
        let mut next = tokio::time::interval(LONGEST);
        next.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            next,
            told: None,
            hurries: false,
            beating: None,
            disk: intake.disk.clone(),
        }
    }

    /// Ends when it is time to beat.
    pub(super) async fn due(&mut self) {
        self.next.tick().await;
    }

    /// Somebody may wait to see what has changed.
    pub(super) fn at_once(&mut self) {
        self.next.reset_immediately();
    }

    /// Beats earlier when the last beat told other numbers than these.
    pub(super) fn soon_if_news(&mut self, counts: Counts) {
        if !self.hurries && self.told.is_some_and(|told| told != counts) {
            self.hurries = true;
            self.next.reset_after(SOON);
        }
    }

    pub(super) async fn beat(&mut self, intake: &mut Intake, mood: Mood, counts: Counts) {
        self.hurries = false;
        if self.send(intake, mood, counts).await {
            self.told = Some(counts);
            let now = Instant::now();
            self.next.reset_at(rhythm::moment(now, now + LONGEST));
        } else {
            self.next.reset_after(SOON);
        }
    }

    /// Whether it is on its way.
    async fn send(&mut self, intake: &mut Intake, mood: Mood, counts: Counts) -> bool {
        let on_its_way = self
            .beating
            .as_ref()
            .is_some_and(|beat| !beat.is_finished());
        if on_its_way || !intake.publisher.state().borrow().is_up() {
            return false;
        }
        let spooled = match intake.reader.overview().await {
            Ok(overview) => overview.spooled.cast_unsigned(),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the journal cannot be read"
                );
                return false;
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
        true
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
