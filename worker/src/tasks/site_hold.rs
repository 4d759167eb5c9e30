//! `site.hold`: visitors get the maintenance page, the database is closed to the site, and a backup of what the site is then
//! is made and read back, so that another server can make the very same of it. The site stays so until `site.release`: the
//! spoke's book says that it is held. Until the last step everything comes back.
//!
//! With `check` it is only looked at: whether it is whole and answers, what it is, and where its backups lie.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use anyhow::Context as _;
use kolga_protocol::seal::Sealed;
use kolga_protocol::task;
use kolga_protocol::task::site_hold::{Offer, Output, Params};

use super::site_backup;
use crate::cx::Cx;
use crate::face::Face;
use crate::files::blocking;
use crate::layout;
use crate::plan::Plan;
use crate::registry::{Held, SiteEntry};
use crate::services::nginx::snippet;
use crate::site::Site;
use crate::steps::check_face::CheckFace;
use crate::steps::clear_stage::ClearStage;
use crate::steps::close_database::CloseDatabase;
use crate::steps::make_snapshot::Kept;
use crate::steps::open_repository::OpenRepository;
use crate::steps::read_repository::ReadRepository;
use crate::steps::swap_entry::SwapEntry;
use crate::steps::swap_vhost::SwapVhost;

pub(super) async fn plan(params: &Params, cx: &Cx) -> anyhow::Result<Plan> {
    let began = Instant::now();
    let host = &params.site;
    let entry = cx.spoke.registry.sites.load(host)?;
    let entry = entry.with_context(|| format!("there is no site {host} on this spoke"))?;
    cx.spoke.need_backups()?;
    let site = Arc::new(Site::installed(&entry, &cx.spoke)?);
    let offer = offer(&entry, &site, cx).await?;
    let sealed = sealed(params, cx)?;
    let (kept, repository): (Arc<Kept>, Arc<OnceLock<String>>) = Default::default();
    let told = (Arc::clone(&kept), Arc::clone(&repository));
    let check = params.check;
    let plan = Plan::new(move || {
        let (kept, repository) = told;
        let repository = repository.get().context("the backups were not asked")?;
        let made = kept.made.get();
        anyhow::ensure!(check || kept.id.get().is_some(), "nothing was read back");
        Ok(task::Output::SiteHold(Output {
            offer: Box::new(Offer {
                repository: repository.clone(),
                ..offer
            }),
            backup: kept.id.get().cloned(),
            files: made.map_or(0, |made| made.files),
            bytes: made.map_or(0, |made| made.bytes),
            sealed,
            milliseconds: u64::try_from(began.elapsed().as_millis())?,
        }))
    });
    let plan = plan
        .step(OpenRepository(Arc::clone(&kept)))
        .step(ReadRepository(repository));
    if check {
        let face = Face::when(entry.enabled);
        return Ok(plan.step(CheckFace { site, face }));
    }
    Ok(hold(plan, entry, &site, &kept, params, cx))
}

/// Nobody gets at it from here on, and what it is then is kept.
fn hold(
    mut plan: Plan,
    entry: SiteEntry,
    site: &Arc<Site>,
    kept: &Arc<Kept>,
    params: &Params,
    cx: &Cx,
) -> Plan {
    plan = plan.step(SwapVhost {
        site: Arc::clone(site),
        face: Face::Maintenance,
    });
    if let Some(name) = &entry.database {
        plan = plan.step(CloseDatabase {
            site: Arc::clone(site),
            name: name.clone(),
        });
    }
    let held = Held {
        run: cx.run,
        to: params.to.clone(),
    };
    site_backup::keep(plan, site, kept)
        .step(SwapEntry {
            after: SiteEntry {
                held: Some(held),
                ..entry.clone()
            },
            before: Some(entry),
        })
        .finally(ClearStage)
}

/// What the site is. The repository is asked later.
async fn offer(entry: &SiteEntry, site: &Site, cx: &Cx) -> anyhow::Result<Offer> {
    let (config, host) = (&cx.spoke.config, &entry.host);
    let sites = layout::sites(config)?;
    anyhow::ensure!(
        sites.owner_of(host.as_str())?.as_ref() == Some(&entry.owner),
        "{} is not the folder that was made for this site: move it away",
        site.folder.display()
    );
    let database_bytes = match &entry.database {
        Some(name) => {
            let service = cx.spoke.database(entry.engine)?;
            anyhow::ensure!(
                service.comment_of(name).await?.as_ref() == Some(&entry.owner),
                "the database {name} is gone, or is another than the one of this site"
            );
            Some(service.size_of(name).await?)
        }
        None => None,
    };
    let platform = match &entry.platform {
        Some(name) => cx.spoke.registry.platforms.load(name)?,
        None => None,
    };
    let secrets = cx.spoke.secrets.load(host)?;
    let name = host.as_str().to_owned();
    let bytes = blocking(move || Ok(sites.bytes_below(name))).await?;
    Ok(Offer {
        repository: String::new(),
        profile: entry.profile.clone(),
        platform: entry.platform.clone(),
        version: platform.and_then(|platform| platform.version),
        names: entry.names(),
        https: entry.https,
        options: entry.options.clone(),
        enabled: entry.enabled,
        imported: entry.imported,
        snippet: !snippet::operators(config, host)?.is_empty(),
        secrets: secrets.is_some_and(|secrets| !secrets.values.is_empty()),
        url: site.url.clone(),
        folder: site.folder.display().to_string(),
        code: site.code().map(|code| code.display().to_string()),
        uid: rustix::process::geteuid().as_raw(),
        bytes,
        engine: entry.engine,
        database_bytes,
    })
}

/// What the site has to hide, but for the database's password, for the other server alone.
fn sealed(params: &Params, cx: &Cx) -> anyhow::Result<Option<Sealed>> {
    let Some(key) = params.seal.as_ref().filter(|_| !params.check) else {
        return Ok(None);
    };
    let secrets = cx.spoke.secrets.load(&params.site)?;
    let secrets = secrets.with_context(|| {
        let path = cx.spoke.secrets.path(&params.site);
        format!(
            "the secrets of {} are gone: {}",
            params.site,
            path.display()
        )
    })?;
    Ok(Some(key.seal(&serde_json::to_string(&secrets.values)?)?))
}
