//! `site.names`: a site gets names, loses some, or has them do something else. What the spoke's book says is changed,
//! since that is the truth about what is there.

use anyhow::Context as _;
use kolga_protocol::naming::Https;
use kolga_protocol::task::{Output, site_names};

use super::reshape::reshape;
use crate::cx::Cx;
use crate::plan::Plan;
use crate::site::{Site, refuse_taken_names_but};

pub(super) async fn plan(params: &site_names::Params, cx: &Cx) -> anyhow::Result<Plan> {
    let host = &params.site;
    let before = cx.spoke.registry.sites.load(host)?;
    let before = before.with_context(|| format!("there is no site {host} on this spoke"))?;
    let names = before.names();
    let next = names.after(params).map_err(anyhow::Error::msg)?;
    let mut after = before.clone();
    after.set_names(next.clone());
    refuse_taken_names_but(&cx.spoke.registry, host, &next.others(), Some(host))?;
    let site = Site::installed(&after, &cx.spoke)?;
    if site.https != Https::Off {
        let tls = cx.spoke.need_tls()?;
        tls.need(cx, host, &next.all(host)).await?;
    }
    let output = site_names::Output {
        url: format!("{}/", site.url),
        changed: names != next,
        names: next,
    };
    let plan = Plan::new(move || Ok(Output::SiteNames(output)));
    Ok(reshape(plan, site, before, after))
}
