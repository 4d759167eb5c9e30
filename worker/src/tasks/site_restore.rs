//! `site.restore`: a site becomes what it was when a backup of it was made. The backup is read, judged and restored beside
//! the site while that goes on; then visitors get the maintenance page for as long as the two change places. What the site
//! was until then goes to the trash when the one from the backup has answered.
//!
//! What the site is made of comes out of the backup: files, database, platform. How it is offered stays as it is today:
//! names, options, enabled or not, and its secrets but for the database's password, since a backup holds none.

use std::path::Component;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use kolga_protocol::names::DatabaseName;
use kolga_protocol::task::site_restore::{Output, Params};
use kolga_protocol::task::{self, Kind};

use crate::cx::Cx;
use crate::face::Face;
use crate::layout;
use crate::plan::Plan;
use crate::registry::SiteEntry;
use crate::room::{self, Need};
use crate::services::restic::{Brief, Contents, Restic};
use crate::site::Site;
use crate::steps::check_face::CheckFace;
use crate::steps::clear_stage::ClearStage;
use crate::steps::create_database::CreateDatabase;
use crate::steps::create_database_user::CreateDatabaseUser;
use crate::steps::drop_old_settings::DropOldSettings;
use crate::steps::drop_restored::DropRestored;
use crate::steps::import_database::ImportDatabase;
use crate::steps::place_restored::PlaceRestored;
use crate::steps::restore_snapshot::{Into, RestoreSnapshot};
use crate::steps::settle_restored::SettleRestored;
use crate::steps::stage_backup::{self, Manifest};
use crate::steps::swap_entry::SwapEntry;
use crate::steps::swap_secrets::SwapSecrets;
use crate::steps::swap_settings::SwapSettings;
use crate::steps::swap_vhost::SwapVhost;
use crate::steps::trash_site::TrashSite;
use crate::trash::{Discarded, discard};

/// The site as it is and as it is to be, and what it is to be made of.
struct Back {
    before: SiteEntry,
    after: SiteEntry,
    /// As it is to be.
    site: Arc<Site>,
    brief: Arc<Brief>,
    contents: Contents,
}

pub(super) async fn plan(params: &Params, cx: &Cx) -> anyhow::Result<Plan> {
    let began = Instant::now();
    let this = wanted(params, cx).await?;
    refuse(&this, cx).await?;
    let plan = Plan::new(output(&this, cx, began));
    let plan = beside(plan, &this);
    let plan = change_places(plan, &this);
    Ok(past_the_point(plan, this, cx))
}

/// Reads and judges the backup.
async fn wanted(params: &Params, cx: &Cx) -> anyhow::Result<Back> {
    let host = &params.site;
    let before = cx.spoke.registry.sites.load(host)?;
    let before = before.with_context(|| {
        format!(
            "there is no site {host} on this spoke: install one of that name and profile, then restore the backup \
             into it"
        )
    })?;
    let restic = cx.spoke.need_backups()?;
    let contents = restic.contents(cx, &params.backup).await?;
    anyhow::ensure!(
        contents.site == *host,
        "the backup {} is of {}, not of {host}",
        params.backup,
        contents.site
    );
    let brief = brief(restic, &contents, cx).await?;
    judge(&brief, &before)?;
    let mut after = before.clone();
    after.owner = cx.run.to_string();
    after.platform = brief.platform.clone();
    after.path = layout::site(&cx.spoke.config, host);
    let beside = || DatabaseName::beside(host, cx.run);
    after.database = brief.dump.map(|_| beside());
    let site = Site::installed(&after, &cx.spoke);
    Ok(Back {
        site: Arc::new(site.context("what the backup holds cannot be a site here")?),
        brief: Arc::new(brief),
        before,
        after,
        contents,
    })
}

/// What a backup is of: by its tags, or, where it is of a release that gave it none, by its manifest.
pub(super) async fn brief(restic: &Restic, contents: &Contents, cx: &Cx) -> anyhow::Result<Brief> {
    if let Some(brief) = &contents.brief {
        return Ok(brief.clone());
    }
    let text = restic.text_of(cx, &contents.id, stage_backup::MANIFEST);
    let manifest = Manifest::read(&text.await?)?;
    anyhow::ensure!(
        manifest.host == contents.site,
        "the backup says that it is of {}, not of {}",
        manifest.host,
        contents.site
    );
    Ok(manifest.brief())
}

/// Refuses what says of itself something else than the site is.
pub(super) fn judge(brief: &Brief, entry: &SiteEntry) -> anyhow::Result<()> {
    let host = &entry.host;
    anyhow::ensure!(
        brief.profile == entry.profile,
        "the backup is of a site of profile {}, and {host} is of profile {}",
        brief.profile,
        entry.profile
    );
    anyhow::ensure!(
        brief.dump.is_some() == entry.database.is_some(),
        "either {host} has a database and the backup has none, or the other way round"
    );
    if let Some((engine, _)) = brief.dump {
        anyhow::ensure!(
            engine == entry.engine,
            "the backup is of a site whose data are in {}, and those of {host} are in {}: what the one has dumped the \
             other cannot read",
            engine.title(),
            entry.engine.title()
        );
    }
    let mut parts = brief.folder().components();
    let plain = parts.next() == Some(Component::RootDir)
        && parts.all(|part| matches!(part, Component::Normal(_)))
        && brief.folder().file_name() == Some(host.as_str().as_ref());
    anyhow::ensure!(
        plain,
        "the backup says that the site's folder was {:?}, which cannot be",
        brief.folder
    );
    Ok(())
}

/// All that is in the way, before anything is touched.
async fn refuse(this: &Back, cx: &Cx) -> anyhow::Result<()> {
    let Back { before, site, .. } = this;
    let config = &cx.spoke.config;
    let sites = layout::sites(config)?;
    let host = before.host.as_str();
    anyhow::ensure!(
        sites.kind(host)?.is_none() || sites.owner_of(host)?.as_ref() == Some(&before.owner),
        "{} is not the folder that was made for this site: move it away",
        before.path.display()
    );
    anyhow::ensure!(
        cx.spoke.secrets.load(&before.host)?.is_some(),
        "the secrets of {host} are gone: {}",
        cx.spoke.secrets.path(&before.host).display()
    );
    back_on_the_web(this).compare(cx)?;
    let mut needs = vec![Need::new(&config.sites.root, this.contents.bytes)?];
    if let Some(name) = &before.database {
        let service = cx.spoke.database(before.engine)?;
        let comment = service.comment_of(name).await?;
        anyhow::ensure!(
            comment.is_none_or(|comment| comment == before.owner),
            "the database {name} is another than the one of this site"
        );
        let dump = this.brief.dump.map_or(0, |(_, bytes)| bytes);
        needs.push(Need::new(&config.state_dir, dump)?);
        // Indexes come on top of what a dump says.
        needs.extend(service.room_for(dump.saturating_mul(2)).await?);
    }
    room::enough(&format!("restoring {}", site.host), &needs)
}

fn output(
    this: &Back,
    cx: &Cx,
    began: Instant,
) -> impl FnOnce() -> anyhow::Result<task::Output> + Send + 'static {
    let kept = cx.spoke.config.trash.keep_days > 0;
    let mut output = Output {
        url: format!("{}/", this.site.url),
        path: this.after.path.display().to_string(),
        backup: this.contents.id.clone(),
        files: this.contents.files,
        bytes: this.contents.bytes,
        platform: this.after.platform.clone(),
        database: this.after.database.clone(),
        database_bytes: this.brief.dump.map(|(_, bytes)| bytes),
        former: kept.then_some(cx.run.task),
        milliseconds: 0,
    };
    move || {
        output.milliseconds = u64::try_from(began.elapsed().as_millis())?;
        Ok(task::Output::SiteRestore(output))
    }
}

/// Folder and database, both beside those that the site has.
fn beside(plan: Plan, this: &Back) -> Plan {
    let (site, folder) = (&this.site, this.brief.folder());
    let plan = plan
        .step(RestoreSnapshot {
            id: this.contents.id.clone(),
            into: Into::Sites,
        })
        .step(SettleRestored {
            site: Arc::clone(site),
            brief: Arc::clone(&this.brief),
            foreign: Arc::new(this.contents.foreign_below(folder)),
            code_was: None,
        })
        .step(SwapSecrets {
            from: this.before.host.clone(),
            site: Arc::clone(site),
        });
    let Some(name) = &this.after.database else {
        return plan;
    };
    plan.step(CreateDatabaseUser {
        site: Arc::clone(site),
        name: name.clone(),
    })
    .step(CreateDatabase {
        name: name.clone(),
        engine: this.after.engine,
    })
    .step(ImportDatabase {
        site: Arc::clone(site),
        name: name.clone(),
    })
}

fn change_places(mut plan: Plan, this: &Back) -> Plan {
    let Back { before, site, .. } = this;
    if before.enabled {
        plan = plan.step(SwapVhost {
            site: Arc::clone(site),
            face: Face::Maintenance,
        });
    }
    plan = plan
        .step(TrashSite {
            host: before.host.clone(),
            owner: before.owner.clone(),
        })
        .step(PlaceRestored(before.host.clone()));
    if let Some(file) = &site.profile.manifest.settings {
        plan = plan.step(SwapSettings {
            site: Arc::clone(site),
            file: file.clone(),
        });
    }
    let web = back_on_the_web(this);
    let face = web.face;
    plan.step(web)
        .step(CheckFace {
            site: Arc::clone(site),
            face,
        })
        .step(SwapEntry {
            before: Some(before.clone()),
            after: this.after.clone(),
        })
}

fn back_on_the_web(this: &Back) -> SwapVhost {
    SwapVhost {
        site: Arc::clone(&this.site),
        face: Face::when(this.before.enabled),
    }
}

fn past_the_point(mut plan: Plan, this: Back, cx: &Cx) -> Plan {
    if let Some(file) = &this.site.profile.manifest.settings {
        plan = plan.finally(DropOldSettings {
            host: this.after.host.clone(),
            path: file.path.clone(),
        });
    }
    let discarded = Discarded {
        entry: this.before,
        folder: true,
        secrets: false,
        why: Kind::SiteRestore.as_str(),
    };
    discard(
        plan.finally(ClearStage).finally(DropRestored),
        cx,
        discarded,
    )
}
