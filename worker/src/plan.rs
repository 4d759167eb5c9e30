//! What a task is going to do, decided before anything is touched.
//!
//! [`crate::tasks`] turns parameters into a plan; the executor in [`crate::run`] carries it out.

use kolga_protocol::task::Output;

use crate::cx::Cx;
use crate::step::{AnyFinalStep, AnyStep, FinalStep, Listed, Step};
use crate::steps::drop_aside::DropAside;

/// The steps of one task in their order, and how its result is made.
pub struct Plan {
    /// Steps that can be undone, in the order of doing.
    pub steps: Vec<Box<dyn AnyStep>>,
    /// Steps after the point of no return, in their order. Most tasks have none.
    pub finals: Vec<Box<dyn AnyFinalStep>>,
    /// Makes the result, after the steps and before the point of no return. An error here still rolls
    /// everything back.
    pub output: Box<dyn FnOnce() -> anyhow::Result<Output> + Send>,
}

impl Plan {
    /// A plan without steps yet.
    pub fn new(output: impl FnOnce() -> anyhow::Result<Output> + Send + 'static) -> Self {
        Self {
            steps: Vec::new(),
            finals: Vec::new(),
            output: Box::new(output),
        }
    }

    /// Adds a step.
    #[must_use]
    pub fn step(mut self, step: impl Step + Listed) -> Self {
        self.steps.push(Box::new(step));
        self
    }

    /// The plan with a final step, before all others, for what its steps leave aside.
    #[must_use]
    pub fn closed(mut self) -> Self {
        let asides: Vec<_> = self.steps.iter().flat_map(|step| step.aside()).collect();
        if !asides.is_empty() {
            self.finals.insert(0, Box::new(DropAside(asides)));
        }
        self
    }

    /// The plan, when this machine has what each of its steps will need of it.
    ///
    /// # Errors
    /// What the first that cannot be done lacks; nothing was touched.
    pub async fn ready(self, cx: &Cx) -> anyhow::Result<Self> {
        for step in &self.steps {
            step.ready(cx).await?;
        }
        for step in &self.finals {
            step.ready(cx).await?;
        }
        Ok(self)
    }

    /// Adds a step that is done after the point of no return.
    #[must_use]
    pub fn finally(mut self, step: impl FinalStep + Listed) -> Self {
        self.finals.push(Box::new(step));
        self
    }
}
