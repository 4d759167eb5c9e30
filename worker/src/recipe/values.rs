//! From what came over the wire to a value for each parameter of a recipe: the border, behind which values are what
//! the recipe says.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use kolga_protocol::id::Run;
use kolga_protocol::names::ParamName;
use kolga_protocol::task::recipe_run;

use super::Recipe;
use super::param::Param;
use crate::cx::Cx;
use crate::layout;

/// The one name that a parameter of type `site` can have, and no other can.
pub const SITE: &str = "site";

/// A value for each parameter.
#[derive(Clone, Debug)]
pub struct Values {
    params: BTreeMap<ParamName, String>,
    site_folder: Option<String>,
    /// Which attempt it is: a name that nothing else has.
    pub run: Run,
}

impl Values {
    /// Of a parameter.
    ///
    /// # Errors
    /// When there is none.
    pub fn param(&self, name: &ParamName) -> anyhow::Result<&str> {
        let value = self.params.get(name);
        value
            .map(String::as_str)
            .with_context(|| format!("the parameter {name} has no value"))
    }

    /// Where the site lies.
    ///
    /// # Errors
    /// When the recipe works on none.
    pub fn site_folder(&self) -> anyhow::Result<&str> {
        let folder = self.site_folder.as_deref();
        folder.context("this recipe works on no site")
    }
}

impl Recipe {
    /// A value for each parameter, out of what was given and the defaults.
    ///
    /// # Errors
    /// Which parameters are unknown, missing or of the wrong kind, all of them at once, and which there are.
    pub fn values(&self, given: &recipe_run::Params, cx: &Cx) -> anyhow::Result<Values> {
        let params = &self.manifest.params;
        let mut wrong: Vec<String> = given
            .params
            .keys()
            .filter(|name| name.as_str() == SITE || !params.contains_key(*name))
            .map(|name| match name.as_str() {
                SITE => "the site is not one of the params: it is named beside them".to_owned(),
                _ => format!("there is no parameter {name}"),
            })
            .collect();
        if given.site.is_some() && !self.manifest.has_site() {
            wrong.push("it works on no site".to_owned());
        }
        let site = given.site.as_ref().map(ToString::to_string);
        let mut values = BTreeMap::new();
        for (name, param) in params {
            let text = match name.as_str() {
                SITE => site.as_deref(),
                _ => given.params.get(name).map(|value| value.as_str()),
            };
            match text.or(param.default.as_deref()) {
                None => wrong.push(format!("the parameter {name} is missing")),
                Some(text) => match param.kind.judge(text) {
                    Ok(value) => drop(values.insert(name.clone(), value)),
                    Err(error) => wrong.push(format!("parameter {name}: {error:#}")),
                },
            }
        }
        if let Some(host) = &given.site
            && cx.spoke.registry.sites.load(host)?.is_none()
        {
            wrong.push(format!("there is no site {host} on this spoke"));
        }
        let name = &self.manifest.name;
        anyhow::ensure!(
            wrong.is_empty(),
            "recipe {name}: {}. {}",
            wrong.join("; "),
            self.takes()
        );
        let folder = |host| layout::site(&cx.spoke.config, host);
        let folder = given.site.as_ref().map(folder);
        Ok(Values {
            params: values,
            site_folder: folder.as_deref().map(shown),
            run: cx.run,
        })
    }

    /// What it can be given, as a sentence.
    fn takes(&self) -> String {
        let told = |(name, param): (&ParamName, &Param)| {
            let default = match &param.default {
                Some(default) => format!(", {default:?} unless given"),
                None => String::new(),
            };
            let (kind, accepts) = (param.kind.name(), param.kind.accepts());
            format!("{name} ({kind}: {accepts}{default})")
        };
        let all: Vec<String> = self.manifest.params.iter().map(told).collect();
        match all.as_slice() {
            [] => "It takes no parameters".to_owned(),
            all => format!("It takes {}", all.join("; ")),
        }
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
