//! What a step is: the unit of doing and of undoing.
//!
//! The executor ([`crate::run`]) drives a task's steps one after the other. For each one it calls
//! [`Step::inspect`], makes the record durable in the journal, and only then calls [`Step::apply`]. When
//! anything stops the task (an error, a cancel, a signal, a crash), it calls [`Step::undo`] for every step
//! whose record is in the journal, newest first, with nothing but that record. So:
//!
//! - `ready` only reads, and is asked of all steps of a plan before the first of them is begun: what cannot end well on this
//!   machine does not begin.
//! - `inspect` only reads. It refuses what is "already there and not ours", before anything is touched.
//! - `undo` must be right in three states: the step never ran, ran by half, ran whole. "Not found" is
//!   success. It removes only what the record says was not there before.
//! - The record is stored as JSON for as long as the task is unfinished, so that a later release can still
//!   undo what an earlier one began: add fields with `#[serde(default)]`, never change one's meaning.
//!
//! What cannot be undone is a [`FinalStep`]. Final steps come after the point of no return; their records
//! are made durable together with it, and from then on they are tried until they succeed.

use std::future::Future;

use futures_util::future::{BoxFuture, FutureExt};
use serde::Deserialize as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::aside::Aside;
use crate::cx::Cx;

/// A step that can be undone.
pub trait Step: Send + Sync + 'static {
    /// Its name for ever, `verb_noun`: journals hold it.
    const NAME: &'static str;
    /// What was found and what undoing needs. No secret: the journal is not the place for one.
    type Record: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// Refuses where this machine lacks what the step will need of it, whatever it works on.
    fn ready(&self, _cx: &Cx) -> impl Future<Output = anyhow::Result<()>> + Send {
        std::future::ready(Ok(()))
    }

    /// Looks at the world and touches nothing.
    fn inspect(&self, cx: &Cx) -> impl Future<Output = anyhow::Result<Self::Record>> + Send;

    /// Changes the world. An error leaves it to `undo` to clean up.
    ///
    /// # Cancel safety
    /// Never dropped half-way. It watches `cx.stop` between operations where it may take long; children
    /// started through [`crate::process`] are ended when `cx.stop` fires, and the step then returns an error.
    fn apply(
        &self,
        cx: &Cx,
        record: &Self::Record,
    ) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// What `apply` leaves aside instead of destroying it, so that `undo` needs no room on any disk. It goes with the
    /// task's success, past the point of no return ([`crate::plan::Plan::closed`]); `undo` puts it back.
    fn aside(&self) -> Vec<Aside> {
        Vec::new()
    }

    /// Takes back whatever `apply` did or half did. Not interrupted by `cx.stop`.
    fn undo(cx: &Cx, record: &Self::Record) -> impl Future<Output = Result<(), UndoError>> + Send;
}

/// A step after the point of no return: idempotent, tried until it succeeds.
pub trait FinalStep: Send + Sync + 'static {
    /// Its name for ever, `verb_noun`.
    const NAME: &'static str;
    /// All that finishing needs. No secret.
    type Record: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// As [`Step::ready`]: past the point of no return it would be too late.
    fn ready(&self, _cx: &Cx) -> impl Future<Output = anyhow::Result<()>> + Send {
        std::future::ready(Ok(()))
    }

    /// Looks at the world and touches nothing; the last chance to refuse.
    fn inspect(&self, cx: &Cx) -> impl Future<Output = anyhow::Result<Self::Record>> + Send;

    /// Does it, or finds it done.
    fn finish(cx: &Cx, record: &Self::Record) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// A step that stands in one of the lists of [`crate::steps`], so that the journal's name for it leads back
/// to its code. Only the lists implement this, and a plan takes nothing else.
pub trait Listed {}

/// Undoing failed: a person has to look. The task becomes `stuck` and keeps its objects locked.
#[derive(Debug, thiserror::Error)]
#[error("could not be undone; left behind: {}", .left_behind.join(", "))]
pub struct UndoError {
    /// What is still there, each thing by its full name.
    pub left_behind: Vec<String>,
    /// Why.
    #[source]
    pub source: anyhow::Error,
}

impl UndoError {
    /// One thing is still there, because of `source`.
    pub fn leaves(what: impl Into<String>, source: impl Into<anyhow::Error>) -> Self {
        Self {
            left_behind: vec![what.into()],
            source: source.into(),
        }
    }
}

/// A [`Step`] whose record's type is forgotten, as a plan holds it.
pub trait AnyStep: Send + Sync {
    /// [`Step::NAME`].
    fn name(&self) -> &'static str;
    /// [`Step::ready`].
    fn ready<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, anyhow::Result<()>>;
    /// [`Step::inspect`], the record as JSON.
    fn inspect<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, anyhow::Result<serde_json::Value>>;
    /// [`Step::apply`] with the record that `inspect` gave.
    fn apply<'a>(
        &'a self,
        cx: &'a Cx,
        record: &'a serde_json::Value,
    ) -> BoxFuture<'a, anyhow::Result<()>>;
    /// [`Step::aside`].
    fn aside(&self) -> Vec<Aside>;
}

impl<S: Step> AnyStep for S {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn ready<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, anyhow::Result<()>> {
        Step::ready(self, cx).boxed()
    }

    fn inspect<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, anyhow::Result<serde_json::Value>> {
        async move { Ok(serde_json::to_value(Step::inspect(self, cx).await?)?) }.boxed()
    }

    fn apply<'a>(
        &'a self,
        cx: &'a Cx,
        record: &'a serde_json::Value,
    ) -> BoxFuture<'a, anyhow::Result<()>> {
        async move {
            let record = S::Record::deserialize(record)?;
            Step::apply(self, cx, &record).await
        }
        .boxed()
    }

    fn aside(&self) -> Vec<Aside> {
        Step::aside(self)
    }
}

/// A [`FinalStep`] whose record's type is forgotten.
pub trait AnyFinalStep: Send + Sync {
    /// [`FinalStep::NAME`].
    fn name(&self) -> &'static str;
    /// [`FinalStep::ready`].
    fn ready<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, anyhow::Result<()>>;
    /// [`FinalStep::inspect`], the record as JSON.
    fn inspect<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, anyhow::Result<serde_json::Value>>;
}

impl<S: FinalStep> AnyFinalStep for S {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn ready<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, anyhow::Result<()>> {
        FinalStep::ready(self, cx).boxed()
    }

    fn inspect<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, anyhow::Result<serde_json::Value>> {
        async move { Ok(serde_json::to_value(FinalStep::inspect(self, cx).await?)?) }.boxed()
    }
}
