//! A site made of a folder that is none of Kolga's, beside it by copy: the folder and its database are only read. The web
//! comes last, so that nothing is served that has not answered.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use kolga_protocol::names::SpokePath;
use kolga_protocol::task;
use kolga_protocol::task::site_import::{Output, Params, Source};

use super::super::adapt::{Change, adapt, scripts};
use super::look::{Found, look};
use super::platform_of;
use crate::cx::Cx;
use crate::face::Face;
use crate::files::Taken;
use crate::plan::Plan;
use crate::registry::PlatformEntry;
use crate::services::database::Dumped;
use crate::steps::check_face::CheckFace;
use crate::steps::check_served::CheckServed;
use crate::steps::clear_stage::ClearStage;
use crate::steps::copy_source::CopySource;
use crate::steps::create_database::CreateDatabase;
use crate::steps::create_database_user::CreateDatabaseUser;
use crate::steps::dump_source::DumpSource;
use crate::steps::import_database::ImportDatabase;
use crate::steps::reserve_site::ReserveSite;
use crate::steps::swap_entry::SwapEntry;
use crate::steps::swap_vhost::SwapVhost;
use crate::steps::write_settings::WriteSettings;

pub(super) async fn plan(params: &Params, from: &SpokePath, cx: &Cx) -> anyhow::Result<Plan> {
    let began = Instant::now();
    let found = look(params, from, cx).await?;
    let will = will_do(&found);
    for line in &will {
        cx.log.info(line);
    }
    if params.check {
        let output = output(&found, cx, will, true)?;
        return Ok(Plan::new(move || Ok(task::Output::SiteImport(output))));
    }
    let copied: Arc<OnceLock<Taken>> = Arc::default();
    let dumped: Arc<OnceLock<Dumped>> = Arc::default();
    let mut output = output(&found, cx, will, false)?;
    let told = (Arc::clone(&copied), Arc::clone(&dumped));
    let plan = Plan::new(move || {
        if let Some(source) = &mut output.source {
            let taken = told.0.get().copied().unwrap_or_default();
            source.files = taken.files + taken.links;
            source.bytes = taken.bytes;
            source.database_bytes = told.1.get().map(|dumped| dumped.bytes);
            source.milliseconds = u64::try_from(began.elapsed().as_millis())?;
        }
        Ok(task::Output::SiteImport(output))
    });
    let plan = beside(plan, &found, copied, dumped);
    Ok(on_the_web(plan, found))
}

/// In the order in which it is done.
fn will_do(found: &Found) -> Vec<String> {
    let Found {
        site,
        weighed,
        database,
        ..
    } = found;
    let mut will = vec![format!(
        "copy {} files and {} links, {} bytes, to {}",
        weighed.files,
        weighed.links,
        weighed.bytes,
        site.folder.display()
    )];
    if let (Some(account), Some(name)) = (&database.account, &site.database) {
        will.push(format!(
            "copy the database {}, {} bytes, as its own user into a new one of {}, {name}, with a new password",
            account.database,
            database.bytes,
            database.engine.title()
        ));
        will.extend(database.remarks.clone());
    }
    if let Some(platform) = &found.platform {
        let is = |version: &Option<String>| version.clone().unwrap_or_else(|| "unknown".to_owned());
        will.push(format!(
            "use the code of the platform {}, version {}, in place of its own, version {}",
            platform.name,
            is(&platform.version),
            is(&found.version)
        ));
    }
    for (script, from) in scripts(&found.profile.manifest, change(found)) {
        will.push(match from {
            Some(from) => format!("change its address from {} to {}", from.url, site.url),
            None => format!("run {}", script.script),
        });
    }
    will.push(match &found.off {
        Some(why) => format!("leave it switched off: {why}"),
        None => format!("serve it at {}/", site.url),
    });
    will
}

/// What is not as its data knows it; nothing of it is where it has none.
fn change(found: &Found) -> Change {
    let data = found.database.account.is_some();
    let is_same = |it: &PlatformEntry| it.version.is_some() && it.version == found.version;
    let place = |url: &str| url.split_once("://").map(|(_, place)| place.to_owned());
    let address = found.database.address.clone();
    Change {
        code: data && !found.platform.as_ref().is_some_and(is_same),
        former: address.filter(|it| data && place(&it.url) != place(&found.site.url)),
        copied: false,
    }
}

fn output(found: &Found, cx: &Cx, will: Vec<String>, checked: bool) -> anyhow::Result<Output> {
    let Found { site, entry, .. } = found;
    let mut options = site.options.clone();
    options.extend(entry.asked_options());
    Ok(Output {
        url: format!("{}/", site.url),
        path: site.folder.display().to_string(),
        profile: entry.profile.clone(),
        platform: found
            .platform
            .clone()
            .map(|entry| Box::new(platform_of(entry, cx))),
        database: entry.database.clone(),
        names: entry.names(),
        options,
        https: entry.https,
        enabled: entry.enabled,
        checked,
        problems: Vec::new(),
        source: Some(Box::new(Source {
            path: found.from.clone(),
            version: found.version.clone(),
            database: found
                .database
                .account
                .as_ref()
                .map(|it| it.database.clone()),
            url: found.database.address.as_ref().map(|it| it.url.clone()),
            files: found.weighed.files + found.weighed.links,
            bytes: found.weighed.bytes,
            database_bytes: found
                .database
                .account
                .as_ref()
                .map(|_| found.database.bytes),
            milliseconds: 0,
        })),
        plan: will,
    })
}

/// Folder, database and settings, of which nobody knows yet.
fn beside(
    plan: Plan,
    found: &Found,
    copied: Arc<OnceLock<Taken>>,
    dumped: Arc<OnceLock<Dumped>>,
) -> Plan {
    let site = &found.site;
    let mut plan = plan.step(ReserveSite(Arc::clone(site)));
    // First the rows, then the files that they tell of.
    if let Some(account) = &found.database.account {
        plan = plan.step(DumpSource {
            account: account.clone(),
            engine: site.engine,
            dumped,
        });
    }
    plan = plan.step(CopySource {
        site: Arc::clone(site),
        from: found.from.clone(),
        weighed: found.weighed,
        copied,
    });
    if let Some(name) = &site.database {
        plan = plan
            .step(CreateDatabaseUser {
                site: Arc::clone(site),
                name: name.clone(),
            })
            .step(CreateDatabase {
                name: name.clone(),
                engine: site.engine,
            });
        if found.database.account.is_some() {
            plan = plan.step(ImportDatabase {
                site: Arc::clone(site),
                name: name.clone(),
            });
        }
    }
    if let Some(file) = &site.profile.manifest.settings {
        plan = plan.step(WriteSettings {
            site: Arc::clone(site),
            file: file.clone(),
        });
    }
    adapt(plan, site, change(found))
}

fn on_the_web(mut plan: Plan, found: Found) -> Plan {
    let site = found.site;
    if found.off.is_none() {
        plan = plan
            .step(SwapVhost {
                site: Arc::clone(&site),
                face: Face::Site,
            })
            .step(CheckServed(site.host.clone()))
            .step(CheckFace {
                site,
                face: Face::Site,
            });
    }
    plan = plan.step(SwapEntry {
        before: None,
        after: found.entry,
    });
    match found.database.account {
        Some(_) => plan.finally(ClearStage),
        None => plan,
    }
}
