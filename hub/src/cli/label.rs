//! `kolga site label`, `kolga server label`: what marks them, for `--label` to choose by.

use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::client::Client;
use super::screen::Screen;
use super::trouble::Trouble;
use crate::selector::{LabelChange, Labels};
use crate::wire::NewLabels;

/// What is set, and what is removed.
#[derive(Debug, Args)]
pub(super) struct Changes {
    /// NAME=VALUE sets a label, NAME- removes it
    #[arg(value_name = "LABEL", required = true)]
    changes: Vec<LabelChange>,
}

impl Changes {
    /// Makes the changes to what is at `path`.
    pub(super) async fn make<T: Serialize + DeserializeOwned>(
        self,
        path: &str,
        labels: impl Fn(&T) -> &Labels,
        client: &Client,
        screen: &Screen,
    ) -> Result<(), Trouble> {
        let changes = self.changes;
        let changed: T = client
            .post(&format!("{path}/labels"), &NewLabels { changes })
            .await?;
        if screen.is_json() {
            return Ok(screen.json(&changed)?);
        }
        let text = shown(labels(&changed));
        Ok(screen.line(text.as_deref().unwrap_or("It has no labels."))?)
    }
}

/// `env=test, owner=anna`; nothing where there are none.
pub(super) fn shown(labels: &Labels) -> Option<String> {
    let words: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    (!words.is_empty()).then(|| words.join(", "))
}
