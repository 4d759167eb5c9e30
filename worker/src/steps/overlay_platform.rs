//! Step `overlay_platform`: the profile's own files over the source's, before anybody uses the platform.
//!
//! Undo needs nothing: the files lie in the folder that [`super::unpack_platform`] made and removes.

use std::path::Path;

use anyhow::Context as _;
use kolga_protocol::names::PlatformName;

use crate::cx::Cx;
use crate::layout;
use crate::profile::Profile;
use crate::step::{Step, UndoError};

/// Puts a profile's files into a platform.
pub struct OverlayPlatform {
    /// Which platform.
    pub platform: PlatformName,
    /// Whose files.
    pub profile: Profile,
}

impl Step for OverlayPlatform {
    const NAME: &'static str = "overlay_platform";
    type Record = ();

    async fn inspect(&self, _cx: &Cx) -> anyhow::Result<()> {
        Ok(())
    }

    async fn apply(&self, cx: &Cx, (): &()) -> anyhow::Result<()> {
        let name = layout::new_platform(&self.platform, cx.run);
        let code = layout::platforms(&cx.spoke.config)?.dir(Path::new(&name).join(layout::CODE))?;
        let rules = self.profile.manifest.platform.as_ref();
        for overlay in rules.iter().flat_map(|rules| &rules.overlay) {
            let path: &Path = overlay.path.as_ref();
            let folder = match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => {
                    code.dir(parent).with_context(|| {
                        let name = &self.profile.manifest.name;
                        format!(
                            "the source is no {name}: it has no folder {}",
                            parent.display()
                        )
                    })?
                }
                _ => code.clone(),
            };
            let file = path.file_name().context("a place has a last part")?;
            folder.write_atomically(file, self.profile.file(&overlay.file)?, 0o644)?;
            cx.log.info(format!("{} from the profile", overlay.path));
        }
        Ok(())
    }

    async fn undo(_cx: &Cx, (): &()) -> Result<(), UndoError> {
        Ok(())
    }
}
