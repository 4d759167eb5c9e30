//! Step `check_snapshot`: a backup counts only when it can be read back. The list of all its files is read, and the
//! database's dump and the manifest are, byte by byte.
//!
//! It only looks, so undo has nothing to do.

use std::sync::Arc;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use super::make_snapshot::Kept;
use super::stage_backup::{DUMP, MANIFEST};
use crate::cx::Cx;
use crate::services::mariadb::{Dumped, hex};
use crate::step::{Step, UndoError};

/// Looks at a backup.
pub struct CheckSnapshot(pub Arc<Kept>);

impl Step for CheckSnapshot {
    const NAME: &'static str = "check_snapshot";
    type Record = ();

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<()> {
        cx.spoke.need_backups().map(drop)
    }

    async fn apply(&self, cx: &Cx, (): &()) -> anyhow::Result<()> {
        let restic = cx.spoke.need_backups()?;
        let made = self.0.made.get().context("there is no snapshot")?;
        let files = restic.files_in(cx, &made.id).await?;
        anyhow::ensure!(
            files == made.files,
            "the backup should hold {} files, but lists {files}",
            made.files
        );
        let manifest = self.0.manifest.get().map(|text| Dumped {
            bytes: text.len() as u64,
            sha256: hex(&Sha256::digest(text)),
        });
        for (name, wrote) in [(MANIFEST, manifest.as_ref()), (DUMP, self.0.dump.get())] {
            let Some(wrote) = wrote else { continue };
            let read = restic.digest_of(cx, &made.id, name).await?;
            anyhow::ensure!(
                read == *wrote,
                "{name} does not come back from the backup as it was written"
            );
        }
        Ok(())
    }

    async fn undo(_cx: &Cx, (): &()) -> Result<(), UndoError> {
        Ok(())
    }
}
