//! Locks many platforms against new sites, or takes their locks off. A lock is the hub's alone, so there are no tasks to be
//! made one by one and nothing that could fail for some of them: they are chosen as for an operation, and all are
//! locked in one transaction.

use super::super::platforms::LockPlatform;
use super::super::tx::{Operation, Outcome, Tx};
use super::select::choose;
use crate::selector::Selector;
use crate::wire::{Each, Target};

/// Locks all platforms that a selector means, or unlocks them.
#[derive(Clone, Debug)]
pub struct LockPlatforms {
    /// Which.
    pub select: Selector,
    /// Whether they are to be locked.
    pub locked: bool,
    /// Why, for those whom it will be in the way.
    pub reason: String,
    /// Only say which are meant.
    pub dry_run: bool,
    /// Who.
    pub requested_by: String,
}

impl Operation for LockPlatforms {
    type Answer = Vec<Target>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<Vec<Target>>, sqlx::Error> {
        let chosen = match choose(tx.connection, &self.select, Each::Platform).await? {
            Ok(chosen) => chosen,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if self.dry_run {
            return Ok(Ok(chosen.targets));
        }
        for target in &chosen.targets {
            let Some(name) = &target.platform else {
                continue;
            };
            let one = LockPlatform {
                server: target.server.clone(),
                name: name.clone(),
                locked: self.locked,
                reason: self.reason.clone(),
                requested_by: self.requested_by.clone(),
            };
            // It was read in this transaction, so it is there.
            if let Err(refusal) = one.apply(tx).await? {
                return Err(sqlx::Error::Protocol(refusal.to_string()));
            }
        }
        Ok(Ok(chosen.targets))
    }
}
