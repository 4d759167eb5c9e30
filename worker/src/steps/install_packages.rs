//! Step `install_packages`: the packages that a new platform's `composer.lock` names, before anybody uses it.
//!
//! Undo needs nothing: all of it lies in the folder that the first step of the recipe made and removes.

use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use kolga_protocol::fault;
use kolga_protocol::names::PlatformName;

use crate::cx::Cx;
use crate::files::blocking;
use crate::layout;
use crate::services::composer::{self, Composer};
use crate::step::{Step, UndoError};
use crate::unpack::{self, Unpacked};

/// Installs packages in a platform that is being built.
pub struct InstallPackages {
    /// Which platform.
    pub platform: PlatformName,
    /// Where the recipe learns how many there are, and what the platform has come to.
    pub installed: Arc<OnceLock<(u64, Unpacked)>>,
}

impl Step for InstallPackages {
    const NAME: &'static str = "install_packages";
    type Record = ();

    async fn ready(&self, cx: &Cx) -> anyhow::Result<()> {
        let possible = cx.spoke.supervision.need_confinement();
        possible.context("composer is run confined or not at all")
    }

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<()> {
        cx.spoke.need_php()?;
        composer::installed(cx.spoke.need_composer()?)
    }

    async fn apply(&self, cx: &Cx, (): &()) -> anyhow::Result<()> {
        let new = layout::platforms(&cx.spoke.config)?;
        let new = new.dir(layout::new_platform(&self.platform, cx.run))?;
        let code = new.dir(layout::CODE)?;
        let composer = Composer::prepare(cx, &new, &code)?;
        fault::point("install_packages:prepared");
        composer.install(cx).await?;
        fault::point("install_packages:installed");
        let (packages, stop) = (composer.packages, cx.stop.clone());
        let found = blocking(move || {
            composer.remove()?;
            let found = unpack::settle(code.path(), &stop)?;
            new.sync_file_system()?;
            Ok(found)
        })
        .await?;
        cx.log.info(format!(
            "with them {} files, {} bytes",
            found.files, found.bytes
        ));
        self.installed.get_or_init(|| (packages, found));
        Ok(())
    }

    async fn undo(_cx: &Cx, (): &()) -> Result<(), UndoError> {
        Ok(())
    }
}
