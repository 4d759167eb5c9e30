//! Step `check_platform`: whether what was unpacked is what its profile says, and which version it is.
//!
//! It only looks, so undo has nothing to do.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use kolga_protocol::names::PlatformName;

use crate::cx::Cx;
use crate::layout;
use crate::profile::Profile;
use crate::step::{Step, UndoError};

/// The longest file that a version is looked for in.
const LONGEST: u64 = 1024 * 1024;

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
        let code = layout::platforms(&cx.spoke.config)?.dir(Path::new(&name).join(layout::CODE))?;
        let Some(rules) = &self.profile.manifest.platform else {
            return Ok(());
        };
        // Links in it were checked to stay inside when it was unpacked.
        let missing: Vec<&str> = rules
            .index
            .iter()
            .filter(|place| !code.path().join(place).is_file())
            .map(crate::profile::Place::as_str)
            .collect();
        anyhow::ensure!(
            missing.is_empty(),
            "the source is no {}: it lacks {}",
            self.profile.manifest.name,
            missing.join(", ")
        );
        if let Some(rule) = &rules.version {
            let path: &Path = rule.file.as_ref();
            let parent = path.parent().unwrap_or(Path::new(""));
            let folder = match parent.as_os_str().is_empty() {
                true => code,
                false => code.dir(parent)?,
            };
            let file = path.file_name().context("a place has a last part")?;
            let text = folder.read(file, LONGEST)?.unwrap_or_default();
            match rule.read(&String::from_utf8_lossy(&text)) {
                Some(version) => {
                    cx.log
                        .info(format!("{} {version}", self.profile.manifest.name));
                    self.version.get_or_init(|| version);
                }
                None => cx
                    .log
                    .warn(format!("{} does not tell a version", rule.file)),
            }
        }
        Ok(())
    }

    async fn undo(_cx: &Cx, (): &()) -> Result<(), UndoError> {
        Ok(())
    }
}
