//! Step `check_platform`: whether what was unpacked is what its profile says, and which version it is.
//!
//! It only looks, so undo has nothing to do.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use kolga_protocol::names::PlatformName;

use crate::code;
use crate::cx::Cx;
use crate::layout;
use crate::profile::Profile;
use crate::step::{Step, UndoError};

/// Looks at a platform that is being built.
pub struct CheckPlatform {
    /// Which.
    pub platform: PlatformName,
    /// What it should be.
    pub profile: Profile,
    /// Where the recipe learns the version.
    pub version: Arc<OnceLock<String>>,
}

impl Step for CheckPlatform {
    const NAME: &'static str = "check_platform";
    type Record = ();

    async fn inspect(&self, _cx: &Cx) -> anyhow::Result<()> {
        Ok(())
    }

    async fn apply(&self, cx: &Cx, (): &()) -> anyhow::Result<()> {
        let name = layout::new_platform(&self.platform, cx.run);
        let platforms = layout::platforms(&cx.spoke.config)?;
        let folder = platforms.dir(Path::new(&name).join(layout::CODE))?;
        let Some(rules) = &self.profile.manifest.platform else {
            return Ok(());
        };
        let missing = code::missing(&folder, rules);
        anyhow::ensure!(
            missing.is_empty(),
            "the source is no {}: it lacks {}",
            self.profile.manifest.name,
            missing.join(", ")
        );
        match code::version(&folder, rules)? {
            Some(version) => {
                cx.log
                    .info(format!("{} {version}", self.profile.manifest.name));
                self.version.get_or_init(|| version);
            }
            None if rules.version.is_some() => cx.log.warn("its code does not tell a version"),
            None => {}
        }
        Ok(())
    }

    async fn undo(_cx: &Cx, (): &()) -> Result<(), UndoError> {
        Ok(())
    }
}
