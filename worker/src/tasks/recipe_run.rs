//! `recipe.run`: one of the operator's recipes, by its name and the values that its parameters may have.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use kolga_protocol::task;
use kolga_protocol::task::recipe_run::{Output, Params};

use crate::cx::Cx;
use crate::plan::Plan;
use crate::recipe::call::Call;
use crate::steps::finish_recipe_step::{FinishRecipeStep, Record};
use crate::steps::run_recipe_step::RunRecipeStep;

pub(super) fn plan(params: &Params, cx: &Cx) -> anyhow::Result<Plan> {
    let recipe = cx.spoke.recipes.get(&params.recipe)?;
    let values = recipe.values(params, cx)?;
    recipe.ready(&values, cx)?;
    let done = Arc::new(Mutex::new(Vec::new()));
    let (name, noted) = (params.recipe.clone(), Arc::clone(&done));
    let mut plan = Plan::new(move || {
        let noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(task::Output::RecipeRun(Output {
            recipe: name,
            steps: noted.clone(),
        }))
    });
    for step in &recipe.manifest.steps {
        let call = |command: &Vec<_>, stdin| {
            Call::new(step, command, stdin, &values)
                .with_context(|| format!("step {} of recipe {}", step.name, params.recipe))
        };
        let check = step.check.as_ref().map(|it| call(it, None)).transpose()?;
        let action = call(&step.action, step.stdin.as_ref())?;
        plan = match step.last {
            true => plan.finally(FinishRecipeStep(Record {
                recipe: params.recipe.clone(),
                step: step.name.clone(),
                check,
                action,
            })),
            false => plan.step(RunRecipeStep {
                recipe: params.recipe.clone(),
                step: step.name.clone(),
                check,
                action,
                undo: step.undo.as_ref().map(|it| call(it, None)).transpose()?,
                done: Arc::clone(&done),
            }),
        };
    }
    Ok(plan)
}
