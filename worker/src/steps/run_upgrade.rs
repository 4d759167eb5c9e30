//! Step `run_upgrade`: a script of the profile's that brings a site's data to what it has become: what another platform's
//! code wants of the tables, or another name.
//!
//! It works on a database that the task has made and that an undo of other steps drops, so undo, which needs the host,
//! only takes away the script where a run broke off.

use std::sync::Arc;

use anyhow::Context as _;
use kolga_protocol::names::HostName;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::profile::manifest::Script;
use crate::script::{self, Former};
use crate::site::Site;
use crate::step::{Step, UndoError};

/// The script's name in the site's folder while it runs.
const NAME: &str = ".upgrade.php";

/// Runs such a script.
pub struct RunUpgrade {
    /// For which site, as it is to be.
    pub site: Arc<Site>,
    /// How.
    pub script: Script,
    /// How it was called before, where that is another name.
    pub from: Option<Former>,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    host: HostName,
}

impl Step for RunUpgrade {
    const NAME: &'static str = "run_upgrade";
    type Record = Record;

    async fn ready(&self, cx: &Cx) -> anyhow::Result<()> {
        script::ready(cx, &self.site)
    }

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        script::free(cx, &self.site, NAME)?;
        Ok(Record {
            host: self.site.host.clone(),
        })
    }

    async fn apply(&self, cx: &Cx, _record: &Record) -> anyhow::Result<()> {
        script::run_from(cx, &self.site, &self.script, NAME, self.from.as_ref())
            .await
            .with_context(|| {
                format!(
                    "{} failed, so the site stays what it was; its own words are in the log",
                    self.script.script
                )
            })
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        script::undo(cx, &record.host, NAME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::testing::{site, site_context};
    use crate::testing::Scratch;

    #[tokio::test]
    async fn undo_takes_the_script_away_and_is_right_without_one() {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let site = site(&cx);
        let step = RunUpgrade {
            site: Arc::clone(&site),
            script: Script {
                script: "x.php".parse().expect("a place"),
                secrets: Vec::new(),
                timeout_seconds: 1,
                php_settings: std::collections::BTreeMap::new(),
            },
            from: None,
        };
        std::fs::create_dir(&site.folder).expect("a site");
        let record = Step::inspect(&step, &cx).await.expect("free");
        RunUpgrade::undo(&cx, &record).await.expect("never ran");
        std::fs::write(site.folder.join(NAME), "<?php").expect("by half");
        assert!(Step::inspect(&step, &cx).await.is_err(), "it is there");
        RunUpgrade::undo(&cx, &record).await.expect("by half");
        RunUpgrade::undo(&cx, &record).await.expect("twice");
        assert!(!site.folder.join(NAME).exists());
    }
}
