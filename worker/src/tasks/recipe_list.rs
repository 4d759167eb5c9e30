//! `recipe.list`: which recipes there are, and what each can be told. Only looks, at what was read at the last start or
//! reload.

use kolga_protocol::task;
use kolga_protocol::task::recipe_list::{Offered, Output, Param};

use crate::cx::Cx;
use crate::plan::Plan;
use crate::recipe::Recipe;

/// Recipes, and broken ones, in one answer; and how much of one sentence: so it stays far below the longest message.
const MOST: usize = 200;
const SENTENCE: usize = 2000;

pub(super) fn plan(cx: &Cx) -> Plan {
    let recipes = &cx.spoke.recipes;
    let more = recipes.good.len().saturating_sub(MOST);
    let output = Output {
        recipes: recipes.good.values().take(MOST).map(offered).collect(),
        more: u32::try_from(more).unwrap_or(u32::MAX),
        broken: recipes.broken.iter().take(MOST).map(|it| cut(it)).collect(),
    };
    Plan::new(move || Ok(task::Output::RecipeList(output)))
}

fn offered(recipe: &Recipe) -> Offered {
    let manifest = &recipe.manifest;
    let params = manifest.params.iter().map(|(name, param)| Param {
        name: name.clone(),
        kind: param.kind.name().to_owned(),
        accepts: cut(&param.kind.accepts()),
        description: cut(&param.description),
        default: param.default.clone(),
    });
    Offered {
        name: manifest.name.clone(),
        description: cut(&manifest.description),
        parallel: manifest.parallel,
        params: params.collect(),
    }
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(SENTENCE)].to_owned()
}
