//! Step `list_files`: the list of a new platform's files, by which a later verification sees what has changed.
//!
//! Undo needs nothing: the list lies in the folder that the first step of the recipe made and removes.

use kolga_protocol::fault;
use kolga_protocol::names::PlatformName;

use crate::code::listing::Listing;
use crate::cx::Cx;
use crate::files::blocking;
use crate::layout;
use crate::step::{Step, UndoError};

/// Lists the files of a platform that is being built.
pub struct ListFiles(pub PlatformName);

impl Step for ListFiles {
    const NAME: &'static str = "list_files";
    type Record = ();

    async fn inspect(&self, _cx: &Cx) -> anyhow::Result<()> {
        Ok(())
    }

    async fn apply(&self, cx: &Cx, (): &()) -> anyhow::Result<()> {
        let new = layout::platforms(&cx.spoke.config)?;
        let new = new.dir(layout::new_platform(&self.0, cx.run))?;
        let stop = cx.stop.clone();
        blocking(move || {
            let listing = Listing::of(&new.dir(layout::CODE)?, &stop)?;
            fault::point("list_files:read");
            listing.save(&new)
        })
        .await
    }

    async fn undo(_cx: &Cx, (): &()) -> Result<(), UndoError> {
        Ok(())
    }
}
