//! `platform.delete`: aside, and after the point of no return off the disk. Refused while a site uses it, by
//! the spoke's book and by what lies on the disk.

use anyhow::Context as _;
use kolga_protocol::names::{HostName, PlatformName};
use kolga_protocol::task::{Output, platform_delete};

use crate::cx::Cx;
use crate::layout;
use crate::plan::Plan;
use crate::registry::Registry;
use crate::steps::forget_platform::ForgetPlatform;
use crate::steps::remove_platform::RemovePlatform;
use crate::steps::trash_platform::TrashPlatform;

pub(super) fn plan(params: &platform_delete::Params, cx: &Cx) -> anyhow::Result<Plan> {
    let platform = &params.platform;
    let registry = &cx.spoke.registry;
    let entry = registry.platforms.load(platform)?;
    let entry = entry.with_context(|| format!("there is no platform {platform} on this spoke"))?;
    refuse_used(registry, platform)?;
    let path = layout::platform(&cx.spoke.config, platform);
    let path = path.display().to_string();
    Ok(
        Plan::new(move || Ok(Output::PlatformDelete(platform_delete::Output { path })))
            .step(TrashPlatform {
                platform: platform.clone(),
                owner: entry.owner.clone(),
            })
            .finally(RemovePlatform(platform.clone()))
            .finally(ForgetPlatform {
                platform: platform.clone(),
                owner: entry.owner,
            }),
    )
}

/// Refuses what sites use that the spoke's book tells of.
fn refuse_used(registry: &Registry, platform: &PlatformName) -> anyhow::Result<()> {
    let sites = registry.sites.list()?;
    let users: Vec<&HostName> = sites
        .iter()
        .filter(|site| site.platform.as_ref() == Some(platform))
        .map(|site| &site.host)
        .collect();
    let some: Vec<&str> = users.iter().take(5).map(|host| host.as_str()).collect();
    anyhow::ensure!(
        users.is_empty(),
        "{} sites use platform {platform}, such as {}: delete them, or move them to another platform, first",
        users.len(),
        some.join(", ")
    );
    Ok(())
}
