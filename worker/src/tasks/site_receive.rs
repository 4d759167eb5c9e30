//! `site.receive`: a site of another server is made here of the backup that was made of it while it was held there: the same
//! files, rows, names, options and secrets, in a database and with a password of its own. All that could be in the way is
//! told before anything is touched, and the site has to answer before the spoke's book knows it. Without a backup it is only
//! looked whether all that could be.
//!
//! docs/decisions/0019-move.md says what comes before and after.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use kolga_protocol::id::UnixMillis;
use kolga_protocol::names::DatabaseName;
use kolga_protocol::naming::Https;
use kolga_protocol::seal::SealKey;
use kolga_protocol::task;
use kolga_protocol::task::site_receive::{Output, Params};

use super::adapt::{Change, adapt};
use super::site_restore::{brief, judge};
use crate::code::version::is_older;
use crate::cx::Cx;
use crate::face::Face;
use crate::layout;
use crate::plan::Plan;
use crate::registry::SiteEntry;
use crate::room::{self, Need};
use crate::script::Former;
use crate::services::nginx::snippet;
use crate::services::restic::{Brief, Contents};
use crate::site::{Site, free_database, refuse_taken_names};
use crate::steps::check_face::CheckFace;
use crate::steps::clear_stage::ClearStage;
use crate::steps::create_database::CreateDatabase;
use crate::steps::create_database_user::CreateDatabaseUser;
use crate::steps::drop_restored::DropRestored;
use crate::steps::import_database::ImportDatabase;
use crate::steps::open_pool::OpenPool;
use crate::steps::place_restored::PlaceRestored;
use crate::steps::receive_secrets::ReceiveSecrets;
use crate::steps::register_site::RegisterSite;
use crate::steps::reserve_site::refuse_taken_places;
use crate::steps::restore_snapshot::{Into, RestoreSnapshot};
use crate::steps::settle_restored::SettleRestored;
use crate::steps::swap_vhost::SwapVhost;
use crate::steps::write_settings::WriteSettings;

/// The site as it is to be here.
struct Coming {
    entry: SiteEntry,
    site: Arc<Site>,
    /// Of its platform's code here.
    version: Option<String>,
}

/// What it is to be made of.
struct Backup {
    brief: Arc<Brief>,
    contents: Contents,
}

pub(super) async fn plan(params: &Params, cx: &Cx) -> anyhow::Result<Plan> {
    let began = Instant::now();
    let coming = coming(params, cx).await?;
    refuse(params, &coming, cx).await?;
    let Some(backup) = backup(params, &coming, cx).await? else {
        let key = key(params, cx)?;
        let output = output(&coming, None, key, cx, began);
        return Ok(Plan::new(output));
    };
    let plan = Plan::new(output(&coming, Some(&backup.contents), None, cx, began));
    let plan = beside(plan, params, &coming, &backup);
    let plan = make_its_own(plan, params, &coming);
    let face = Face::when(coming.entry.enabled);
    Ok(plan
        .step(SwapVhost {
            site: Arc::clone(&coming.site),
            face,
        })
        .step(CheckFace {
            site: Arc::clone(&coming.site),
            face,
        })
        .step(RegisterSite {
            site: coming.site,
            enabled: coming.entry.enabled,
        })
        .finally(ClearStage)
        .finally(DropRestored))
}

async fn coming(params: &Params, cx: &Cx) -> anyhow::Result<Coming> {
    let (host, offer, spoke) = (&params.site, &params.offer, &cx.spoke);
    let others = offer.names.others();
    refuse_taken_names(&spoke.registry, host, &others)?;
    let database = match offer.database_bytes {
        Some(_) => Some(database(params, cx).await?),
        None => None,
    };
    let mut entry = SiteEntry {
        host: host.clone(),
        owner: cx.run.to_string(),
        profile: offer.profile.clone(),
        platform: params.platform.clone(),
        database,
        engine: offer.engine,
        aliases: Vec::new(),
        main: None,
        redirects: Vec::new(),
        https: offer.https,
        options: offer.options.clone(),
        enabled: offer.enabled,
        imported: offer.imported,
        pool: None,
        held: None,
        path: layout::site(&spoke.config, host),
        installed_at: UnixMillis::now(),
    };
    entry.set_names(offer.names.clone());
    let site = Site::installed(&entry, spoke)?;
    let platform = match &params.platform {
        Some(name) => spoke.registry.platforms.load(name)?,
        None => None,
    };
    Ok(Coming {
        entry,
        site: Arc::new(site),
        version: platform.and_then(|platform| platform.version),
    })
}

/// The name of its database here: its own, unless something is called so. Both servers' sites may lie on one database server.
async fn database(params: &Params, cx: &Cx) -> anyhow::Result<DatabaseName> {
    let name = free_database(&cx.spoke, &params.site, cx.run)?;
    let service = cx.spoke.database(params.offer.engine)?;
    let taken = service.has_database(&name).await? || service.has_user(&name).await?;
    Ok(match taken {
        true => DatabaseName::beside(&params.site, cx.run),
        false => name,
    })
}

/// All that is in the way, before anything is touched.
async fn refuse(params: &Params, coming: &Coming, cx: &Cx) -> anyhow::Result<()> {
    let (host, offer, site) = (&params.site, &params.offer, &coming.site);
    let (from, here) = (&params.from, &cx.spoke.config.server);
    refuse_taken_places(site, cx).await?;
    if let (Some(new), Some(old)) = (&coming.version, &offer.version) {
        anyhow::ensure!(
            !is_older(new, old),
            "the platform has version {new} on {here}, which is older than {old}, which {host} has on {from}: its data would \
             not be understood; build one there that is at least as new"
        );
    }
    if offer.https != Https::Off {
        let tls = cx.spoke.need_tls()?;
        let needed = tls.need(cx, host, &site.names.all(host)).await;
        needed.with_context(|| format!("{host} answers over HTTPS, and could not on {here}"))?;
    }
    anyhow::ensure!(
        !offer.snippet || !snippet::operators(&cx.spoke.config, host)?.is_empty(),
        "{host} has lines of its own for nginx ([nginx] snippets) on {from}: give it some on {here} first, or an empty \
         remark"
    );
    if site.own_pool.is_some() {
        let pools = cx.spoke.need_pools()?;
        let named = pools.named(&cx.spoke)?;
        anyhow::ensure!(
            pools.names().iter().any(|name| !named.contains_key(name)),
            "{host} has a pool of PHP to itself on {from}, and all of {here} have a site"
        );
    }
    let config = &cx.spoke.config;
    let mut needs = vec![Need::new(&config.sites.root, offer.bytes)?];
    if let Some(bytes) = offer.database_bytes {
        let service = cx.spoke.database(offer.engine)?;
        needs.push(Need::new(&config.state_dir, bytes)?);
        // Indexes come on top of what a dump says.
        needs.extend(service.room_for(bytes.saturating_mul(2)).await?);
    }
    room::enough(&format!("{host}, coming from {from},"), &needs)
}

/// Reads and judges the backup; nothing when it is only looked. Another server's counts only by its whole name.
async fn backup(params: &Params, coming: &Coming, cx: &Cx) -> anyhow::Result<Option<Backup>> {
    let (host, from, offer) = (&params.site, &params.from, &params.offer);
    let restic = cx.spoke.need_backups()?;
    let Some(wanted) = &params.backup else {
        let here = restic.identity(cx).await.with_context(|| {
            format!(
                "a site moves through a repository that {from} and {} both use: see [backups] on both",
                cx.spoke.config.server
            )
        })?;
        anyhow::ensure!(
            here == offer.repository,
            "the backups of {} lie in another repository than those of {from} ({here} and {}): a site moves through one \
             that both use, so give both the same one in [backups]",
            cx.spoke.config.server,
            offer.repository
        );
        return Ok(None);
    };
    let contents = restic.contents_of(cx, wanted, from, offer.uid).await?;
    anyhow::ensure!(
        contents.id == wanted.as_str() && contents.site == *host,
        "the backup {wanted} is not the one of {host} that {from} has made"
    );
    let brief = brief(restic, &contents, cx).await?;
    judge(&brief, &coming.entry)?;
    Ok(Some(Backup {
        brief: Arc::new(brief),
        contents,
    }))
}

fn key(params: &Params, cx: &Cx) -> anyhow::Result<Option<SealKey>> {
    match params.offer.secrets {
        true => Ok(Some(cx.spoke.secrets.opener()?.key())),
        false => Ok(None),
    }
}

fn output(
    coming: &Coming,
    contents: Option<&Contents>,
    seal: Option<SealKey>,
    cx: &Cx,
    began: Instant,
) -> impl FnOnce() -> anyhow::Result<task::Output> + Send + 'static + use<> {
    let Coming {
        entry,
        site,
        version,
    } = coming;
    let has_secrets = entry.database.is_some() || !site.profile.manifest.secrets.is_empty();
    let secret_file = cx.spoke.secrets.path(&entry.host).display().to_string();
    let mut output = Output {
        url: format!("{}/", site.url),
        path: entry.path.display().to_string(),
        platform: entry.platform.clone(),
        version: version.clone(),
        database: entry.database.clone(),
        names: entry.names(),
        https: entry.https,
        enabled: entry.enabled,
        files: contents.map_or(0, |contents| contents.files),
        bytes: contents.map_or(0, |contents| contents.bytes),
        seal,
        secret_file: has_secrets.then_some(secret_file),
        milliseconds: 0,
    };
    move || {
        output.milliseconds = u64::try_from(began.elapsed().as_millis())?;
        Ok(task::Output::SiteReceive(output))
    }
}

/// Secrets, files and rows, which nobody sees yet.
fn beside(plan: Plan, params: &Params, coming: &Coming, backup: &Backup) -> Plan {
    let (site, folder) = (&coming.site, backup.brief.folder());
    let mut plan = plan.step(ReceiveSecrets {
        site: Arc::clone(site),
        sealed: params.sealed.clone(),
    });
    if site.own_pool.is_some() {
        plan = plan.step(OpenPool(Arc::clone(site)));
    }
    plan = plan
        .step(RestoreSnapshot {
            id: backup.contents.id.clone(),
            into: Into::Sites,
        })
        .step(SettleRestored {
            site: Arc::clone(site),
            brief: Arc::clone(&backup.brief),
            foreign: Arc::new(backup.contents.foreign_below(folder)),
            code_was: params.offer.code.as_ref().map(PathBuf::from),
        });
    if let Some(name) = &coming.entry.database {
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
    plan.step(PlaceRestored(coming.entry.host.clone()))
}

/// What the site and its data are told of what is another's here than there.
fn make_its_own(mut plan: Plan, params: &Params, coming: &Coming) -> Plan {
    let (site, offer) = (&coming.site, &params.offer);
    if let Some(file) = &site.profile.manifest.settings {
        plan = plan.step(WriteSettings {
            site: Arc::clone(site),
            file: file.clone(),
        });
    }
    let same = coming.version.is_some() && coming.version == offer.version;
    let folder = PathBuf::from(&offer.folder);
    let elsewhere = site.url != offer.url || site.folder != folder;
    let change = Change {
        code: !same,
        former: elsewhere.then(|| Former {
            host: params.site.clone(),
            url: offer.url.clone(),
            site: folder,
        }),
        copied: false,
    };
    adapt(plan, site, change)
}
