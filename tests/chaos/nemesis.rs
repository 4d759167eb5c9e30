//! The nemesis: fires every fault in a random order, and again until the time is over, and looks after each
//! how long it took until a task of every server came through again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::faults::Fault;
use crate::patience::patient;
use crate::random::Random;
use crate::system::{SPOKES, System};

/// How long a task may take to come through after a fault before that is told as never.
const FLOWS: Duration = Duration::from_secs(120);

/// What came of one sort of fault.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How often it was caused.
    pub tried: u64,
    /// How often it was seen to happen.
    pub fired: u64,
    /// Until tasks came through again on every server; `None` is never.
    pub flowing: Vec<Option<Duration>>,
}

pub type Tallies = Arc<Mutex<BTreeMap<&'static str, Tally>>>;

/// Fires faults for as long as `lasts`, and each at least once. With `calm`, one only when what came before is
/// over.
pub async fn rage(
    system: &Arc<System>,
    random: &mut Random,
    lasts: Duration,
    calm: bool,
) -> Tallies {
    let tallies = Tallies::default();
    let began = Instant::now();
    let mut probes = JoinSet::new();
    let mut first = true;
    while first || began.elapsed() < lasts {
        let mut faults = Fault::all(system);
        random.shuffle(&mut faults);
        for fault in faults {
            if !first && began.elapsed() >= lasts {
                break;
            }
            one(system, random, fault, &tallies, &mut probes).await;
            if calm {
                while probes.join_next().await.is_some() {}
            }
            sleep(random.millis(200, 1200)).await;
        }
        // What an unlucky moment kept from happening gets two more.
        for _ in 0..2 {
            for fault in Fault::all(system) {
                let never = lock(&tallies)
                    .get(fault.name())
                    .is_none_or(|tally| tally.fired == 0);
                if first && never {
                    one(system, random, fault, &tallies, &mut probes).await;
                }
            }
        }
        first = false;
    }
    while probes.join_next().await.is_some() {}
    tallies
}

async fn one(
    system: &Arc<System>,
    random: &mut Random,
    fault: Fault,
    tallies: &Tallies,
    probes: &mut JoinSet<()>,
) {
    let fired = fault.fire(system, &mut random.fork()).await;
    let fired = match fired {
        Ok(fired) => fired,
        Err(error) => {
            eprintln!("{}: {error:#}", fault.name());
            // What it began must not be taken for what comes next.
            if let Err(error) = system.heal().await {
                eprintln!("{error:#}");
            }
            0
        }
    };
    {
        let mut tallies = lock(tallies);
        let tally = tallies.entry(fault.name()).or_default();
        tally.tried += 1;
        tally.fired += fired;
    }
    let (system, tallies) = (Arc::clone(system), Arc::clone(tallies));
    probes.spawn(async move {
        let took = flows(&system).await;
        if took.is_none() {
            eprintln!(
                "{}: nothing came through within {:?} after it",
                fault.name(),
                patient(FLOWS),
            );
        }
        lock(&tallies)
            .entry(fault.name())
            .or_default()
            .flowing
            .push(took);
    });
}

/// How long it takes until a task that is asked for now has come through on every server.
pub async fn flows(system: &System) -> Option<Duration> {
    let (began, limit) = (Instant::now(), patient(FLOWS));
    let all = async {
        for server in SPOKES {
            let task = system.api.ping(server).await;
            system.api.finished(&task, limit).await?;
        }
        Some(())
    };
    timeout(limit, all).await.ok().flatten()?;
    Some(began.elapsed())
}

/// A poisoned list is still a list: nothing here can be left by half.
pub fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
