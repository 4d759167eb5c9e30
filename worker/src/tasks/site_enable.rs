//! `site.enable` and `site.disable`: which face of a site visitors get. A site that is enabled has to answer
//! before the book says so.

use std::sync::Arc;

use anyhow::Context as _;
use kolga_protocol::names::HostName;
use kolga_protocol::task::{Output, site_disable, site_enable};

use crate::cx::Cx;
use crate::face::Face;
use crate::plan::Plan;
use crate::registry::SiteEntry;
use crate::site::Site;
use crate::steps::check_site::CheckSite;
use crate::steps::swap_entry::SwapEntry;
use crate::steps::swap_vhost::SwapVhost;

pub(super) fn plan(params: &site_enable::Params, cx: &Cx) -> anyhow::Result<Plan> {
    switch(&params.site, true, cx, |url, changed| {
        Output::SiteEnable(site_enable::Output { url, changed })
    })
}

pub(super) fn plan_disable(params: &site_disable::Params, cx: &Cx) -> anyhow::Result<Plan> {
    switch(&params.site, false, cx, |url, changed| {
        Output::SiteDisable(site_disable::Output { url, changed })
    })
}

fn switch(
    host: &HostName,
    enabled: bool,
    cx: &Cx,
    output: fn(String, bool) -> Output,
) -> anyhow::Result<Plan> {
    let entry = cx.spoke.registry.sites.load(host)?;
    let before = entry.with_context(|| format!("there is no site {host} on this spoke"))?;
    let site = Arc::new(Site::installed(&before, &cx.spoke)?);
    let (url, changed) = (format!("{}/", site.url), before.enabled != enabled);
    let after = SiteEntry {
        enabled,
        ..before.clone()
    };
    let mut plan = Plan::new(move || Ok(output(url, changed))).step(SwapVhost {
        site: Arc::clone(&site),
        face: Face::when(enabled),
    });
    if enabled {
        plan = plan.step(CheckSite(site));
    }
    Ok(plan.step(SwapEntry {
        before: Some(before),
        after,
    }))
}
