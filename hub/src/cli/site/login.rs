//! `kolga site login`: a link that logs whoever follows it in once. The token in it comes sealed to a key that is made
//! here, for this once, and is nowhere else in the clear.

use anyhow::Context as _;
use clap::Args;
use kolga_protocol::names::HostName;
use kolga_protocol::seal::Opener;
use kolga_protocol::task::{Kind, site_login};
use serde_json::json;

use super::super::client::Client;
use super::super::follow::outcome;
use super::super::screen::Screen;
use super::super::time::instant;
use super::super::trouble::Trouble;
use crate::wire::{NewSiteTask, TaskAnswer};

/// `kolga site login`
#[derive(Debug, Args)]
pub(in crate::cli) struct Login {
    /// The site's name
    host: HostName,
}

impl Login {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let opener = Opener::generate();
        let mut params = serde_json::Map::new();
        params.insert("seal".to_owned(), String::from(opener.key()).into());
        let wish = NewSiteTask {
            kind: Kind::SiteLogin.as_str().to_owned(),
            params,
        };
        let path = format!("/v1/sites/{}/tasks", self.host);
        let answer: TaskAnswer = client.post(&path, &wish).await?;
        let ended = outcome(client, screen, answer.task.id).await?;
        let told = ended.output.unwrap_or_default();
        let told: site_login::Output =
            serde_json::from_value(told).context("the hub's answer is not that of a login")?;
        let token = opener
            .open(&told.sealed)
            .context("the token in the answer")?;
        let link = format!("{}#{token}", told.page);
        if screen.is_json() {
            let link = json!({"link": link, "user": told.user, "until": told.until});
            return Ok(screen.json(&link)?);
        }
        screen.line(&link)?;
        screen.note(&format!(
            "Good once, until {}, for whoever has it: it logs in {}.",
            instant(told.until),
            told.user
        ));
        Ok(())
    }
}
