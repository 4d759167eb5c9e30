//! Whose turn it is with nginx. Swap, test and reload are one turn, which no two tasks of a spoke take at once:
//! neither may test or load the half-way state of the other. What has gathered while somebody had the turn is
//! changed in the next one together, with one test and one reload for all; when nginx does not accept that, each
//! change is tried alone, so that one that is wrong takes no other with it.
//!
//! [`Nginx::publish`] and [`Nginx::restore`] hand their changes in here and wait for what came of them.

use std::sync::{Arc, Mutex as Lock, MutexGuard as LockGuard, PoisonError};

use anyhow::Context as _;
use kolga_protocol::fault;
use kolga_protocol::names::HostName;
use tokio::sync::{Mutex, MutexGuard, oneshot};
use tokio::time::Instant;

use super::{Kept, Nginx, PATIENCE, file_name, unstoppable};
use crate::config;
use crate::cx::Cx;
use crate::files::Dir;

/// What is to become of a site's file.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// This text is tested aside first; if nginx does not load it, what was there before is there again. What was there
    /// before is kept, if it is said under which name.
    Publish { text: String, keep: Option<Kept> },
    /// Nothing; what was there is kept.
    TakeOff(Kept),
    /// What the file was, or nothing; also when it is that already. It may have been kept.
    Restore {
        previous: Option<String>,
        kept: Option<Kept>,
    },
}

/// A change that waits for its turn.
struct Job {
    number: u64,
    config: Arc<config::Nginx>,
    cx: Cx,
    host: HostName,
    change: Change,
    done: oneshot::Sender<anyhow::Result<()>>,
}

impl Job {
    fn end(self, result: anyhow::Result<()>) {
        // Who asked may be gone, with the worker.
        drop(self.done.send(result));
    }
}

/// The turn, and what waits for it.
#[derive(Default)]
pub(super) struct Turns {
    turn: Mutex<()>,
    waiting: Lock<Waiting>,
}

#[derive(Default)]
struct Waiting {
    last: u64,
    jobs: Vec<Job>,
}

impl std::fmt::Debug for Turns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Turns")
    }
}

impl Turns {
    fn hand_in(
        &self,
        config: &Arc<config::Nginx>,
        cx: &Cx,
        host: &HostName,
        change: Change,
    ) -> (Ticket<'_>, oneshot::Receiver<anyhow::Result<()>>) {
        let (done, answer) = oneshot::channel();
        let mut waiting = self.waiting();
        waiting.last += 1;
        let number = waiting.last;
        waiting.jobs.push(Job {
            number,
            config: Arc::clone(config),
            cx: cx.same(cx.stop.clone()),
            host: host.clone(),
            change,
            done,
        });
        let turns = self;
        (Ticket { turns, number }, answer)
    }

    /// What waits for the same configuration; what was handed in before or after a reload of it has its own.
    fn take(&self, config: &Arc<config::Nginx>) -> Vec<Job> {
        let mut waiting = self.waiting();
        let (taken, left) = std::mem::take(&mut waiting.jobs)
            .into_iter()
            .partition(|job| Arc::ptr_eq(&job.config, config));
        waiting.jobs = left;
        taken
    }

    /// A poisoned list is still a list.
    fn waiting(&self) -> LockGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a change back that nobody waits for any more, unless it has begun.
struct Ticket<'a> {
    turns: &'a Turns,
    number: u64,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut waiting = self.turns.waiting();
        waiting.jobs.retain(|job| job.number != self.number);
    }
}

impl Nginx {
    /// Hands a change in, and returns when it is made and visitors see it.
    pub(super) async fn change(
        &self,
        cx: &Cx,
        host: &HostName,
        change: Change,
    ) -> anyhow::Result<()> {
        let (ticket, mut answer) = self.turns.hand_in(&self.config, cx, host, change);
        let done = tokio::select! {
            biased;
            done = &mut answer => done,
            turn = self.take_turn() => {
                let turn = turn?;
                self.change_all(self.turns.take(&self.config)).await;
                drop(turn);
                answer.await
            }
        };
        drop(ticket);
        done.context("whoever made this change together with others ended before it was made")?
    }

    async fn change_all(&self, jobs: Vec<Job>) {
        let mut swapped = Vec::with_capacity(jobs.len());
        for job in jobs {
            match self.prepare(&job).await {
                Ok(previous) => swapped.push((job, previous)),
                Err(error) => job.end(Err(error)),
            }
        }
        let [(first, _), more @ ..] = swapped.as_slice() else {
            return;
        };
        if more.is_empty() {
            for (job, previous) in swapped {
                let done = self.settle(&job, previous.as_deref()).await;
                job.end(done);
            }
            return;
        }
        let cx = unstoppable(&first.cx);
        cx.log.info(format!(
            "{} other sites share this test and reload of nginx",
            more.len()
        ));
        if self.load(&cx, None).await.is_ok() {
            for (job, _) in swapped {
                job.end(Ok(()));
            }
            return;
        }
        self.one_by_one(swapped).await;
    }

    /// After they failed together: all out again, then one after the other.
    async fn one_by_one(&self, swapped: Vec<(Job, Option<String>)>) {
        let mut failed = Vec::new();
        for (index, (job, previous)) in swapped.iter().enumerate().rev() {
            if let Change::Publish { keep, .. } = &job.change
                && let Err(error) = self.back(&job.host, previous.as_deref(), keep.as_ref())
            {
                failed.push((index, error));
            }
        }
        for (index, (job, previous)) in swapped.into_iter().enumerate() {
            let error = failed.iter().position(|(at, _)| *at == index);
            let done = match (error.map(|at| failed.swap_remove(at).1), &job.change) {
                (Some(error), _) => Err(error),
                (None, Change::Publish { text, keep }) => {
                    match self.swap(&job.host, text, keep.as_ref()) {
                        Ok(()) => self.settle(&job, previous.as_deref()).await,
                        Err(error) => Err(error),
                    }
                }
                (None, Change::TakeOff(_) | Change::Restore { .. }) => {
                    self.settle(&job, None).await
                }
            };
            job.end(done);
        }
    }

    /// Tests what is new aside and swaps the file; what was there before.
    async fn prepare(&self, job: &Job) -> anyhow::Result<Option<String>> {
        match &job.change {
            Change::Publish { text, keep } => {
                self.ensure_include()?;
                self.stage_in_turn(&job.cx, &job.host, text).await?;
                job.cx.stop.check()?;
                let previous = self.vhost(&job.host)?;
                // From here on it takes only moments, and a stop in between would leave a file that was never
                // loaded, or the other way round.
                self.swap(&job.host, text, keep.as_ref())?;
                fault::point("nginx:swapped");
                Ok(previous)
            }
            Change::TakeOff(keep) => {
                self.clear_stage()?;
                self.put_aside(&job.host, keep)?;
                fault::point("nginx:taken_off");
                Ok(None)
            }
            Change::Restore { previous, kept } => {
                self.clear_stage()?;
                self.back(&job.host, previous.as_deref(), kept.as_ref())?;
                fault::point("nginx:put_back");
                Ok(None)
            }
        }
    }

    /// Loads one change that is swapped in already.
    async fn settle(&self, job: &Job, previous: Option<&str>) -> anyhow::Result<()> {
        let cx = unstoppable(&job.cx);
        let Change::Publish { keep, .. } = &job.change else {
            return self.load(&cx, Some(&job.host)).await;
        };
        let loaded = match fault::fail("nginx:load") {
            Ok(()) => self.load(&cx, Some(&job.host)).await,
            Err(ordered) => Err(ordered.into()),
        };
        if loaded.is_err()
            && let Err(error) = self
                .load_before(&cx, &job.host, previous, keep.as_ref())
                .await
        {
            cx.log
                .warn(format!("nginx could not be put back: {error:#}"));
        }
        loaded
    }

    /// After a change that was not loaded: what was there before is loaded again.
    async fn load_before(
        &self,
        cx: &Cx,
        host: &HostName,
        previous: Option<&str>,
        kept: Option<&Kept>,
    ) -> anyhow::Result<()> {
        self.back(host, previous, kept)?;
        fault::point("nginx:put_back");
        self.load(cx, Some(host)).await
    }

    pub(super) fn write(&self, host: &HostName, text: Option<&str>) -> anyhow::Result<()> {
        let dir = self.sites_dir()?;
        match text {
            Some(text) => dir.write_atomically(file_name(host), text.as_bytes(), 0o644),
            None => dir.remove_file(file_name(host)),
        }
    }

    /// Waits for this process's own turn, and for other processes': `kolga-worker check` may be run beside
    /// the worker. The kernel ends the lock with whoever holds it.
    pub(super) async fn take_turn(&self) -> anyhow::Result<(MutexGuard<'_, ()>, Dir)> {
        let turn = self.turns.turn.lock().await;
        let dir = self.sites_dir()?;
        let give_up = Instant::now() + PATIENCE;
        while !dir.try_lock()? {
            anyhow::ensure!(
                Instant::now() < give_up,
                "another program holds the lock on {}: see who with `fuser`",
                dir.path().display()
            );
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        Ok((turn, dir))
    }
}
