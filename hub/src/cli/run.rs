//! `kolga run`: one of the recipes that servers offer, on one of them or on many.

use std::collections::BTreeMap;

use clap::Args;
use kolga_protocol::names::{HostName, ParamName, ParamValue, RecipeName};
use kolga_protocol::task::Kind;
use serde_json::{Map, Value, json};

use super::client::Client;
use super::follow::Follow;
use super::many::{Many, Work};
use super::screen::Screen;
use super::trouble::Trouble;
use crate::wire::{Each, NewRecipeRun, NewSiteTask, TaskAnswer};

/// The parameter that names the site that a recipe works on.
const SITE: &str = "site";

/// `kolga run`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kolga recipe list --on web1                                what it offers, and what each can be told
  kolga run clear-nginx-cache --on web1 --follow
  kolga run clear-nginx-cache --on 'web*' --at-once 2 --follow         on each of many servers
  kolga run notice-on --param site=blog.example.org --param text='Back at noon' --follow
  kolga run notice-on --each-site --label env=test --param text='Back at noon' --follow

A recipe that works on a site finds its server by itself. What a recipe does is written down on the server, and
nowhere else: from here it gets a name and values. docs/ADDING.md tells how to write one.")]
pub(super) struct Run {
    /// The recipe's name
    recipe: RecipeName,
    /// What the recipe can be told; may be given again
    #[arg(long = "param", short, value_name = "NAME=VALUE", value_parser = param)]
    params: Vec<(ParamName, ParamValue)>,
    /// For a recipe that works on a site: run it for each of the sites that are chosen
    #[arg(long)]
    each_site: bool,
    #[command(flatten)]
    follow: Follow,
    #[command(flatten)]
    many: Many,
}

impl Run {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let (site, params) = split(self.params)?;
        let server = self.many.one_server().filter(|_| !self.each_site);
        let is_for_many = self.each_site || !self.many.is_unsaid();
        let answer: TaskAnswer = match (server, site) {
            (Some(server), site) => {
                let path = format!("/v1/servers/{server}/recipes/{}", self.recipe);
                client.post(&path, &NewRecipeRun { site, params }).await?
            }
            (None, Some(_)) if is_for_many => {
                return Err(wrong(
                    "a site is named by --param, so no others can be chosen by options".to_owned(),
                ));
            }
            (None, Some(host)) => {
                let wish = NewSiteTask {
                    kind: Kind::RecipeRun.as_str().to_owned(),
                    params: asked(&self.recipe, &params),
                };
                client
                    .post(&format!("/v1/sites/{host}/tasks"), &wish)
                    .await?
            }
            (None, None) if self.many.chooses() => {
                let work = Work {
                    each: Some(match self.each_site {
                        true => Each::Site,
                        false => Each::Server,
                    }),
                    ..Work::of(Kind::RecipeRun, asked(&self.recipe, &params))
                };
                return self.many.start(work, self.follow, client, screen).await;
            }
            (None, None) => {
                return Err(Trouble::Usage {
                    message: "where is it to run?".to_owned(),
                    hint:
                        "Say --on SERVER, or --param site=HOST for a recipe that works on a site."
                            .to_owned(),
                });
            }
        };
        let task = &answer.task;
        self.follow.conclude(client, screen, task, &answer).await
    }
}

/// The parameters of a task, but for the site.
fn asked(recipe: &RecipeName, params: &BTreeMap<ParamName, ParamValue>) -> Map<String, Value> {
    let asked = json!({"recipe": recipe, "params": params});
    asked.as_object().cloned().unwrap_or_default()
}

/// What is told a recipe, each thing once.
type Told = (Option<HostName>, BTreeMap<ParamName, ParamValue>);

/// The site, and everything else.
fn split(given: Vec<(ParamName, ParamValue)>) -> Result<Told, Trouble> {
    let mut params = BTreeMap::new();
    for (name, value) in given {
        if params.insert(name.clone(), value).is_some() {
            return Err(wrong(format!("{name} is given twice")));
        }
    }
    let site = params
        .iter()
        .find(|(name, _)| name.as_str() == SITE)
        .map(|(name, value)| (name.clone(), value.as_str().parse::<HostName>()));
    let Some((name, host)) = site else {
        return Ok((None, params));
    };
    params.remove(&name);
    let host = host.map_err(|error| wrong(error.to_string()))?;
    Ok((Some(host), params))
}

fn wrong(message: String) -> Trouble {
    Trouble::Usage {
        message,
        hint: "See `kolga recipe list --on SERVER` for what a recipe can be told.".to_owned(),
    }
}

fn param(text: &str) -> Result<(ParamName, ParamValue), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("write it as NAME=VALUE, such as text='Back at noon'")?;
    let name = name.parse().map_err(|error| format!("{error}"))?;
    let value = value.parse().map_err(|error| format!("{error}"))?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_site_is_told_apart_and_nothing_is_told_twice() {
        let given = |texts: &[&str]| {
            let texts = texts.iter().map(|text| param(text).expect("a parameter"));
            split(texts.collect())
        };
        let (site, params) = given(&["site=a.example.org", "text=a = b; $(id)"]).expect("told");
        assert_eq!(site.expect("a site").as_str(), "a.example.org");
        let text = &params[&"text".parse().expect("a name")];
        assert_eq!((params.len(), text.as_str()), (1, "a = b; $(id)"));
        assert!(given(&["a=1", "a=2"]).is_err());
        assert!(given(&["site=../x"]).is_err());
        for text in ["a", "A=1", "a=x\ny", "--on=1", "a\0=1"] {
            assert!(param(text).is_err(), "{text:?}");
        }
    }
}
