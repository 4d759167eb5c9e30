//! Final step `finish_recipe_step`: a step of an operator's recipe that is `final`: what cannot be taken back, such as
//! deleting what steps before it have moved aside.
//!
//! Done again until it succeeds, also after a crash, so its command has to bear that, or its check to spare it.

use anyhow::Context as _;
use kolga_protocol::fault;
use kolga_protocol::names::RecipeName;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::recipe::call::Call;
use crate::step::FinalStep;

/// Runs a final step of a recipe.
pub struct FinishRecipeStep(pub Record);

/// The step, with its commands as they were made of the recipe and its values.
#[derive(Clone, Serialize, Deserialize)]
pub struct Record {
    /// Of which recipe.
    pub recipe: RecipeName,
    /// What the recipe calls it.
    pub step: String,
    /// Tells whether all is as `action` makes it.
    pub check: Option<Call>,
    /// What it does.
    pub action: Call,
}

impl FinalStep for FinishRecipeStep {
    const NAME: &'static str = "finish_recipe_step";
    type Record = Record;

    async fn inspect(&self, _cx: &Cx) -> anyhow::Result<Record> {
        Ok(self.0.clone())
    }

    async fn finish(cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let step = &record.step;
        if let Some(check) = &record.check
            && check.holds(cx).await?
        {
            cx.log.info(format!("{step}: was so already"));
            return Ok(());
        }
        let program = record.action.program();
        cx.log.info(format!("{step}: {program}"));
        fault::fail(&format!("recipe_do:{step}"))?;
        let ran = record.action.run(cx).await;
        ran.with_context(|| format!("step {step} of recipe {}", record.recipe))?;
        fault::point(&format!("recipe_did:{step}"));
        if let Some(check) = &record.check {
            anyhow::ensure!(
                check.holds(cx).await?,
                "step {step}: {program} ended well, but its check says that it did nothing"
            );
        }
        cx.log.info(format!("{step}: done"));
        Ok(())
    }
}
