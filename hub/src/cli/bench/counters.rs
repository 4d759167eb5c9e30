//! The hub's own counters while it is measured: read from `/v1/metrics`, which costs it nothing to speak of,
//! and waited for until tasks have ended.

use std::time::{Duration, Instant};

use super::Bench;
use super::progress::Progress;
use crate::cli::client::Client;
use crate::cli::trouble::Trouble;

/// How often they are looked at: as exact as times of phases are.
const GLANCE: Duration = Duration::from_millis(2);
/// So long without any task that ends, and something is wrong.
const STALLED: Duration = Duration::from_secs(60);

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    /// Tasks that have ended, of whoever's.
    pub ended: u64,
    /// Messages between hub and broker, but for heartbeats.
    pub messages: u64,
    /// The bytes of their bodies.
    pub bytes: u64,
}

impl Counters {
    /// As they are now.
    pub(super) async fn read(client: &Client) -> Result<Self, Trouble> {
        let only = [("only", "counters".to_owned())];
        Ok(Self::parse(&client.text("/v1/metrics", &only).await?))
    }

    fn parse(text: &str) -> Self {
        let mut counters = Self::default();
        for line in text.lines() {
            let Some((sample, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let value = value.parse().unwrap_or(0);
            let family = sample.split('{').next().unwrap_or_default();
            let beats = sample.contains("link=\"heartbeats\"");
            match family {
                "kolga_tasks_ended_total" => counters.ended += value,
                "kolga_link_messages_total" if !beats => counters.messages += value,
                "kolga_link_bytes_total" if !beats => counters.bytes += value,
                _ => {}
            }
        }
        counters
    }
}

/// Waits until so many tasks more than `before` have ended, telling `heard` of each glance.
pub(super) async fn until_ended(
    bench: &Bench<'_>,
    before: Counters,
    count: u64,
    mut heard: impl FnMut(u64),
) -> Result<(), Trouble> {
    let mut progress = Progress::new(bench.screen, count, "tasks have ended");
    let mut last = (0, Instant::now());
    loop {
        let ended = Counters::read(bench.client).await?.ended - before.ended;
        heard(ended);
        progress.tell(ended);
        if ended >= count {
            return Ok(());
        }
        if ended > last.0 {
            last = (ended, Instant::now());
        } else if last.1.elapsed() > STALLED {
            return Err(Trouble::Usage {
                message: format!(
                    "no task has ended for {} seconds: {ended} of {count} have",
                    STALLED.as_secs()
                ),
                hint: "See what the others wait for: kolga task list, kolga doctor".to_owned(),
            });
        }
        tokio::time::sleep(GLANCE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_are_not_counted_to_the_tasks() {
        let text = "# HELP kolga_tasks_ended_total x\n\
            kolga_tasks_ended_total{state=\"succeeded\"} 5\n\
            kolga_tasks_ended_total{state=\"failed\"} 2\n\
            kolga_link_messages_total{link=\"relay\",direction=\"published\"} 10\n\
            kolga_link_messages_total{link=\"inbox\",direction=\"consumed\"} 4\n\
            kolga_link_messages_total{link=\"heartbeats\",direction=\"consumed\"} 100\n\
            kolga_link_bytes_total{link=\"relay\",direction=\"published\"} 1000\n\
            kolga_store_commit_seconds_total 0.25\n";
        let expected = Counters {
            ended: 7,
            messages: 14,
            bytes: 1000,
        };
        assert_eq!(Counters::parse(text), expected);
    }
}
