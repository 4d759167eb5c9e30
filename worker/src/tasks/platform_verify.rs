//! `platform.verify`: modes set right, then a look at everything.

use std::sync::{Arc, Mutex, OnceLock};

use anyhow::Context as _;
use kolga_protocol::task::{Output, platform_verify};

use crate::cx::Cx;
use crate::plan::Plan;
use crate::steps::scan_platform::ScanPlatform;
use crate::steps::settle_modes::SettleModes;

pub(super) fn plan(params: &platform_verify::Params, cx: &Cx) -> anyhow::Result<Plan> {
    let platform = &params.platform;
    let entry = cx.spoke.registry.platforms.load(platform)?;
    let entry = entry.with_context(|| format!("there is no platform {platform} on this spoke"))?;
    let profile = cx.spoke.profiles.get(&entry.profile)?.clone();
    let counted: Arc<OnceLock<(u64, u64)>> = Arc::default();
    let found: Arc<Mutex<Option<platform_verify::Output>>> = Arc::default();

    let told = (Arc::clone(&counted), Arc::clone(&found));
    let plan = Plan::new(move || {
        let found = told
            .1
            .lock()
            .expect("nobody panics while holding it")
            .take();
        let mut output = found.context("the platform was not looked at")?;
        (output.modes_mended, output.foreign) = told.0.get().copied().unwrap_or_default();
        Ok(Output::PlatformVerify(output))
    });
    Ok(plan
        .step(SettleModes {
            platform: platform.clone(),
            counted,
        })
        .step(ScanPlatform {
            platform: platform.clone(),
            profile,
            found,
        }))
}
