//! Makes each step fail, with every undo run twice; and makes each undo fail.

use super::Breaker;
use super::points::steps;
use crate::scenario::SERVER;
use crate::worker::{Worker, command};

/// Steps of a scenario that is like another whose failing undos are tried.
const UNDOS: usize = 2;

impl Breaker {
    /// Makes each step fail where it looks, before it acts and after it acted, with every undo run twice.
    ///
    /// # Panics
    /// When anything is left, or the wrong step failed.
    pub(super) async fn fail_everywhere(&mut self) {
        let most = if self.is_like_another() { 1 } else { 3 };
        for step in steps(&self.points, "intended:") {
            for at in self.choice.some(&["inspect", "apply", "applied"], most) {
                self.fail(&step, at).await;
            }
        }
        for step in steps(&self.points, "finish:") {
            self.fail(&step, "inspect").await;
        }
    }

    /// One try in which a step fails.
    async fn fail(&mut self, step: &str, at: &str) {
        let before = self.begin().await;
        let order = format!("fail@{at}:{step}");
        self.hand.give(&format!("{order},twice@undo"));
        let task = self.hub.ask(&self.request()).await;
        let shown = self.hub.ended(&task).await;
        assert!(self.hand.failed() > 0, "{order} never fired: {shown:#}");
        assert_eq!(shown["failure"]["step"], step, "{order}: {shown:#}");
        self.hand.calm();
        self.judge(&order, &shown, before, &["failed"]).await;
        let fault = format!("fails at {at}, each undo run twice");
        self.table.fired(step, &fault, "failed");
    }

    /// Lets the undo of each step fail: the task is stuck, its object locked, others go on; a restart
    /// changes nothing of that; and `retry-undo` ends it with nothing left.
    ///
    /// # Panics
    /// When it does not.
    pub(super) async fn fail_every_undo(&mut self) {
        let all = steps(&self.points, "intended:");
        let Some(last) = all.last() else { return };
        let most = if self.is_like_another() {
            UNDOS
        } else {
            all.len()
        };
        for (number, step) in self.choice.some(&all, most).into_iter().enumerate() {
            let before = self.begin().await;
            let order = format!("fail@applied:{last},fail@undo:{step}");
            self.hand.give(&order);
            let task = self.hub.ask(&self.request()).await;
            let shown = self.hub.reaches(&task, "stuck").await;
            assert_eq!(
                shown["failure"]["step"],
                step.as_str(),
                "{order}: {shown:#}"
            );
            let left = shown["failure"]["left_behind"].as_array();
            assert!(
                left.is_some_and(|left| !left.is_empty()),
                "{order}: {shown:#}"
            );
            let ping = self.hub.task(SERVER, "ping", serde_json::json!({})).await;
            self.hub.succeeds(&ping).await;
            assert!(self.hand.failed() > 1, "{order} never fired: {shown:#}");
            self.hand.calm();
            if number == 0 {
                self.restart().await;
                assert_eq!(self.hub.show(&task).await["state"], "stuck", "{order}");
            }
            let told = command(&self.stack, SERVER, &["journal", "retry-undo", &task]);
            assert!(told.status.success(), "{order}: {told:?}");
            let shown = self.hub.ended(&task).await;
            self.judge(&order, &shown, before, &["failed"]).await;
            self.table.fired(
                &step,
                "its undo fails",
                "stuck, and after retry-undo failed",
            );
        }
    }

    /// Another worker in place of this one.
    async fn restart(&mut self) {
        let status = self.worker.terminate().await;
        assert!(status.success(), "the worker ended with {status}");
        self.worker = Worker::start(&self.stack, SERVER, &self.hand.orders()).await;
    }
}
