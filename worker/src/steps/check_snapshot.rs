//! Step `check_snapshot`: a backup counts only when it can be read back: all of it when it is small; else the list of all
//! its files, and, byte by byte, the database's dump and the manifest.
//!
//! It only looks, so undo has nothing to do.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use super::make_snapshot::Kept;
use super::stage_backup::{DUMP, MANIFEST};
use crate::cx::Cx;
use crate::services::database::{Dumped, hex};
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
        self.0.explain(self.check(cx).await)
    }

    async fn undo(_cx: &Cx, (): &()) -> Result<(), UndoError> {
        Ok(())
    }
}

impl CheckSnapshot {
    async fn check(&self, cx: &Cx) -> anyhow::Result<()> {
        let restic = cx.spoke.need_backups()?;
        let made = self.0.made.get().context("there is no snapshot")?;
        let manifest = self.0.manifest.get().map(|text| Dumped {
            bytes: text.len() as u64,
            sha256: hex(&Sha256::digest(text)),
        });
        let wrote = [(MANIFEST, manifest), (DUMP, self.0.dump.get().cloned())];
        let wrote = wrote.into_iter().filter_map(|(name, it)| Some((name, it?)));
        let wrote: BTreeMap<&str, Dumped> = wrote.collect();
        let wanted = wrote.keys().copied().collect();
        let (id, read) = restic.read_back(cx, made, cx.run, wanted).await?;
        anyhow::ensure!(
            read.files == made.files,
            "the backup should hold {} files, but {} come back",
            made.files,
            read.files
        );
        for (name, wrote) in &wrote {
            anyhow::ensure!(
                read.digests.get(name) == Some(wrote),
                "{name} does not come back from the backup as it was written"
            );
        }
        self.0.id.get_or_init(|| id);
        Ok(())
    }
}
