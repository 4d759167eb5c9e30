//! `site.delete`: off the web, into the trash; and after the point of no return off the disk and out of
//! the database server. Until then everything comes back.

use anyhow::Context as _;
use kolga_protocol::task::{Output, site_delete};

use crate::cx::Cx;
use crate::layout;
use crate::plan::Plan;
use crate::steps::drop_database::DropDatabase;
use crate::steps::drop_database_user::DropDatabaseUser;
use crate::steps::empty_trash::EmptyTrash;
use crate::steps::forget_site::ForgetSite;
use crate::steps::trash_site::TrashSite;
use crate::steps::unpublish_vhost::UnpublishVhost;

pub(super) fn plan(params: &site_delete::Params, cx: &Cx) -> anyhow::Result<Plan> {
    let host = &params.site;
    let site = cx.spoke.registry.sites.load(host)?;
    let site = site.with_context(|| format!("there is no site {host} on this spoke"))?;
    let path = layout::site(&cx.spoke.config, host).display().to_string();
    let database = site.database.as_ref().map(ToString::to_string);
    let owner = site.owner;

    let mut plan =
        Plan::new(move || Ok(Output::SiteDelete(site_delete::Output { path, database })))
            .step(UnpublishVhost(host.clone()))
            .step(TrashSite {
                host: host.clone(),
                owner: owner.clone(),
            });
    if let Some(name) = site.database {
        plan = plan
            .finally(DropDatabase {
                name: name.clone(),
                owner: owner.clone(),
            })
            .finally(DropDatabaseUser(name));
    }
    Ok(plan.finally(EmptyTrash).finally(ForgetSite {
        host: host.clone(),
        owner,
    }))
}
