//! Which repository it is: by the identity that restic has given it, which stays whatever way leads there.

use anyhow::Context as _;
use serde::Deserialize;

use super::{RESTIC, Restic};
use crate::cx::Cx;

#[derive(Deserialize)]
struct Config {
    id: String,
}

impl Restic {
    /// The repository's identity. Two spokes for whom it is the same can each restore what the other has backed up.
    ///
    /// # Errors
    /// When there is no repository yet, or it cannot be opened with this password.
    pub async fn identity(&self, cx: &Cx) -> anyhow::Result<String> {
        let _turn = self.turn.read().await;
        self.need_repository()?;
        let told = self
            .command(cx)?
            .args(["cat", "config", "--no-lock"])
            .capture(cx)
            .await?
            .success(RESTIC);
        let told = told
            .with_context(|| format!("the repository {} cannot be opened", self.config.shown()))?;
        let config: Config = serde_json::from_slice(&told).context("restic says something else")?;
        Ok(config.id)
    }
}
