//! A site, or something else, given away like to a task, to what is none: a run of its cron, backups that go by
//! themselves. It is in no journal and takes no place in a lane; it holds its object until the [`Turn`] is dropped.

use kolga_protocol::id::{Attempt, Run, TaskId};
use kolga_protocol::object::{Claim, Lane, Object};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::actor::Actor;
use super::attempt::End;

/// An object for oneself.
#[derive(Debug)]
pub struct Turn {
    /// A name for what is done with it, as no task has.
    pub run: Run,
    /// Fires when the worker stops at once.
    pub halt: CancellationToken,
    /// Dropped with it, which gives the object back.
    _back: oneshot::Sender<()>,
}

impl Turn {
    /// One that nobody waits for.
    #[cfg(test)]
    pub(crate) fn alone() -> Self {
        Self {
            run: Run::new(TaskId::generate(), Attempt::FIRST),
            halt: CancellationToken::new(),
            _back: oneshot::channel().0,
        }
    }
}

impl Actor {
    /// Gives the object away when nobody has it or waits for it.
    pub(super) fn turn(&mut self, object: Object) -> Option<Turn> {
        if self.draining {
            return None;
        }
        let run = Run::new(TaskId::generate(), Attempt::FIRST);
        let claim = Claim::exclusive(object);
        self.schedule.add(run, &[claim], Lane::Light, false);
        if !self.schedule.holds_all(run) {
            self.schedule.remove(run);
            return None;
        }
        self.schedule.start_regardless(run);
        // It takes no place in the lane.
        self.schedule.keep_claims_only(run);
        let (back, returned) = oneshot::channel();
        self.turns.insert(run);
        self.work.spawn(async move {
            drop(returned.await);
            (run, End::Ended)
        });
        Some(Turn {
            run,
            halt: self.halt.clone(),
            _back: back,
        })
    }

    /// Takes the object back, if that is what has ended.
    pub(super) fn turned(&mut self, run: Run) -> bool {
        let was = self.turns.remove(&run);
        if was {
            self.schedule.remove(run);
        }
        was
    }
}
