//! `site.verify`: what is not as it should be is found first, all of it, while nothing is touched; then it is
//! mended, and the site has to answer. Where all is well, nothing is written. What cannot be mended without
//! guessing is told as a problem.

mod database;

use std::sync::Arc;

use anyhow::Context as _;
use kolga_protocol::id::UnixMillis;
use kolga_protocol::names::Engine;
use kolga_protocol::naming::Https;
use kolga_protocol::task;
use kolga_protocol::task::site_verify::{Change, Entry, Output, Params};

use crate::cx::Cx;
use crate::face::Face;
use crate::files::blocking;
use crate::layout;
use crate::plan::Plan;
use crate::registry::SiteEntry;
use crate::site::Site;
use crate::steps::check_face::CheckFace;
use crate::steps::drop_former_user::DropFormerUser;
use crate::steps::drop_old_settings::DropOldSettings;
use crate::steps::mend_database_user::{Lacks, MendDatabaseUser, Missing};
use crate::steps::mend_site::MendSite;
use crate::steps::swap_settings::{self, Found, SwapSettings};
use crate::steps::swap_vhost::SwapVhost;
use crate::survey::{Mend, Survey, TOP, survey};

pub(super) async fn plan(params: &Params, cx: &Cx) -> anyhow::Result<Plan> {
    let host = &params.site;
    let entry = cx.spoke.registry.sites.load(host)?;
    let entry = entry.with_context(|| {
        format!("there is no site {host} on this spoke: nothing was made in its place")
    })?;
    let site = Arc::new(Site::installed(&entry, &cx.spoke)?);
    let Examined {
        mends,
        lacks,
        vhost,
        changes,
        problems,
    } = examine(&site, &entry, cx).await?;
    tell(cx, &changes, &problems);
    let output = Output {
        url: format!("{}/", site.url),
        changes,
        problems,
        entry: entry_of(entry),
    };

    let mut plan = Plan::new(move || Ok(task::Output::SiteVerify(output)));
    if !mends.is_empty() {
        plan = plan.step(MendSite {
            host: host.clone(),
            mends,
        });
    }
    let mut former = None;
    if let (Some(lacks), Some(name)) = (lacks, &site.database) {
        if lacks.missing.contains(&Missing::Password) && site.engine == Engine::Mariadb {
            former = Some(DropFormerUser {
                name: name.clone(),
                engine: site.engine,
            });
        }
        plan = plan.step(MendDatabaseUser {
            site: Arc::clone(&site),
            name: name.clone(),
            lacks,
        });
    }
    let settings = site.profile.manifest.settings.clone();
    if let Some(file) = &settings {
        plan = plan.step(SwapSettings {
            site: Arc::clone(&site),
            file: file.clone(),
        });
    }
    let face = vhost.face;
    plan = plan.step(vhost).step(CheckFace {
        site: Arc::clone(&site),
        face,
    });
    if let Some(file) = settings {
        plan = plan.finally(DropOldSettings {
            host: host.clone(),
            path: file.path,
        });
    }
    if let Some(former) = former {
        plan = plan.finally(former);
    }
    Ok(plan)
}

/// What of a site is not as its profile and the spoke's book have it.
pub(super) struct Examined {
    mends: Vec<Mend>,
    lacks: Option<Lacks>,
    vhost: SwapVhost,
    /// What can be mended.
    pub(super) changes: Vec<Change>,
    /// What is left to a person.
    pub(super) problems: Vec<String>,
}

/// Looks at all that a site is made of.
pub(super) async fn examine(
    site: &Arc<Site>,
    entry: &SiteEntry,
    cx: &Cx,
) -> anyhow::Result<Examined> {
    let Survey {
        mends,
        mut problems,
    } = look(site, entry, cx).await?;
    let mut changes: Vec<Change> = mends.iter().map(told).collect();
    let lacks = match &site.database {
        Some(name) => database::look(site, name, cx, &mut problems).await?,
        None => None,
    };
    changes.extend(lacks.iter().flat_map(database::told));
    let new_folders = mends
        .iter()
        .any(|mend| matches!(mend, Mend::MakeFolder { .. }));
    if let Some(file) = &site.profile.manifest.settings {
        // Where their folder is missing too, so are they.
        let found = match swap_settings::compare(site, file, cx) {
            Err(_) if new_folders => Found::Missing,
            other => other?,
        };
        let from = match found {
            Found::Same => None,
            Found::Different => Some(Some("other settings".to_owned())),
            Found::Missing => Some(None),
        };
        changes.extend(from.map(|from| Change {
            what: format!("settings {}", file.path),
            from,
            to: Some("as the profile has them".to_owned()),
        }));
    }
    let face = Face::when(entry.enabled);
    let vhost = SwapVhost {
        site: Arc::clone(site),
        face,
    };
    let (text, same) = vhost.compare(cx)?;
    if !same {
        changes.push(Change {
            what: "vhost".to_owned(),
            from: text.map(|_| "another text".to_owned()),
            to: Some(face.name().to_owned()),
        });
    }
    if site.https != Https::Off {
        let tls = cx.spoke.need_tls()?;
        let warn_days = tls.config().warn_days;
        let certificate = tls.look(cx, &site.host).await?;
        let names = site.names.all(&site.host);
        problems.extend(certificate.problems(&names, UnixMillis::now(), warn_days));
    }
    Ok(Examined {
        mends,
        lacks,
        vhost,
        changes,
        problems,
    })
}

async fn look(site: &Arc<Site>, entry: &SiteEntry, cx: &Cx) -> anyhow::Result<Survey> {
    let config = &cx.spoke.config;
    let (sites, host) = (layout::sites(config)?, site.host.as_str());
    anyhow::ensure!(
        sites.kind(host)?.is_some(),
        "{} is gone: restore the site from a backup, or delete it",
        site.folder.display()
    );
    anyhow::ensure!(
        sites.owner_of(host)?.as_ref() == Some(&entry.owner),
        "{} is not the folder that was made for this site: move it away",
        site.folder.display()
    );
    let (top, web) = (sites.dir(host)?, site.web(&cx.spoke)?);
    let (site, platforms) = (Arc::clone(site), config.sites.platforms.clone());
    blocking(move || survey(&site, &top, web, &platforms)).await
}

fn told(mend: &Mend) -> Change {
    let change = |what: &str, path: &str, from: Option<String>, to: Option<String>| Change {
        what: match path {
            TOP => "the site's folder".to_owned(),
            path => format!("{what} {path}"),
        },
        from,
        to,
    };
    match mend {
        Mend::MakeFolder { path, rights } => {
            change("folder", path, None, Some(format!("{:04o}", rights.mode)))
        }
        Mend::SetRights { path, from, to } => {
            let other = if from.mode == to.mode {
                ", another access list"
            } else {
                ""
            };
            let (from, to) = (from.mode, to.mode);
            let from = Some(format!("{from:04o}{other}"));
            change("folder", path, from, Some(format!("{to:04o}")))
        }
        Mend::DropLink { path, target } => {
            change("link", path, Some(target.display().to_string()), None)
        }
        Mend::MakeLink { path, target } => {
            change("link", path, None, Some(target.display().to_string()))
        }
        Mend::MakeFile { path, .. } => {
            change("file", path, None, Some("as the profile has it".to_owned()))
        }
    }
}

fn tell(cx: &Cx, changes: &[Change], problems: &[String]) {
    for change in changes {
        cx.log.info(sentence(change));
    }
    for problem in problems {
        cx.log.warn(problem);
    }
    if changes.is_empty() && problems.is_empty() {
        cx.log.info("all is as it should be");
    }
}

/// A change in a few words.
pub(super) fn sentence(change: &Change) -> String {
    let Change { what, from, to } = change;
    let (from, to) = (from.as_deref(), to.as_deref());
    let (from, to) = (from.unwrap_or("missing"), to.unwrap_or("gone"));
    format!("{what}: {from} → {to}")
}

fn entry_of(entry: SiteEntry) -> Entry {
    let names = entry.names();
    Entry {
        profile: entry.profile,
        platform: entry.platform,
        database: entry.database,
        names,
        https: entry.https,
        enabled: entry.enabled,
    }
}
