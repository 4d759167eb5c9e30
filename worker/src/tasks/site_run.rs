//! `site.run`: a command of the profile's, by its name and nothing else. Without a name, what there is.

use std::sync::Arc;

use anyhow::Context as _;
use kolga_protocol::task;
use kolga_protocol::task::site_run::{Offered, Output, Params};

use crate::cx::Cx;
use crate::plan::Plan;
use crate::site::Site;
use crate::steps::run_command::RunCommand;

pub(super) fn plan(params: &Params, cx: &Cx) -> anyhow::Result<Plan> {
    let host = &params.site;
    let entry = cx.spoke.registry.sites.load(host)?;
    let entry = entry.with_context(|| format!("there is no site {host} on this spoke"))?;
    let site = Arc::new(Site::installed(&entry, &cx.spoke)?);
    let commands = &site.profile.manifest.commands;
    let Some(name) = params.command.clone() else {
        let offered = commands.iter().map(|(name, command)| Offered {
            name: name.clone(),
            description: command.description.clone(),
        });
        let output = Output {
            command: None,
            offered: offered.collect(),
        };
        return Ok(Plan::new(move || Ok(task::Output::SiteRun(output))));
    };
    let command = commands.get(&name).with_context(|| {
        let offered: Vec<&str> = commands.keys().map(AsRef::as_ref).collect();
        let offered = match offered.as_slice() {
            [] => "none".to_owned(),
            names => names.join(", "),
        };
        let profile = &site.profile.manifest.name;
        format!("profile {profile} has no command {name}; it offers {offered}")
    })?;
    let script = command.script.clone();
    let output = Output {
        command: Some(name.clone()),
        offered: Vec::new(),
    };
    Ok(
        Plan::new(move || Ok(task::Output::SiteRun(output))).step(RunCommand {
            site: Arc::clone(&site),
            name,
            script,
        }),
    )
}
