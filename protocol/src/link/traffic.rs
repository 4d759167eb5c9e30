//! How much goes over the links of a process, by what each link is for: plain counters that only grow.
//! Counted by `publisher` and `consumer` with one atomic addition a message; read by whoever measures.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// The counters of all links that were made from one [`LinkConfig`](super::LinkConfig). Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Traffic(Arc<Mutex<BTreeMap<String, Arc<Meter>>>>);

/// What one purpose has sent and taken since the process began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// What the links are for, such as `relay`.
    pub purpose: String,
    /// Messages handed to the broker, those sent again counted again.
    pub published: u64,
    /// The bytes of their bodies.
    pub published_bytes: u64,
    /// Messages that the broker delivered, those delivered again counted again.
    pub consumed: u64,
    /// The bytes of their bodies.
    pub consumed_bytes: u64,
}

#[derive(Debug, Default)]
pub(super) struct Meter {
    published: AtomicU64,
    published_bytes: AtomicU64,
    consumed: AtomicU64,
    consumed_bytes: AtomicU64,
}

impl Traffic {
    /// Everything counted so far, by purpose.
    #[must_use]
    pub fn read(&self) -> Vec<Counted> {
        let meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = |(purpose, meter): (&String, &Arc<Meter>)| Counted {
            purpose: purpose.clone(),
            published: meter.published.load(Relaxed),
            published_bytes: meter.published_bytes.load(Relaxed),
            consumed: meter.consumed.load(Relaxed),
            consumed_bytes: meter.consumed_bytes.load(Relaxed),
        };
        meters.iter().map(counted).collect()
    }

    /// The counters of one purpose, which all its links share.
    pub(super) fn meter(&self, purpose: &str) -> Arc<Meter> {
        let mut meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(meters.entry(purpose.to_owned()).or_default())
    }
}

impl Meter {
    pub(super) fn published(&self, body: &[u8]) {
        self.published.fetch_add(1, Relaxed);
        self.published_bytes.fetch_add(body.len() as u64, Relaxed);
    }

    pub(super) fn consumed(&self, body: &[u8]) {
        self.consumed.fetch_add(1, Relaxed);
        self.consumed_bytes.fetch_add(body.len() as u64, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_one_purpose_count_together() {
        let traffic = Traffic::default();
        traffic.meter("relay").published(b"four");
        traffic.meter("relay").published(b"by");
        traffic.meter("inbox").consumed(b"four");
        let read = traffic.read();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].consumed, read[0].consumed_bytes), (1, 4));
        assert_eq!((read[1].published, read[1].published_bytes), (2, 6));
    }
}
