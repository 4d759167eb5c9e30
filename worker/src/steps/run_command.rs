//! Step `run_command`: one of the profile's maintenance commands, a PHP script, on a site that is there.
//!
//! What it does to the site's data is done: undo, which needs the host, only takes away the script where a run
//! broke off. So it is the last step of its task, and the task is not tried again without a person.

use std::sync::Arc;

use anyhow::Context as _;
use kolga_protocol::names::{CommandName, HostName};
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::profile::manifest::Script;
use crate::script;
use crate::site::Site;
use crate::step::{Step, UndoError};

/// The script's name in the site's folder while it runs.
const NAME: &str = ".command.php";

/// Runs a command.
pub struct RunCommand {
    /// On which site.
    pub site: Arc<Site>,
    /// What it is called.
    pub name: CommandName,
    /// How.
    pub script: Script,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    host: HostName,
}

impl Step for RunCommand {
    const NAME: &'static str = "run_command";
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
        script::run(cx, &self.site, &self.script, NAME)
            .await
            .with_context(|| {
                format!(
                    "the command {} did not end well: what it has done to the site's data stays; its own \
                     words are in the log",
                    self.name
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
        let step = RunCommand {
            site: Arc::clone(&site),
            name: "cache_clear".parse().expect("a name"),
            script: Script {
                script: "x.php".parse().expect("a place"),
                secrets: Vec::new(),
                timeout_seconds: 1,
                php_settings: std::collections::BTreeMap::new(),
            },
        };
        std::fs::create_dir(&site.folder).expect("a site");
        let record = Step::inspect(&step, &cx).await.expect("free");
        RunCommand::undo(&cx, &record).await.expect("never ran");
        std::fs::write(site.folder.join(NAME), "<?php").expect("by half");
        assert!(Step::inspect(&step, &cx).await.is_err(), "it is there");
        RunCommand::undo(&cx, &record).await.expect("by half");
        RunCommand::undo(&cx, &record).await.expect("twice");
        assert!(!site.folder.join(NAME).exists());
        std::fs::remove_dir(&site.folder).expect("gone");
        RunCommand::undo(&cx, &record)
            .await
            .expect("no site any more");
    }
}
