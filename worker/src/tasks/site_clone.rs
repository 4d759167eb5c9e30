//! `site.clone`: a second site made of one that is there. It gets a name, a database and secrets of its own, none of the
//! site's other names and no HTTPS. The site that is there is only read, and answers all the while; no task changes it
//! meanwhile.
//!
//! The database is read first, so that what its rows name of the files is in the copy. The web comes last, as with an
//! installation.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use anyhow::Context as _;
use kolga_protocol::task::site_clone::{Output, Params};
use kolga_protocol::task::{self, site_install};

use super::adapt::{Change, adapt};
use super::site_migrate::refuse_older;
use crate::cx::Cx;
use crate::files::{Copied, blocking};
use crate::layout;
use crate::plan::Plan;
use crate::registry::SiteEntry;
use crate::room::{self, Need};
use crate::script::Former;
use crate::services::database::Dumped;
use crate::site::Site;
use crate::steps::check_site::CheckSite;
use crate::steps::clear_stage::ClearStage;
use crate::steps::copy_site_files::CopySiteFiles;
use crate::steps::create_database::CreateDatabase;
use crate::steps::create_database_user::CreateDatabaseUser;
use crate::steps::dump_database::DumpDatabase;
use crate::steps::import_database::ImportDatabase;
use crate::steps::open_pool::OpenPool;
use crate::steps::publish_vhost::PublishVhost;
use crate::steps::register_site::RegisterSite;
use crate::steps::reserve_site::{ReserveSite, refuse_taken_places};
use crate::steps::write_settings::WriteSettings;

/// The site that is there, and the one that is to be.
struct Pair {
    entry: SiteEntry,
    from: Arc<Site>,
    site: Arc<Site>,
}

/// What the steps find out.
#[derive(Default)]
struct Learnt {
    copied: Arc<OnceLock<Copied>>,
    dumped: Arc<OnceLock<Dumped>>,
}

pub(super) async fn plan(params: &Params, cx: &Cx) -> anyhow::Result<Plan> {
    let began = Instant::now();
    let pair = wanted(params, cx)?;
    refuse(&pair, cx).await?;
    let learnt = Learnt::default();
    let plan = Plan::new(output(&pair, cx, &learnt, began)?);
    let plan = copy(plan, &pair, learnt);
    let plan = make_its_own(plan, &pair);
    let plan = plan
        .step(PublishVhost(Arc::clone(&pair.site)))
        .step(CheckSite(Arc::clone(&pair.site)))
        .step(RegisterSite {
            site: pair.site,
            enabled: true,
        });
    Ok(match pair.entry.database {
        Some(_) => plan.finally(ClearStage),
        None => plan,
    })
}

fn wanted(params: &Params, cx: &Cx) -> anyhow::Result<Pair> {
    let host = &params.site;
    let entry = cx.spoke.registry.sites.load(host)?;
    let entry = entry.with_context(|| format!("there is no site {host} on this spoke"))?;
    let platform = params.platform.as_ref().or(entry.platform.as_ref());
    let like = site_install::Params {
        site: params.to.clone(),
        aliases: Vec::new(),
        profile: entry.profile.clone(),
        platform: platform.cloned(),
        options: entry.asked_options(),
    };
    Ok(Pair {
        from: Arc::new(Site::installed(&entry, &cx.spoke)?),
        site: Arc::new(Site::new(&like, &cx.spoke, cx.run)?),
        entry,
    })
}

/// All that is in the way, before anything is touched.
async fn refuse(pair: &Pair, cx: &Cx) -> anyhow::Result<()> {
    let Pair { entry, from, site } = pair;
    let (config, host) = (&cx.spoke.config, &entry.host);
    let sites = layout::sites(config)?;
    anyhow::ensure!(
        sites.owner_of(host.as_str())?.as_ref() == Some(&entry.owner),
        "{} is not the folder that was made for this site: move it away",
        from.folder.display()
    );
    refuse_taken_places(site, cx).await?;
    let manifest = &site.profile.manifest;
    anyhow::ensure!(
        manifest.installer.is_none() || manifest.secrets.is_empty() || manifest.copied.is_some(),
        "the profile {} does not say how a copy's data gets passwords of its own: give it a [clone]",
        manifest.name
    );
    if entry.platform != site.platform {
        refuse_older(cx, host, [&entry.platform, &site.platform])?;
    }
    let name = host.as_str().to_owned();
    let bytes = blocking(move || Ok(sites.bytes_below(name))).await?;
    let mut needs = vec![Need::new(&config.sites.root, bytes)?];
    if let Some(name) = &entry.database {
        let service = cx.spoke.database(entry.engine)?;
        anyhow::ensure!(
            service.comment_of(name).await?.as_ref() == Some(&entry.owner),
            "the database {name} is gone, or is another than the one of this site"
        );
        let size = service.size_of(name).await?;
        needs.push(Need::new(&config.state_dir, size)?);
        needs.extend(service.room_for(size).await?);
    }
    room::enough(&format!("a copy of {host}"), &needs)
}

fn output(
    pair: &Pair,
    cx: &Cx,
    learnt: &Learnt,
    began: Instant,
) -> anyhow::Result<impl FnOnce() -> anyhow::Result<task::Output> + Send + 'static> {
    let site = Arc::clone(&pair.site);
    let platform = match &site.platform {
        Some(name) => cx.spoke.registry.platforms.load(name)?,
        None => None,
    };
    let manifest = &site.profile.manifest;
    let has_secrets = site.database.is_some() || !manifest.secrets.is_empty();
    let secret_file = cx.spoke.secrets.path(&site.host).display().to_string();
    let (copied, dumped) = (Arc::clone(&learnt.copied), Arc::clone(&learnt.dumped));
    Ok(move || {
        let admin = site.profile.manifest.admin.as_ref();
        Ok(task::Output::SiteClone(Output {
            url: format!("{}/", site.url),
            path: site.folder.display().to_string(),
            platform: site.platform.clone(),
            version: platform.and_then(|it| it.version),
            files: copied.get().map_or(0, |copied| copied.files),
            bytes: copied.get().map_or(0, |copied| copied.bytes),
            database: site.database.clone(),
            database_bytes: dumped.get().map(|dumped| dumped.bytes),
            admin_user: admin
                .and_then(|admin| site.options.get(&admin.user_option))
                .map(ToString::to_string),
            secret_file: has_secrets.then_some(secret_file),
            milliseconds: u64::try_from(began.elapsed().as_millis())?,
        }))
    })
}

/// Data and files, which nobody sees yet.
fn copy(plan: Plan, pair: &Pair, learnt: Learnt) -> Plan {
    let Pair { entry, from, site } = pair;
    let mut plan = plan.step(ReserveSite(Arc::clone(site)));
    if site.own_pool.is_some() {
        plan = plan.step(OpenPool(Arc::clone(site)));
    }
    if let Some(name) = &entry.database {
        plan = plan.step(DumpDatabase {
            name: name.clone(),
            engine: entry.engine,
            without_rows: site.profile.manifest.backup.without_rows.clone(),
            dumped: learnt.dumped,
        });
    }
    plan = plan.step(CopySiteFiles {
        from: Arc::clone(from),
        owner: entry.owner.clone(),
        site: Arc::clone(site),
        copied: learnt.copied,
    });
    if let (Some(name), Some(_)) = (&site.database, &entry.database) {
        plan = plan
            .step(CreateDatabaseUser {
                site: Arc::clone(site),
                name: name.clone(),
            })
            .step(CreateDatabase {
                name: name.clone(),
                engine: site.engine,
            })
            .step(ImportDatabase {
                site: Arc::clone(site),
                name: name.clone(),
            });
    }
    plan
}

/// What the copy and its data are told of what is another's than before.
fn make_its_own(mut plan: Plan, pair: &Pair) -> Plan {
    let Pair { entry, from, site } = pair;
    if let Some(file) = &site.profile.manifest.settings {
        plan = plan.step(WriteSettings {
            site: Arc::clone(site),
            file: file.clone(),
        });
    }
    let former = Former {
        host: entry.host.clone(),
        url: from.url.clone(),
        site: from.folder.clone(),
    };
    let change = Change {
        code: entry.platform != site.platform,
        former: Some(former),
        copied: true,
    };
    adapt(plan, site, change)
}
