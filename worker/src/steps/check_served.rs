//! Step `check_served`: whether it is the site's own file by which nginx answers to its name. Before that file was there
//! nginx answered as it does to any name; where it still does, another file has the name, or is the one for all names and
//! listens more closely.
//!
//! It only looks, so undo has nothing to do.

use std::time::Duration;

use kolga_protocol::names::HostName;
use tokio::time::Instant;

use crate::cx::Cx;
use crate::step::{Step, UndoError};

/// How long nginx may take to read its configuration.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks whether a site's name is its own.
pub struct CheckServed(pub HostName);

impl Step for CheckServed {
    const NAME: &'static str = "check_served";
    type Record = ();

    async fn inspect(&self, _cx: &Cx) -> anyhow::Result<()> {
        Ok(())
    }

    async fn apply(&self, cx: &Cx, (): &()) -> anyhow::Result<()> {
        let give_up = Instant::now() + PATIENCE;
        while !cx.spoke.nginx.answers_to(cx, &self.0).await? {
            anyhow::ensure!(
                Instant::now() < give_up,
                "nginx answers to {} as it does to any other name: is there another file with that name, or for all \
                 names, that shows the same? Take it away first, or import the site disabled",
                self.0
            );
        }
        Ok(())
    }

    async fn undo(_cx: &Cx, (): &()) -> Result<(), UndoError> {
        Ok(())
    }
}
