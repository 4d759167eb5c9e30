//! `site.install`: from a name to a page that answers. The web comes last, so that no half-made site is
//! ever served; the registry comes after that, so that what it holds has answered.

use std::sync::Arc;

use kolga_protocol::task::{Output, site_install};

use crate::cx::Cx;
use crate::plan::Plan;
use crate::site::Site;
use crate::steps::check_site::CheckSite;
use crate::steps::create_database::CreateDatabase;
use crate::steps::create_database_user::CreateDatabaseUser;
use crate::steps::make_site_folders::MakeSiteFolders;
use crate::steps::open_pool::OpenPool;
use crate::steps::publish_vhost::PublishVhost;
use crate::steps::register_site::RegisterSite;
use crate::steps::reserve_site::ReserveSite;
use crate::steps::run_installer::RunInstaller;
use crate::steps::write_settings::WriteSettings;
use crate::steps::write_site_files::WriteSiteFiles;

pub(super) fn plan(params: &site_install::Params, cx: &Cx) -> anyhow::Result<Plan> {
    let site = Arc::new(Site::new(params, &cx.spoke, cx.run)?);
    let output = output(&site, cx);
    let manifest = site.profile.manifest.clone();

    let mut plan =
        Plan::new(move || Ok(Output::SiteInstall(output))).step(ReserveSite(Arc::clone(&site)));
    if site.own_pool.is_some() {
        plan = plan.step(OpenPool(Arc::clone(&site)));
    }
    plan = plan.step(MakeSiteFolders(Arc::clone(&site)));
    if let Some(name) = &site.database {
        plan = plan
            .step(CreateDatabaseUser {
                site: Arc::clone(&site),
                name: name.clone(),
            })
            .step(CreateDatabase {
                name: name.clone(),
                engine: site.engine,
            });
    }
    if !manifest.files.is_empty() {
        plan = plan.step(WriteSiteFiles(Arc::clone(&site)));
    }
    if let Some(file) = manifest.settings {
        plan = plan.step(WriteSettings {
            site: Arc::clone(&site),
            file,
        });
    }
    if let Some(installer) = manifest.installer {
        plan = plan.step(RunInstaller {
            site: Arc::clone(&site),
            installer,
        });
    }
    Ok(plan
        .step(PublishVhost(Arc::clone(&site)))
        .step(CheckSite(Arc::clone(&site)))
        .step(RegisterSite {
            site,
            enabled: true,
        }))
}

fn output(site: &Site, cx: &Cx) -> site_install::Output {
    let manifest = &site.profile.manifest;
    let has_secrets = site.database.is_some() || !manifest.secrets.is_empty();
    let admin = manifest.admin.as_ref();
    site_install::Output {
        url: format!("{}/", site.url),
        path: site.folder.display().to_string(),
        database: site.database.as_ref().map(ToString::to_string),
        admin_user: admin
            .and_then(|admin| site.options.get(&admin.user_option))
            .map(ToString::to_string),
        secret_file: has_secrets.then(|| cx.spoke.secrets.path(&site.host).display().to_string()),
    }
}
