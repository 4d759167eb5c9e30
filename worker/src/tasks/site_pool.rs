//! `site.pool`: a site that is there gets a pool of php-fpm to itself, or shares one again. Its files are copied, since what the
//! former user's PHP has made is that user's; while visitors get the maintenance page, so that nothing is written that would
//! be lost; and the site has to answer before the old files go.

use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use kolga_protocol::names::HostName;
use kolga_protocol::task;
use kolga_protocol::task::site_pool::{Output, Params};

use crate::cx::Cx;
use crate::face::Face;
use crate::files::{Copied, blocking};
use crate::layout;
use crate::plan::Plan;
use crate::profile::manifest::SettingsFile;
use crate::registry::SiteEntry;
use crate::room::{self, Need};
use crate::site::Site;
use crate::steps::check_face::CheckFace;
use crate::steps::close_pool::ClosePool;
use crate::steps::copy_beside::CopyBeside;
use crate::steps::drop_old_settings::DropOldSettings;
use crate::steps::drop_restored::DropRestored;
use crate::steps::open_pool::OpenPool;
use crate::steps::swap_folders::SwapFolders;
use crate::steps::swap_pool::SwapPool;
use crate::steps::swap_settings::SwapSettings;
use crate::steps::swap_vhost::SwapVhost;

pub(super) async fn plan(params: &Params, cx: &Cx) -> anyhow::Result<Plan> {
    let host = &params.site;
    let before = cx.spoke.registry.sites.load(host)?;
    let before = before.with_context(|| format!("there is no site {host} on this spoke"))?;
    let old = Arc::new(Site::installed(&before, &cx.spoke)?);
    let new = Site::installed(&before, &cx.spoke)?.with_own_pool(params.own)?;
    let new = Arc::new(new);
    let copied: Arc<OnceLock<Copied>> = Arc::default();
    let changed = before.pool.is_some() != params.own;
    let output = output(&new, changed, Arc::clone(&copied), cx);
    if !changed {
        old.web(&cx.spoke)?;
        let same = Arc::clone(&old);
        let shared = cx.spoke.config.php_user().to_owned();
        return Ok(Plan::new(move || {
            let user = same.pool()?.map_or(shared, |pool| pool.user.clone());
            Ok(task::Output::SitePool(Output {
                url: format!("{}/", same.url),
                user,
                changed,
                files: 0,
                bytes: 0,
            }))
        }));
    }
    refuse(host, &before, &old, cx).await?;
    let settings = new.profile.manifest.settings.clone();
    let plan = change_places(Plan::new(output), &before, old, new, copied);
    Ok(past_the_point(plan, before, settings))
}

/// All that is in the way, before anything is touched.
async fn refuse(
    host: &HostName,
    before: &SiteEntry,
    old: &Arc<Site>,
    cx: &Cx,
) -> anyhow::Result<()> {
    let config = &cx.spoke.config;
    let sites = layout::sites(config)?;
    anyhow::ensure!(
        sites.owner_of(host.as_str())?.as_ref() == Some(&before.owner),
        "{} is not the folder that was made for this site: move it away",
        before.path.display()
    );
    let face = Face::when(before.enabled);
    let site = Arc::clone(old);
    SwapVhost { site, face }.compare(cx)?;
    let name = host.as_str().to_owned();
    let bytes = blocking(move || Ok(sites.bytes_below(name))).await?;
    room::enough(
        &format!("the files of {host} once more"),
        &[Need::new(&config.sites.root, bytes)?],
    )
}

fn output(
    site: &Arc<Site>,
    changed: bool,
    copied: Arc<OnceLock<Copied>>,
    cx: &Cx,
) -> impl FnOnce() -> anyhow::Result<task::Output> + Send + 'static {
    let (site, shared) = (Arc::clone(site), cx.spoke.config.php_user().to_owned());
    move || {
        Ok(task::Output::SitePool(Output {
            url: format!("{}/", site.url),
            user: site.pool()?.map_or(shared, |pool| pool.user.clone()),
            changed,
            files: copied.get().map_or(0, |copied| copied.files),
            bytes: copied.get().map_or(0, |copied| copied.bytes),
        }))
    }
}

fn change_places(
    mut plan: Plan,
    before: &SiteEntry,
    old: Arc<Site>,
    new: Arc<Site>,
    copied: Arc<OnceLock<Copied>>,
) -> Plan {
    if new.own_pool.is_some() {
        plan = plan.step(OpenPool(Arc::clone(&new)));
    }
    if before.enabled {
        plan = plan.step(SwapVhost {
            site: Arc::clone(&old),
            face: Face::Maintenance,
        });
    }
    plan = plan
        .step(CopyBeside {
            from: old,
            owner: before.owner.clone(),
            site: Arc::clone(&new),
            copied,
        })
        .step(SwapFolders(before.host.clone()));
    if let Some(file) = &new.profile.manifest.settings {
        plan = plan.step(SwapSettings {
            site: Arc::clone(&new),
            file: file.clone(),
        });
    }
    let face = Face::when(before.enabled);
    let mut after = before.clone();
    after.options = new.options.clone();
    after.pool = None;
    plan.step(SwapVhost {
        site: Arc::clone(&new),
        face,
    })
    .step(CheckFace {
        site: Arc::clone(&new),
        face,
    })
    .step(SwapPool {
        site: new,
        before: Some(before.clone()),
        after,
    })
}

fn past_the_point(mut plan: Plan, before: SiteEntry, settings: Option<SettingsFile>) -> Plan {
    if let Some(file) = settings {
        plan = plan.finally(DropOldSettings {
            host: before.host.clone(),
            path: file.path,
        });
    }
    plan = plan.finally(DropRestored);
    match before.pool {
        Some(pool) => plan.finally(ClosePool {
            pool,
            host: before.host,
            owner: before.owner,
        }),
        None => plan,
    }
}
