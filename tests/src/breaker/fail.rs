//! Makes each step fail, with every undo run twice; and makes each undo fail.

use super::Breaker;
use super::points::steps;
use crate::scenario::SERVER;
use crate::worker::{Worker, command};

/// Steps whose failing undo another scenario of this run has tried already.
const KNOWN_UNDOS: usize = 1;

impl Breaker {
    /// Makes each step fail where it looks, before it acts or after it acted, with every undo run twice; the last
    /// one after it acted, so that every step is undone.
    ///
    /// # Panics
    /// When anything is left, or the wrong step failed.
    pub(super) async fn fail_everywhere(&mut self) {
        let all = steps(&self.points, "intended:");
        for step in &all {
            let places: &[&str] = match Some(step) == all.last() {
                true => &["applied"],
                false => &["inspect", "apply", "applied"],
            };
            let named = |at: &&str| format!("{at}:{step}");
            for at in self
                .choice
                .some("places at which a step fails", places, 1, named)
            {
                self.fail(step, at).await;
            }
        }
        for step in steps(&self.points, "finish:") {
            self.fail(&step, "inspect").await;
        }
    }

    /// One try in which a step fails.
    pub(super) async fn fail(&mut self, step: &str, at: &str) {
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
        let Some(last) = all.last().cloned() else {
            return;
        };
        let (mut chosen, known): (Vec<String>, Vec<String>) = all
            .into_iter()
            .partition(|step| self.new.undos.contains(step));
        self.choice.all_of("undos that fail, of new steps", &chosen);
        chosen.extend(
            self.choice
                .some("undos that fail", &known, KNOWN_UNDOS, Clone::clone),
        );
        for (number, step) in chosen.into_iter().enumerate() {
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
