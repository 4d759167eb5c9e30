//! `site.import`: a site that this spoke holds and the hub does not know. One that Kolga has made is looked at and told
//! ([`adopt`]); of a folder that Kolga has not made a site of our own is made beside it ([`copy`]).

mod adopt;
mod copy;
mod look;

use kolga_protocol::task::site_import::{Params, Platform};

use crate::cx::Cx;
use crate::layout;
use crate::plan::Plan;
use crate::registry::PlatformEntry;

pub(super) async fn plan(params: &Params, cx: &Cx) -> anyhow::Result<Plan> {
    match &params.from {
        Some(from) => copy::plan(params, from, cx).await,
        None => adopt::plan(params, cx).await,
    }
}

/// What the book says of a platform.
fn platform_of(found: PlatformEntry, cx: &Cx) -> Platform {
    Platform {
        path: layout::platform(&cx.spoke.config, &found.name)
            .display()
            .to_string(),
        name: found.name,
        profile: found.profile,
        source: found.source,
        version: found.version,
    }
}
