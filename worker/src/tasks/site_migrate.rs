//! `site.migrate`: a site comes to another platform, or gets another name, or both. All that could be in the way is told
//! before anything is touched. Then visitors get the maintenance page; a copy of the database is made beside the old one,
//! and the folder is moved by a rename, so that every step has its way back; and the site has to answer before the old
//! database goes, to the trash.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use anyhow::Context as _;
use kolga_protocol::names::{DatabaseName, HostName, PlatformName};
use kolga_protocol::naming::Https;
use kolga_protocol::task::site_migrate::{Output, Params};
use kolga_protocol::task::{self, Kind};

use super::adapt::{Change, adapt};
use crate::code::version::is_older;
use crate::cx::Cx;
use crate::face::Face;
use crate::files::{Dir, blocking};
use crate::layout;
use crate::plan::Plan;
use crate::registry::SiteEntry;
use crate::relink::relink;
use crate::script::Former;
use crate::services::database::Dumped;
use crate::services::nginx::snippet;
use crate::site::{Site, refuse_taken_names_but};
use crate::steps::check_face::CheckFace;
use crate::steps::clear_stage::ClearStage;
use crate::steps::close_database::CloseDatabase;
use crate::steps::create_database::CreateDatabase;
use crate::steps::create_database_user::CreateDatabaseUser;
use crate::steps::drop_old_settings::DropOldSettings;
use crate::steps::dump_database::DumpDatabase;
use crate::steps::empty_trash::EmptyTrash;
use crate::steps::import_database::ImportDatabase;
use crate::steps::mend_site::MendSite;
use crate::steps::move_site_folder::MoveSiteFolder;
use crate::steps::reserve_site::refuse_taken_places;
use crate::steps::swap_entry::SwapEntry;
use crate::steps::swap_secrets::SwapSecrets;
use crate::steps::swap_settings::SwapSettings;
use crate::steps::swap_vhost::SwapVhost;
use crate::steps::unpublish_vhost::UnpublishVhost;
use crate::survey::Mend;
use crate::trash::{Discarded, discard};

/// The site as it is and as it is to be.
struct Move {
    before: SiteEntry,
    after: SiteEntry,
    old: Arc<Site>,
    new: Arc<Site>,
}

impl Move {
    fn has_another_name(&self) -> bool {
        self.before.host != self.after.host
    }

    fn has_another_platform(&self) -> bool {
        self.before.platform != self.after.platform
    }
}

pub(super) async fn plan(params: &Params, cx: &Cx) -> anyhow::Result<Plan> {
    let began = Instant::now();
    let this = wanted(params, cx)?;
    let links = refuse(&this, cx).await?;
    let dumped: Arc<OnceLock<Dumped>> = Arc::default();
    let plan = Plan::new(output(&this, cx, Arc::clone(&dumped), began)?);
    let plan = copy_database(plan, &this, dumped);
    let plan = move_over(plan, &this, links);
    let plan = back_on_the_web(plan, &this);
    Ok(past_the_point(plan, this, cx))
}

/// What the site is to be.
fn wanted(params: &Params, cx: &Cx) -> anyhow::Result<Move> {
    let host = &params.site;
    let before = cx.spoke.registry.sites.load(host)?;
    let before = before.with_context(|| format!("there is no site {host} on this spoke"))?;
    let mut after = before.clone();
    after.owner = cx.run.to_string();
    after.host = params.to().clone();
    after.path = layout::site(&cx.spoke.config, &after.host);
    if let Some(platform) = &params.platform {
        after.platform = Some(platform.clone());
    }
    let beside = || DatabaseName::beside(&after.host, cx.run);
    after.database = before.database.as_ref().map(|_| beside());
    after.set_names(before.names().moved(host, params.to(), params.keep_name));
    let this = Move {
        old: Arc::new(Site::installed(&before, &cx.spoke)?),
        new: Arc::new(Site::installed(&after, &cx.spoke)?),
        before,
        after,
    };
    anyhow::ensure!(
        this.has_another_name() || this.has_another_platform(),
        "{host} has that name and that platform already: there is nothing to do"
    );
    Ok(this)
}

/// All that is in the way, before anything is touched. What there is to do with the links to the platform.
async fn refuse(this: &Move, cx: &Cx) -> anyhow::Result<Vec<Mend>> {
    let Move {
        before, after, new, ..
    } = this;
    let sites = layout::sites(&cx.spoke.config)?;
    let host = before.host.as_str();
    anyhow::ensure!(
        sites.owner_of(host)?.as_ref() == Some(&before.owner),
        "{} is not the folder that was made for this site: move it away",
        before.path.display()
    );
    if this.has_another_name() {
        refuse_names(this, cx).await?;
    }
    if this.has_another_platform() {
        refuse_older(cx, &before.host, [&before.platform, &after.platform])?;
    }
    if let Some(name) = &before.database {
        let service = cx.spoke.database(before.engine)?;
        anyhow::ensure!(
            service.comment_of(name).await?.as_ref() == Some(&before.owner),
            "the database {name} is gone, or is another than the one of this site"
        );
        let own = Dir::open(&cx.spoke.config.state_dir)?;
        service.room_to_copy(name, &own).await?;
    }
    let (Some(old), Some(code)) = (this.old.code(), new.code()) else {
        return Ok(Vec::new());
    };
    if before.platform == after.platform {
        return Ok(Vec::new());
    }
    let (top, old, code) = (sites.dir(host)?, old.to_owned(), code.to_owned());
    let new = Arc::clone(new);
    blocking(move || relink(&new.profile.manifest.links, &top, &old, &code)).await
}

async fn refuse_names(this: &Move, cx: &Cx) -> anyhow::Result<()> {
    let Move { before, after, .. } = this;
    let registry = &cx.spoke.registry;
    refuse_taken_names_but(
        registry,
        &after.host,
        &after.names().others(),
        Some(&before.host),
    )?;
    refuse_taken_places(&this.new, cx).await?;
    if this.new.https != Https::Off {
        let tls = cx.spoke.need_tls()?;
        tls.need(cx, &after.host, &after.names().all(&after.host))
            .await?;
    }
    let lines = |host| snippet::of(&cx.spoke.config, host);
    anyhow::ensure!(
        lines(&before.host)?.is_empty() || !lines(&after.host)?.is_empty(),
        "{} has lines of its own for nginx ([nginx] snippets): give {} some first, or an empty remark",
        before.host,
        after.host
    );
    Ok(())
}

/// Tables that newer code has changed are nothing that older code knows.
pub(super) fn refuse_older(
    cx: &Cx,
    host: &HostName,
    [before, after]: [&Option<PlatformName>; 2],
) -> anyhow::Result<()> {
    let version = |name: &Option<PlatformName>| match name {
        Some(name) => anyhow::Ok(
            cx.spoke
                .registry
                .platforms
                .load(name)?
                .and_then(|it| it.version),
        ),
        None => Ok(None),
    };
    if let (Some(old), Some(new)) = (version(before)?, version(after)?) {
        anyhow::ensure!(
            !is_older(&new, &old),
            "the platform has version {new}, which is older than {old}, which {host} has now: its data would not be \
             understood; go back with a backup"
        );
    }
    Ok(())
}

fn output(
    this: &Move,
    cx: &Cx,
    dumped: Arc<OnceLock<Dumped>>,
    began: Instant,
) -> anyhow::Result<impl FnOnce() -> anyhow::Result<task::Output> + Send + 'static> {
    let platform = match &this.after.platform {
        Some(name) => cx.spoke.registry.platforms.load(name)?,
        None => None,
    };
    let (url, path) = (
        format!("{}/", this.new.url),
        this.after.path.display().to_string(),
    );
    let database = this.after.database.clone();
    Ok(move || {
        Ok(task::Output::SiteMigrate(Output {
            url,
            path,
            version: platform.as_ref().and_then(|it| it.version.clone()),
            platform: platform.map(|it| it.name),
            database,
            database_bytes: dumped.get().map(|dumped| dumped.bytes),
            milliseconds: u64::try_from(began.elapsed().as_millis())?,
        }))
    })
}

/// From here on nobody writes into it, and all of it comes into a database beside the old one.
fn copy_database(mut plan: Plan, this: &Move, dumped: Arc<OnceLock<Dumped>>) -> Plan {
    if this.before.enabled {
        plan = plan.step(SwapVhost {
            site: Arc::clone(&this.old),
            face: Face::Maintenance,
        });
    }
    if let Some(name) = &this.before.database {
        plan = plan
            .step(CloseDatabase {
                site: Arc::clone(&this.old),
                name: name.clone(),
            })
            .step(DumpDatabase {
                name: name.clone(),
                engine: this.before.engine,
                without_rows: this.new.profile.manifest.backup.without_rows.clone(),
                dumped,
            });
    }
    plan = plan.step(SwapSecrets {
        from: this.before.host.clone(),
        site: Arc::clone(&this.new),
    });
    if let Some(name) = &this.after.database {
        plan = plan
            .step(CreateDatabaseUser {
                site: Arc::clone(&this.new),
                name: name.clone(),
            })
            .step(CreateDatabase {
                name: name.clone(),
                engine: this.after.engine,
            })
            .step(ImportDatabase {
                site: Arc::clone(&this.new),
                name: name.clone(),
            });
    }
    plan
}

/// The files, and what they and the data are told of it.
fn move_over(plan: Plan, this: &Move, links: Vec<Mend>) -> Plan {
    let Move { before, new, .. } = this;
    let manifest = &new.profile.manifest;
    let mut plan = plan.step(MoveSiteFolder {
        from: before.host.clone(),
        to: new.host.clone(),
        owner: before.owner.clone(),
    });
    if let Some(file) = &manifest.settings {
        plan = plan.step(SwapSettings {
            site: Arc::clone(new),
            file: file.clone(),
        });
    }
    if !links.is_empty() {
        plan = plan.step(MendSite {
            host: new.host.clone(),
            mends: links,
        });
    }
    let change = Change {
        code: this.has_another_platform(),
        former: this.has_another_name().then(|| Former {
            host: before.host.clone(),
            url: this.old.url.clone(),
            site: this.old.folder.clone(),
        }),
        copied: false,
    };
    adapt(plan, new, change)
}

fn back_on_the_web(plan: Plan, this: &Move) -> Plan {
    let face = Face::when(this.after.enabled);
    let mut plan = plan.step(SwapVhost {
        site: Arc::clone(&this.new),
        face,
    });
    if this.has_another_name() {
        plan = plan.step(UnpublishVhost(this.before.host.clone()));
    }
    plan.step(CheckFace {
        site: Arc::clone(&this.new),
        face,
    })
    .step(SwapEntry {
        before: Some(this.before.clone()),
        after: this.after.clone(),
    })
}

fn past_the_point(mut plan: Plan, this: Move, cx: &Cx) -> Plan {
    if let Some(file) = &this.new.profile.manifest.settings {
        plan = plan.finally(DropOldSettings {
            host: this.after.host.clone(),
            path: file.path.clone(),
        });
    }
    if this.before.database.is_none() {
        // Nothing but the secrets, which are the new ones too.
        return plan.finally(EmptyTrash);
    }
    let discarded = Discarded {
        entry: this.before,
        folder: false,
        secrets: false,
        why: Kind::SiteMigrate.as_str(),
    };
    discard(plan.finally(ClearStage), cx, discarded)
}
