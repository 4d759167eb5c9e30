//! A tenant's process that swaps what is his for links to what is not, there and back, as fast as it goes or with a pause, while
//! tasks work on his folder: whoever looks first and acts by the same name afterwards acts on the neighbour's.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, RenameFlags, renameat_with};

/// It goes on until it is ended.
pub struct Swapper {
    orders: Arc<Orders>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Orders {
    stop: AtomicBool,
    swaps: AtomicU64,
    pause_micros: AtomicU64,
}

impl Swapper {
    /// Swaps each of these pairs of names below the folder in turn. The folder is held on to, so it may get another name
    /// meanwhile, or go to the trash; where one of a pair is gone nothing is swapped.
    ///
    /// # Panics
    /// When there is no such folder.
    #[must_use]
    pub fn start(folder: &Path, pairs: Vec<(String, String)>) -> Self {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let top = rustix::fs::open(folder, flags, Mode::empty()).expect("the tenant's folder");
        let orders = Arc::new(Orders::default());
        let told = Arc::clone(&orders);
        let thread = std::thread::spawn(move || {
            while !told.stop.load(Ordering::Relaxed) {
                for (one, other) in &pairs {
                    for _there_and_back in 0..2 {
                        if renameat_with(&top, one, &top, other, RenameFlags::EXCHANGE).is_ok() {
                            told.swaps.fetch_add(1, Ordering::Relaxed);
                        }
                        let pause = told.pause_micros.load(Ordering::Relaxed);
                        if pause > 0 {
                            std::thread::sleep(Duration::from_micros(pause));
                        }
                    }
                }
            }
        });
        Self { orders, thread }
    }

    /// From now on it waits so long after each swap, so that what works on the folder has the luck to meet no link now and then.
    pub fn pause(&self, pause: Duration) {
        let micros = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX);
        self.orders.pause_micros.store(micros, Ordering::Relaxed);
    }

    /// How often it has swapped so far.
    #[must_use]
    pub fn swaps(&self) -> u64 {
        self.orders.swaps.load(Ordering::Relaxed)
    }

    /// Ends it, and tells how often it has swapped.
    ///
    /// # Panics
    /// When that was hardly ever.
    #[must_use]
    pub fn end(self) -> u64 {
        self.orders.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it ends");
        let swaps = self.orders.swaps.load(Ordering::Relaxed);
        assert!(swaps > 100, "only {swaps} swaps");
        swaps
    }
}

/// The only pair, as [`Swapper::start`] takes it.
#[must_use]
pub fn pair(one: &str, other: &str) -> Vec<(String, String)> {
    vec![(one.to_owned(), other.to_owned())]
}
