//! What tasks have in common that change under which address a site that is there answers: the settings that know
//! it, and nginx, follow, and the site has to answer before the spoke's book says so.

use std::sync::Arc;

use crate::face::Face;
use crate::plan::Plan;
use crate::registry::SiteEntry;
use crate::site::Site;
use crate::steps::check_face::CheckFace;
use crate::steps::drop_old_settings::DropOldSettings;
use crate::steps::swap_entry::SwapEntry;
use crate::steps::swap_settings::SwapSettings;
use crate::steps::swap_vhost::SwapVhost;

/// Adds the steps; `site` is what `after` tells of.
pub(super) fn reshape(plan: Plan, site: Site, before: SiteEntry, after: SiteEntry) -> Plan {
    let (mut plan, site) = (plan, Arc::new(site));
    let face = Face::when(after.enabled);
    // First the settings: what an application then calls itself is most often a name that it answers to already,
    // and the other way round it would for a moment send visitors back to where nginx sends them from.
    let settings = site.profile.manifest.settings.clone();
    if let Some(file) = &settings {
        plan = plan.step(SwapSettings {
            site: Arc::clone(&site),
            file: file.clone(),
        });
    }
    let host = site.host.clone();
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
    match settings {
        Some(file) => plan.finally(DropOldSettings {
            host,
            path: file.path,
        }),
        None => plan,
    }
}
