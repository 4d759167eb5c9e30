//! A site that this spoke holds and the hub does not know comes into the hub's record. It was made by
//! Kolga, for a hub that is gone or another one, and its things name each other: its entry in the book, the mark in its
//! folder, its database's comment, its secrets. Where all of that belongs together it is told what the site is; nothing
//! is changed. What is merely not as its profile wants it is told too, and left to `site.verify`.

use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use kolga_protocol::task;
use kolga_protocol::task::site_import::{Output, Params};

use super::super::site_verify::{examine, sentence};
use super::platform_of;
use crate::cx::Cx;
use crate::face::Face;
use crate::files::Kind;
use crate::layout;
use crate::plan::Plan;
use crate::registry::SiteEntry;
use crate::site::Site;
use crate::steps::try_face::TryFace;
use crate::vhost;

pub(super) async fn plan(params: &Params, cx: &Cx) -> anyhow::Result<Plan> {
    let host = &params.site;
    anyhow::ensure!(
        params.profile.is_none()
            && params.platform.is_none()
            && params.options.is_empty()
            && !params.disabled,
        "a site that Kolga has made is taken over as it is: profile, platform, options and `disabled` go with a folder \
         that it has not made"
    );
    let entry = cx.spoke.registry.sites.load(host)?;
    let entry = entry.with_context(|| {
        format!(
            "this spoke's book knows no site {host}: `kolga server inventory` shows those that it does"
        )
    })?;
    let site = Arc::new(Site::installed(&entry, &cx.spoke)?);
    let refused = foreign(&site, &entry, cx).await?;
    anyhow::ensure!(
        refused.is_empty(),
        "{host} is not what this spoke's book says: {}",
        refused.join("; ")
    );
    let examined = examine(&site, &entry, cx).await?;
    let changes = examined.changes.iter();
    let changes = changes.map(|change| format!("{}, see `kolga site verify`", sentence(change)));
    let problems: Vec<String> = changes.chain(examined.problems).collect();
    for problem in &problems {
        cx.log.warn(problem);
    }
    let problems = Arc::new(Mutex::new(problems));
    let face = Face::when(entry.enabled);
    let mut output = output(params, &site, entry, cx)?;
    let plan = Plan::new({
        let problems = Arc::clone(&problems);
        move || {
            let mut problems = problems.lock().expect("nobody panics while holding it");
            output.problems = std::mem::take(&mut *problems);
            Ok(task::Output::SiteImport(output))
        }
    });
    Ok(plan.step(TryFace {
        site,
        face,
        problems,
    }))
}

/// What stands in the place of something of the site's and is not its own, or is missing: all of it, not only the first.
async fn foreign(site: &Site, entry: &SiteEntry, cx: &Cx) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    let (sites, host) = (layout::sites(&cx.spoke.config)?, entry.host.as_str());
    let folder = site.folder.display();
    match sites.kind(host)? {
        Some(Kind::Dir) => {
            if sites.owner_of(host)?.as_ref() != Some(&entry.owner) {
                found.push(format!(
                    "{folder} is not the folder that was made for it, by the mark in it"
                ));
            }
        }
        Some(_) => found.push(format!("{folder} is no folder")),
        None => found.push(format!("{folder} is gone")),
    }
    if let Some(name) = &entry.database {
        let comment = cx.spoke.database(entry.engine)?.comment_of(name).await?;
        match comment {
            Some(comment) if comment == entry.owner => {}
            Some(_) => found.push(format!(
                "the database {name} is not the one that was made for it, by its comment"
            )),
            None => found.push(format!("the database {name} is gone")),
        }
    }
    let manifest = &site.profile.manifest;
    let needs_secrets = entry.database.is_some() || !manifest.secrets.is_empty();
    if needs_secrets && cx.spoke.secrets.load(&entry.host)?.is_none() {
        let path = cx.spoke.secrets.path(&entry.host);
        found.push(format!("its secrets are gone: {}", path.display()));
    }
    let vhost = cx.spoke.nginx.vhost(&entry.host)?;
    if vhost.is_some_and(|text| !text.starts_with(vhost::MARK)) {
        let path = cx.spoke.nginx.vhost_path(&entry.host);
        found.push(format!("{} was not written by Kolga", path.display()));
    }
    Ok(found)
}

/// What the book says.
fn output(params: &Params, site: &Site, entry: SiteEntry, cx: &Cx) -> anyhow::Result<Output> {
    let platform = match &entry.platform {
        Some(name) => cx.spoke.registry.platforms.load(name)?,
        None => None,
    };
    let options = entry.asked_options();
    Ok(Output {
        url: format!("{}/", site.url),
        path: site.folder.display().to_string(),
        names: entry.names(),
        profile: entry.profile,
        platform: platform.map(|found| Box::new(platform_of(found, cx))),
        database: entry.database,
        options,
        https: entry.https,
        enabled: entry.enabled,
        checked: params.check,
        problems: Vec::new(),
        source: None,
        plan: Vec::new(),
    })
}
