//! `site.https`: a site answers over HTTPS, with the certificate that lies on this spoke for it, or does so no more.
//! A certificate that is not good for all of its names now is refused before anything is touched.

use anyhow::Context as _;
use kolga_protocol::naming::Https;
use kolga_protocol::task::{Output, site_https};

use super::reshape::reshape;
use crate::cx::Cx;
use crate::plan::Plan;
use crate::site::Site;

pub(super) async fn plan(params: &site_https::Params, cx: &Cx) -> anyhow::Result<Plan> {
    let (host, https) = (&params.site, params.https);
    let before = cx.spoke.registry.sites.load(host)?;
    let before = before.with_context(|| format!("there is no site {host} on this spoke"))?;
    let mut after = before.clone();
    after.https = https;
    let site = Site::installed(&after, &cx.spoke)?;
    let certificate = match https {
        Https::Off => None,
        Https::On | Https::Redirect => {
            let tls = cx.spoke.need_tls()?;
            Some(tls.need(cx, host, &after.names().all(host)).await?)
        }
    };
    let names = certificate.iter().flat_map(|it| &it.names);
    let output = site_https::Output {
        url: format!("{}/", site.url),
        https,
        changed: before.https != https,
        names: names.map(ToString::to_string).collect(),
        until: certificate.as_ref().map(|it| it.until),
    };
    let plan = Plan::new(move || Ok(Output::SiteHttps(output)));
    Ok(reshape(plan, site, before, after))
}
