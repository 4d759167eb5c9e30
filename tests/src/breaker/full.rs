//! Fills the disks that a step writes to, right before it acts: what it then cannot write ends the task with nothing
//! left, though its undos have no room either.

use super::Breaker;
use super::points::steps;
use crate::hub::TASK;
use crate::wait::{HUB, until_every};

/// Steps that another scenario of this run has met a full disk with already.
const KNOWN: usize = 1;

impl Breaker {
    /// Fills the disks before each step. Nothing for scenarios that have none of their own.
    ///
    /// # Panics
    /// When anything is left, an undo is stuck, or the reason is not told.
    pub(super) async fn fill_everywhere(&mut self) {
        if self.disks.is_none() {
            return;
        }
        let all = steps(&self.points, "intended:");
        let (mut chosen, known): (Vec<String>, Vec<String>) = all
            .into_iter()
            .partition(|step| self.new.full.contains(step));
        self.choice
            .all_of("new steps that begin with a full disk", &chosen);
        chosen.extend(self.choice.some(
            "steps that begin with a full disk",
            &known,
            KNOWN,
            Clone::clone,
        ));
        for step in chosen {
            self.fill(&step).await;
        }
    }

    /// One try in which the disks are full from one step on.
    async fn fill(&mut self, step: &str) {
        let before = self.begin().await;
        let disks = self.disks.as_ref().expect("disks of its own");
        let orders: Vec<String> = disks
            .folders()
            .map(|folder| format!("fill@apply:{step}@{}", folder.display()))
            .collect();
        self.hand.give(&orders.join(","));
        let task = self.hub.ask(&self.request()).await;
        let what = format!("{step}, which began with a full disk, has come to an end");
        let rests = until_every(HUB, &what, TASK, async || {
            let shown = self.hub.show(&task).await;
            let rests = shown["finished"] == true || shown["state"] == "stuck";
            rests.then_some(shown)
        });
        let shown = rests.await;
        assert_eq!(self.hand.filled(), orders.len(), "{step}: {shown:#}");
        self.hand.calm();
        self.disks.as_ref().expect("disks of its own").empty();
        let fault = format!("the disk is full when {step} begins");
        let told = shown["failure"].to_string().to_lowercase();
        let at = shown["failure"]["step"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let succeeded = shown["state"] == "succeeded";
        assert!(
            succeeded || told.contains("no space left"),
            "{fault}: {shown:#}"
        );
        let outcome = match succeeded {
            true => "succeeded, needing no room".to_owned(),
            false => format!("failed in {at}"),
        };
        self.judge(&fault, &shown, before, &["failed", "succeeded"])
            .await;
        self.table
            .fired(step, "the disk is full from here on", &outcome);
    }
}
