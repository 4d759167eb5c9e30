//! What is done at regular times: by sites, the script that their profile's `[cron]` names, run by the worker itself and
//! not through the queue (docs/decisions/0013-cron.md says why); [`pruning`] of backups; and, when there are such, [`owing`],
//! which forgets snapshots that do not count.
//!
//! One task of the worker sleeps until the first site is due, and not at all when none has a `[cron]`; sites are
//! run one after the other. For a run the runner gives the site away like to a task ([`Runner::turn`]), so the two
//! never overlap; a site that a task has, or that waits for a person, is asked again a minute later. A disabled
//! site rests, and so does one that is held. What a script says is kept when it fails and goes into the worker's own log.

mod at;
mod every;
mod kept;
mod owing;
mod plan;
pub mod pruning;

use std::sync::Arc;
use std::time::Duration;

use kolga_protocol::object::Object;
use tokio::sync::watch;

use crate::cx::{Cx, Stop, StopCause};
use crate::registry::SiteEntry;
use crate::run::{Runner, Turn};
use crate::script;
use crate::site::Site;
use crate::spoke::Spoke;
use kept::Kept;
use owing::Owing;
use plan::{Timetable, now};

pub use at::At;
pub use every::Every;

/// The script's name in the site's folder while it runs.
const NAME: &str = ".cron.php";
/// How long a site that is in use is left alone.
const LATER: u64 = 60;

/// Goes on until the worker ends.
pub async fn run(mut spokes: watch::Receiver<Arc<Spoke>>, runner: Runner) {
    let mut counts = runner.counts();
    let (mut timetable, mut owing) = (Timetable::default(), Owing::default());
    clean(&spokes.borrow());
    loop {
        let spoke = Arc::clone(&spokes.borrow_and_update());
        // Sites come and go with tasks, and only then.
        counts.borrow_and_update();
        if let Err(error) = timetable.read(&spoke) {
            tracing::error!(
                error = format!("{error:#}"),
                "the sites cannot be read for cron"
            );
        }
        while let Some(entry) = timetable.due(now()) {
            match runner.turn(Object::Site(entry.host.clone())).await {
                Some(turn) => {
                    once(&spoke, &entry, turn).await;
                }
                None => timetable.postpone(&entry.host, now() + LATER),
            }
        }
        if timetable.prunes(now()) {
            match runner.turn(Object::Backups).await {
                // It may take long, and sites are not to wait for it; the runner waits for it when the worker ends.
                Some(turn) => drop(tokio::spawn(pruning::once(Arc::clone(&spoke), turn))),
                None => timetable.postpone_pruning(now() + LATER),
            }
        }
        owing.read(&spoke, now());
        if owing.is_due(now()) {
            match runner.turn(Object::Backups).await {
                Some(turn) => drop(tokio::spawn(owing::once(Arc::clone(&spoke), turn))),
                None => owing.postpone(now() + LATER),
            }
        }
        let pauses = [timetable.pause(now()), owing.pause(now())];
        let pause = pauses.into_iter().flatten().min();
        let pause = pause.map(Duration::from_secs);
        tokio::select! {
            () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
            changed = spokes.changed() => if changed.is_err() { return },
            changed = counts.changed() => if changed.is_err() { return },
        }
    }
}

/// Takes away what a worker that died in the middle of a run has left.
fn clean(spoke: &Spoke) {
    let cleaned = spoke.registry.sites.list().and_then(|sites| {
        let mut sites = sites.iter();
        sites.try_for_each(|entry| script::clean(spoke, &entry.host, NAME))
    });
    if let Err(error) = cleaned {
        tracing::warn!(
            error = format!("{error:#}"),
            "a script of cron may be left in a site's folder"
        );
    }
}

/// Runs a site's script, and says whether it ended well; what went wrong goes into the worker's log.
pub async fn once(spoke: &Arc<Spoke>, entry: &SiteEntry, turn: Turn) -> bool {
    let host = &entry.host;
    let kept = Arc::new(Kept::default());
    let cx = context(Arc::clone(spoke), &turn, &kept);
    let began = std::time::Instant::now();
    let ended = unless_halted(&cx, &turn, carry_out(&cx, entry)).await;
    let took = format!("{:.1} s", began.elapsed().as_secs_f64());
    let well = ended.is_ok();
    match ended {
        Ok(()) => tracing::debug!(%host, took, "cron"),
        Err(_) if cx.stop.cause().is_some() => tracing::info!(%host, took, "cron was stopped"),
        Err(error) => {
            let (error, said) = (format!("{error:#}"), kept.said());
            tracing::warn!(%host, took, error, said, "cron failed");
        }
    }
    well
}

/// For what is done in a turn.
fn context(spoke: Arc<Spoke>, turn: &Turn, kept: &Arc<Kept>) -> Cx {
    Cx {
        spoke,
        run: turn.run,
        log: kept.log(),
        stop: Stop::default(),
    }
}

/// Does it, and has it end early when the worker stops at once.
async fn unless_halted<T>(
    cx: &Cx,
    turn: &Turn,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    tokio::pin!(work);
    tokio::select! {
        ended = &mut work => ended,
        () = turn.halt.cancelled() => {
            cx.stop.fire(StopCause::Shutdown);
            work.await
        }
    }
}

async fn carry_out(cx: &Cx, entry: &SiteEntry) -> anyhow::Result<()> {
    let site = Site::installed(entry, &cx.spoke)?;
    let Some(cron) = &site.profile.manifest.cron else {
        return Ok(());
    };
    script::clean(&cx.spoke, &entry.host, NAME)?;
    let ran = script::run(cx, &site, &cron.script, NAME).await;
    script::clean(&cx.spoke, &entry.host, NAME)?;
    ran
}
