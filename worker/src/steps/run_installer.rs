//! Step `run_installer`: the application's own installer, a PHP script of the profile. It gets the site's
//! particulars, secrets among them, over stdin; what it says goes to the task's log.
//!
//! Undo needs nothing: an installer writes into the site's folder and database, which the steps that made
//! them remove. That none of its processes is left is [`crate::process`]'s promise, also after a crash.

use std::sync::Arc;

use anyhow::Context as _;

use crate::cx::Cx;
use crate::profile::manifest::Script;
use crate::script;
use crate::site::Site;
use crate::step::{Step, UndoError};

/// The script's name in the site's folder while it runs.
const NAME: &str = ".install.php";

/// Runs an installer.
pub struct RunInstaller {
    /// For which site.
    pub site: Arc<Site>,
    /// How.
    pub installer: Script,
}

impl Step for RunInstaller {
    const NAME: &'static str = "run_installer";
    type Record = ();

    async fn ready(&self, cx: &Cx) -> anyhow::Result<()> {
        script::ready(cx, &self.site)
    }

    async fn inspect(&self, _cx: &Cx) -> anyhow::Result<()> {
        Ok(())
    }

    async fn apply(&self, cx: &Cx, (): &()) -> anyhow::Result<()> {
        script::run(cx, &self.site, &self.installer, NAME)
            .await
            .context("the application's installer failed; its own words are in the log")
    }

    async fn undo(_cx: &Cx, (): &()) -> Result<(), UndoError> {
        Ok(())
    }
}
