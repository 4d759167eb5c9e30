//! `platform.build`: unpack or fetch aside, install what composer is asked for, put the profile's files over it, look whether it is what it should be,
//! and only then give it its name.

use std::sync::{Arc, OnceLock};

use kolga_protocol::names::Origin;
use kolga_protocol::task::{Output, platform_build};

use crate::cx::Cx;
use crate::layout;
use crate::plan::Plan;
use crate::steps::check_platform::CheckPlatform;
use crate::steps::fetch_platform::FetchPlatform;
use crate::steps::install_packages::InstallPackages;
use crate::steps::list_files::ListFiles;
use crate::steps::overlay_platform::OverlayPlatform;
use crate::steps::publish_platform::PublishPlatform;
use crate::steps::register_platform::RegisterPlatform;
use crate::steps::unpack_platform::UnpackPlatform;
use crate::unpack::{Rules, Unpacked};

pub(super) fn plan(params: &platform_build::Params, cx: &Cx) -> anyhow::Result<Plan> {
    let profile = cx.spoke.profiles.get(&params.profile)?.clone();
    let Some(rules) = &profile.manifest.platform else {
        anyhow::bail!(
            "sites of profile {} need no platform: install them without one",
            params.profile
        );
    };
    anyhow::ensure!(
        cx.spoke
            .registry
            .platforms
            .load(&params.platform)?
            .is_none(),
        "there is a platform {} already: choose another name",
        params.platform
    );
    if params.composer {
        cx.spoke.need_composer()?;
    }
    let rules = Rules {
        leave_out: rules.leave_out.clone(),
        follow: rules.follow.clone(),
        index: rules.index.first().cloned(),
    };
    let platform = params.platform.clone();
    let unpacked: Arc<OnceLock<Unpacked>> = Arc::default();
    let installed: Arc<OnceLock<(u64, Unpacked)>> = Arc::default();
    let version: Arc<OnceLock<String>> = Arc::default();

    let path = layout::platform(&cx.spoke.config, &platform);
    let told = (
        Arc::clone(&unpacked),
        Arc::clone(&version),
        Arc::clone(&installed),
    );
    let plan = Plan::new(move || {
        let unpacked = told.0.get().copied().unwrap_or_default();
        let installed = told.2.get().copied();
        let unpacked = installed.map_or(unpacked, |(_, all)| all);
        Ok(Output::PlatformBuild(platform_build::Output {
            path: path.display().to_string(),
            version: told.1.get().cloned(),
            files: unpacked.files,
            bytes: unpacked.bytes,
            packages: installed.map(|(packages, _)| packages),
        }))
    });
    let mut plan = match params.source.origin() {
        Origin::Path(source) => plan.step(UnpackPlatform {
            platform: platform.clone(),
            source,
            rules,
            unpacked,
        }),
        Origin::Git(url, commit) => plan.step(FetchPlatform {
            platform: platform.clone(),
            url,
            commit,
            rules,
            unpacked,
        }),
    };
    if params.composer {
        plan = plan.step(InstallPackages {
            platform: platform.clone(),
            installed,
        });
    }
    Ok(plan
        .step(OverlayPlatform {
            platform: platform.clone(),
            profile: profile.clone(),
        })
        .step(CheckPlatform {
            platform: platform.clone(),
            profile: profile.clone(),
            version: Arc::clone(&version),
        })
        .step(ListFiles(platform.clone()))
        .step(PublishPlatform {
            platform: platform.clone(),
        })
        .step(RegisterPlatform {
            platform,
            profile: profile.manifest.name.clone(),
            source: params.source.clone(),
            version,
        }))
}
