//! Testing one site's file aside, in a configuration around it alone.

use std::path::Path;

use kolga_protocol::fault;
use kolga_protocol::names::HostName;

use super::{Nginx, parent};
use crate::cx::Cx;

impl Nginx {
    /// Tests a site's file aside, without touching what serves.
    ///
    /// # Errors
    /// When nginx does not accept it: names the site, the line and nginx's reason.
    pub async fn stage(&self, cx: &Cx, host: &HostName, text: &str) -> anyhow::Result<()> {
        let _turn = self.take_turn().await?;
        self.stage_in_turn(cx, host, text).await
    }

    /// Tests a minimal configuration aside: whether the worker could test a site's file at all.
    ///
    /// # Errors
    /// When the command does not work.
    pub async fn test_aside(&self, cx: &Cx) -> anyhow::Result<()> {
        let _turn = self.take_turn().await?;
        let host = "kolga-check.invalid".parse()?;
        self.stage_in_turn(cx, &host, "# Nothing: whether the test itself works.\n")
            .await
    }

    /// Removes what a test aside may have left when it was broken off.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub async fn unstage(&self) -> anyhow::Result<()> {
        let folder = self.config.staged.parent().unwrap_or(&self.config.staged);
        // On a spoke that is not set up yet no test can have begun.
        if !folder.try_exists()? || !self.config.sites_dir.try_exists()? {
            return Ok(());
        }
        let _turn = self.take_turn().await?;
        self.clear_stage()
    }

    pub(super) async fn stage_in_turn(
        &self,
        cx: &Cx,
        host: &HostName,
        text: &str,
    ) -> anyhow::Result<()> {
        let (dir, name) = parent(&self.config.staged)?;
        let site = self.staged_site();
        dir.write_atomically(&site, text.as_bytes(), 0o644)?;
        let whole = staged_config(&dir.path().join(&site));
        dir.write_atomically(name, whole.as_bytes(), 0o644)?;
        fault::point("nginx:staged");
        let tested = self.run(cx, &self.config.test_staged, Some(host)).await;
        self.clear_stage()?;
        tested
    }

    pub(super) fn clear_stage(&self) -> anyhow::Result<()> {
        let (dir, name) = parent(&self.config.staged)?;
        dir.remove_file(name)?;
        dir.remove_file(self.staged_site())
    }

    pub(super) fn staged_site(&self) -> String {
        let name = self.config.staged.file_name().unwrap_or_default();
        format!("{}.site", name.to_string_lossy())
    }
}

/// A whole configuration around one site's file. What it writes goes below nginx's prefix (`-p`), by
/// relative names, so that the test touches nothing that serves.
fn staged_config(site: &Path) -> String {
    let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("    {kind}_temp_path tmp-{kind};\n"))
        .collect();
    format!(
        "# Written by Kolga for one test; removed after it.\n\
         pid staged.pid;\n\
         error_log stderr;\n\
         events {{}}\n\
         http {{\n    \
             access_log off;\n    \
             server_names_hash_bucket_size 512;\n\
         {temp}    \
             include {};\n\
         }}\n",
        site.display()
    )
}
