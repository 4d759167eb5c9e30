//! `site.names`: a site gets names, loses some, or has them do something else. What the spoke's book says is
//! changed; settings that know the site's address, and nginx, follow, and the site has to answer before the book does.

use std::sync::Arc;

use anyhow::Context as _;
use kolga_protocol::task::{Output, site_names};

use crate::cx::Cx;
use crate::face::Face;
use crate::plan::Plan;
use crate::site::{Site, refuse_taken_names_but};
use crate::steps::check_face::CheckFace;
use crate::steps::drop_old_settings::DropOldSettings;
use crate::steps::swap_entry::SwapEntry;
use crate::steps::swap_settings::SwapSettings;
use crate::steps::swap_vhost::SwapVhost;

pub(super) fn plan(params: &site_names::Params, cx: &Cx) -> anyhow::Result<Plan> {
    let host = &params.site;
    let before = cx.spoke.registry.sites.load(host)?;
    let before = before.with_context(|| format!("there is no site {host} on this spoke"))?;
    let names = before.names();
    let next = names.after(params).map_err(anyhow::Error::msg)?;
    let mut after = before.clone();
    after.set_names(next.clone());
    refuse_taken_names_but(&cx.spoke.registry, host, &next.others(), Some(host))?;
    let site = Arc::new(Site::installed(&after, &cx.spoke)?);
    let face = Face::when(after.enabled);
    let output = site_names::Output {
        url: format!("{}/", site.url),
        changed: names != next,
        names: next,
    };

    let mut plan = Plan::new(move || Ok(Output::SiteNames(output)));
    // First the settings: what an application then calls itself is most often a name that it answers to already,
    // and the other way round it would for a moment send visitors back to where nginx sends them from.
    let settings = site.profile.manifest.settings.clone();
    if let Some(file) = &settings {
        plan = plan.step(SwapSettings {
            site: Arc::clone(&site),
            file: file.clone(),
        });
    }
    plan = plan
        .step(SwapVhost {
            site: Arc::clone(&site),
            face,
        })
        .step(CheckFace { site, face })
        .step(SwapEntry {
            before: Some(before),
            after,
        });
    if let Some(file) = settings {
        plan = plan.finally(DropOldSettings {
            host: host.clone(),
            path: file.path,
        });
    }
    Ok(plan)
}
