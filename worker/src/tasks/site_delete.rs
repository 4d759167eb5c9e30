//! `site.delete`: off the web, into the trash. Where the operator keeps no trash, after the point of no return
//! off the disk and out of the database server. Until then everything comes back.

use anyhow::Context as _;
use kolga_protocol::task::{Kind, Output, site_delete};

use crate::cx::Cx;
use crate::layout;
use crate::plan::Plan;
use crate::steps::forget_site::ForgetSite;
use crate::steps::trash_site::TrashSite;
use crate::steps::unpublish_vhost::UnpublishVhost;
use crate::trash::{Discarded, discard};

pub(super) fn plan(params: &site_delete::Params, cx: &Cx) -> anyhow::Result<Plan> {
    let host = &params.site;
    let site = cx.spoke.registry.sites.load(host)?;
    let entry = site.with_context(|| format!("there is no site {host} on this spoke"))?;
    let path = layout::site(&cx.spoke.config, host).display().to_string();
    let database = entry.database.as_ref().map(ToString::to_string);
    let owner = entry.owner.clone();
    let plan = Plan::new(move || Ok(Output::SiteDelete(site_delete::Output { path, database })))
        .step(UnpublishVhost(host.clone()))
        .step(TrashSite {
            host: host.clone(),
            owner: owner.clone(),
        });
    let discarded = Discarded {
        entry,
        folder: true,
        secrets: true,
        why: Kind::SiteDelete.as_str(),
    };
    Ok(discard(plan, cx, discarded).finally(ForgetSite {
        host: host.clone(),
        owner,
    }))
}
