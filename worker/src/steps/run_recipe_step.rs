//! Step `run_recipe_step`: one step of an operator's recipe, `do` and its `undo`.
//!
//! Undo needs the step's commands as they were made of the recipe and its values, which the record holds: the recipe
//! may be another by then. What was so before is not this task's, and is left so. Whether `undo` is right where `do`
//! never ran or ran by half is the recipe's to see to; whether all is gone its `check` tells.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use kolga_protocol::fault;
use kolga_protocol::names::RecipeName;
use kolga_protocol::task::recipe_run::Done;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::recipe::call::Call;
use crate::step::{Step, UndoError};

/// Runs a step of a recipe.
pub struct RunRecipeStep {
    /// Of which recipe.
    pub recipe: RecipeName,
    /// What the recipe calls it.
    pub step: String,
    /// Tells whether all is as `action` makes it.
    pub check: Option<Call>,
    /// What it does.
    pub action: Call,
    /// Takes it back, where there is something to take back.
    pub undo: Option<Call>,
    /// Where it is noted what was done, for the result.
    pub done: Arc<Mutex<Vec<Done>>>,
}

/// What was found, and the commands that undoing needs.
#[derive(Serialize, Deserialize)]
pub struct Record {
    recipe: RecipeName,
    step: String,
    /// All was so before.
    already: bool,
    check: Option<Call>,
    undo: Option<Call>,
}

impl Step for RunRecipeStep {
    const NAME: &'static str = "run_recipe_step";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        let already = match &self.check {
            Some(check) => check
                .holds(cx)
                .await
                .with_context(|| format!("check of {}", self.step))?,
            None => false,
        };
        Ok(Record {
            recipe: self.recipe.clone(),
            step: self.step.clone(),
            already,
            check: self.check.clone(),
            undo: self.undo.clone(),
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let step = &self.step;
        let outcome = match record.already {
            true => "was so already",
            false => {
                let program = self.action.program();
                cx.log.info(format!("{step}: {program}"));
                fault::fail(&format!("recipe_do:{step}"))?;
                let ran = self.action.run(cx).await;
                ran.with_context(|| format!("step {step} of recipe {}", self.recipe))?;
                fault::point(&format!("recipe_did:{step}"));
                fault::fail(&format!("recipe_did:{step}"))?;
                let holds = holds(cx, self.check.as_ref()).await?.unwrap_or(true);
                anyhow::ensure!(
                    holds,
                    "step {step} of recipe {}: {program} ended well, but its check says that it did nothing",
                    self.recipe
                );
                "done"
            }
        };
        cx.log.info(format!("{step}: {outcome}"));
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.push(Done {
            name: step.clone(),
            outcome: outcome.to_owned(),
        });
        Ok(())
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        take_back(cx, record).await.map_err(|error| {
            let (step, recipe) = (&record.step, &record.recipe);
            UndoError::leaves(
                format!("whatever step {step} of recipe {recipe} did"),
                error,
            )
        })
    }
}

async fn take_back(cx: &Cx, record: &Record) -> anyhow::Result<()> {
    let step = &record.step;
    if record.already {
        return Ok(());
    }
    let Some(undo) = &record.undo else {
        return Ok(());
    };
    cx.log.info(format!("undoing {step}: {}", undo.program()));
    fault::fail(&format!("recipe_undo:{step}"))?;
    undo.run(cx).await?;
    fault::point(&format!("recipe_undid:{step}"));
    let left = holds(cx, record.check.as_ref()).await?.unwrap_or(false);
    anyhow::ensure!(
        !left,
        "{} ended well, but the check says that all is still as before it",
        undo.program()
    );
    Ok(())
}

/// What the check says, where there is one.
async fn holds(cx: &Cx, check: Option<&Call>) -> anyhow::Result<Option<bool>> {
    Ok(match check {
        Some(check) => Some(check.holds(cx).await?),
        None => None,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use kolga_protocol::task::Params;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{Scratch, config, context};

    /// A context whose spoke offers one recipe, called x, of these steps.
    fn offering(scratch: &Scratch, steps: &str) -> Cx {
        let folder = scratch.path().join("recipes");
        std::fs::create_dir(&folder).expect("made");
        let own = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
        };
        own(&folder, 0o755);
        let top = scratch.path().display().to_string();
        let text = format!("name = \"x\"\ndescription = \"x\"\n{steps}").replace("TOP", &top);
        std::fs::write(folder.join("x.toml"), text).expect("written");
        own(&folder.join("x.toml"), 0o644);
        let mut config = config(scratch.path());
        config.recipes.directories = vec![folder];
        let (cx, _) = context(config);
        assert_eq!(cx.spoke.recipes.broken, Vec::<String>::new());
        cx
    }

    /// The recipe's first step, looked at, tried, and both told.
    async fn first(cx: &Cx) -> (Value, anyhow::Result<()>) {
        let params = Params::from_json("recipe.run", json!({"recipe": "x"})).expect("right");
        let plan = crate::tasks::plan(&params, cx).await;
        let plan = plan.unwrap_or_else(|error| panic!("{error:#}"));
        let step = &plan.steps[0];
        let record = step.inspect(cx).await.expect("looked at");
        let applied = step.apply(cx, &record).await;
        (record, applied)
    }

    async fn undo(cx: &Cx, record: &Value) -> Result<(), UndoError> {
        crate::steps::undo("run_recipe_step", cx, record).await
    }

    const MARK: &str = "[[steps]]\nname = \"a\"\ncheck = [\"/usr/bin/test\", \"-e\", \"TOP/mark\"]\n\
                        do = [\"/usr/bin/touch\", \"TOP/mark\"]\n\
                        undo = [\"/usr/bin/rm\", \"-f\", \"TOP/mark\"]\n";

    #[tokio::test]
    async fn undo_is_right_when_it_never_ran_and_when_it_ran_whole_and_knows_the_recipe_no_more() {
        let scratch = Scratch::new();
        let cx = offering(&scratch, MARK);
        let mark = scratch.path().join("mark");
        let (record, applied) = first(&cx).await;
        applied.expect("done");
        assert!(mark.exists());
        std::fs::remove_dir_all(scratch.path().join("recipes")).expect("gone");
        undo(&cx, &record).await.expect("ran whole");
        assert!(!mark.exists());
        undo(&cx, &record).await.expect("never ran, or twice");
    }

    #[tokio::test]
    async fn what_was_so_before_is_neither_done_nor_undone() {
        let scratch = Scratch::new();
        let cx = offering(&scratch, MARK);
        let mark = scratch.path().join("mark");
        std::fs::write(&mark, "mine").expect("written");
        let (record, applied) = first(&cx).await;
        applied.expect("nothing to do");
        undo(&cx, &record).await.expect("nothing to undo");
        assert_eq!(std::fs::read(&mark).expect("there"), b"mine");
    }

    #[tokio::test]
    async fn a_command_that_ends_well_and_does_nothing_is_found_out() {
        let scratch = Scratch::new();
        let idle = MARK.replacen("/usr/bin/touch", "/usr/bin/true", 1);
        let cx = offering(&scratch, &idle);
        let (_, applied) = first(&cx).await;
        let error = format!("{:#}", applied.expect_err("did nothing"));
        assert!(error.contains("its check says"), "{error}");
        let scratch = Scratch::new();
        let idle = MARK.replacen("/usr/bin/rm", "/usr/bin/true", 1);
        let cx = offering(&scratch, &idle);
        let (record, applied) = first(&cx).await;
        applied.expect("done");
        let error = undo(&cx, &record).await.expect_err("took nothing back");
        assert_eq!(
            error.left_behind,
            ["whatever step a of recipe x did"],
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_check_that_answers_neither_yes_nor_no_stops_the_task_before_it_does_anything() {
        let scratch = Scratch::new();
        let broken = MARK.replacen("\"/usr/bin/test\", \"-e\"", "\"/usr/bin/grep\", \"x\"", 1);
        let cx = offering(&scratch, &broken);
        let params = Params::from_json("recipe.run", json!({"recipe": "x"})).expect("right");
        let plan = crate::tasks::plan(&params, &cx).await.expect("a plan");
        let error = plan.steps[0].inspect(&cx).await.expect_err("exit code 2");
        assert!(format!("{error:#}").contains("check of a"), "{error:#}");
    }

    #[tokio::test]
    async fn a_command_that_takes_too_long_is_ended_with_all_that_it_has_started() {
        let scratch = Scratch::new();
        let slow = "[[steps]]\nname = \"a\"\ndo = [\"/bin/sh\", \"-c\", \"setsid sleep 300 & sleep 300\"]\n\
                    nothing_to_undo = true\ntimeout_seconds = 1\n";
        let cx = offering(&scratch, slow);
        let (_, applied) = first(&cx).await;
        let error = format!("{:#}", applied.expect_err("too long"));
        assert!(error.contains("took longer"), "{error}");
    }
}
