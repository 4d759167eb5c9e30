//! Step `run_installer`: the application's own installer, a PHP script of the profile. It gets the site's
//! particulars, secrets among them, over stdin; what it says goes to the task's log.
//!
//! Undo needs nothing: an installer writes into the site's folder and database, which the steps that made
//! them remove. That none of its processes is left is [`crate::process`]'s promise, also after a crash.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kolga_protocol::names::{OptionName, OptionValue};
use serde::Serialize;

use crate::cx::Cx;
use crate::layout;
use crate::profile::manifest::Installer;
use crate::site::Site;
use crate::step::{Step, UndoError};
use kolga_protocol::fault;

/// The script's name in the site's folder while it runs; nothing serves that folder itself.
const SCRIPT: &str = ".install.php";

/// Runs an installer.
pub struct RunInstaller {
    /// For which site.
    pub site: Arc<Site>,
    /// How.
    pub installer: Installer,
}

/// What the script reads from its stdin, as JSON.
#[derive(Serialize)]
struct Input<'a> {
    host: &'a str,
    url: &'a str,
    site: String,
    platform: Option<String>,
    settings: Option<String>,
    options: &'a BTreeMap<OptionName, OptionValue>,
    secrets: BTreeMap<&'a OptionName, &'a str>,
}

impl Step for RunInstaller {
    const NAME: &'static str = "run_installer";
    type Record = ();

    async fn inspect(&self, _cx: &Cx) -> anyhow::Result<()> {
        Ok(())
    }

    async fn apply(&self, cx: &Cx, (): &()) -> anyhow::Result<()> {
        let site = &self.site;
        let folder = layout::sites(&cx.spoke.config)?.dir(site.host.as_str())?;
        let script = site.profile.file(&self.installer.script)?;
        folder.write_new(SCRIPT, script, 0o400)?;
        let mut command = cx.spoke.need_php()?.command();
        for (name, value) in &self.installer.php_settings {
            command = command.arg("-d").arg(format!("{name}={value}"));
        }
        fault::point("run_installer:start");
        command
            // Without -f, PHP could take its stdin for the script, and print it.
            .arg("-f")
            .arg(folder.path().join(SCRIPT))
            .stdin(self.input(cx)?)
            .time_limit(Duration::from_secs(self.installer.timeout_seconds))
            .run(cx)
            .await
            .context("the application's installer failed; its own words are in the log")?;
        fault::point("run_installer:ran");
        folder.remove_file(SCRIPT)
    }

    async fn undo(_cx: &Cx, (): &()) -> Result<(), UndoError> {
        Ok(())
    }
}

impl RunInstaller {
    fn input(&self, cx: &Cx) -> anyhow::Result<Vec<u8>> {
        let site = &self.site;
        let kept = cx
            .spoke
            .secrets
            .load(&site.host)?
            .context("the site's secrets are gone")?;
        let wanted = self.installer.secrets.iter();
        let secrets = wanted
            .map(|name| {
                let secret = kept.values.get(name);
                let secret = secret.with_context(|| format!("the site has no secret {name}"))?;
                Ok((name, secret.expose()))
            })
            .collect::<anyhow::Result<_>>()?;
        let shown = |path: &std::path::Path| path.display().to_string();
        Ok(serde_json::to_vec(&Input {
            host: site.host.as_str(),
            url: &site.url,
            site: shown(&site.folder),
            platform: site.code().map(shown),
            settings: site.settings_path().as_deref().map(shown),
            options: &site.options,
            secrets,
        })?)
    }
}
