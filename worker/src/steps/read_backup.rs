//! Step `read_backup`: every byte of a backup is read, and compared with what the backup itself says of it: how many files it
//! lists and how long they are, of which site it is, and what its dump was when it was written.
//!
//! It only looks, so undo has nothing to do.

use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use kolga_protocol::names::BackupName;

use super::stage_backup::{DUMP, MANIFEST, Manifest};
use crate::cx::Cx;
use crate::services::database::Dumped;
use crate::services::restic::{Contents, ReadBack};
use crate::step::{Step, UndoError};

/// Reads a backup.
pub struct ReadBackup {
    /// Which.
    pub backup: BackupName,
    /// What is known of it afterwards.
    pub read: Arc<OnceLock<Contents>>,
}

impl Step for ReadBackup {
    const NAME: &'static str = "read_backup";
    type Record = ();

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<()> {
        cx.spoke.need_backups().map(drop)
    }

    async fn apply(&self, cx: &Cx, (): &()) -> anyhow::Result<()> {
        let restic = cx.spoke.need_backups()?;
        let contents = restic.contents(cx, &self.backup).await?;
        let wanted = vec![MANIFEST, DUMP];
        let back = restic.read_all(cx, &contents.id, wanted).await;
        let back = back.and_then(|back| agree(&contents, &back));
        back.with_context(|| {
            format!(
                "the backup {} of {} cannot be relied on: make another, and let `restic check --read-data` say what \
                 else is damaged",
                self.backup, contents.site
            )
        })?;
        cx.log.info(format!(
            "read {} files, {} bytes of {}",
            contents.files, contents.bytes, contents.site
        ));
        self.read.get_or_init(|| contents);
        Ok(())
    }

    async fn undo(_cx: &Cx, (): &()) -> Result<(), UndoError> {
        Ok(())
    }
}

/// Refuses what is not as the backup says of itself.
fn agree(contents: &Contents, back: &ReadBack) -> anyhow::Result<()> {
    anyhow::ensure!(
        (back.files, back.bytes) == (contents.files, contents.bytes),
        "it lists {} files with {} bytes, but {} with {} come back",
        contents.files,
        contents.bytes,
        back.files,
        back.bytes
    );
    let text = back.texts.get(MANIFEST);
    let manifest = Manifest::read(text.context("it has no manifest")?)?;
    anyhow::ensure!(
        manifest.host == contents.site,
        "its manifest is of {}",
        manifest.host
    );
    anyhow::ensure!(
        contents
            .brief
            .as_ref()
            .is_none_or(|brief| *brief == manifest.brief()),
        "its tags say something else of the site than its manifest"
    );
    let written = manifest.dump_bytes.zip(manifest.dump_sha256);
    let written = written.map(|(bytes, sha256)| Dumped { bytes, sha256 });
    anyhow::ensure!(
        back.digests.get(DUMP) == written.as_ref(),
        "{DUMP} is not what was written"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use kolga_protocol::id::UnixMillis;
    use serde_json::json;

    use super::*;

    fn found(dump: &str) -> (Contents, ReadBack) {
        let host = "www.example.org";
        let manifest = json!({
            "format": 1, "kolga": "0.1.0", "at": 1, "server": "web1", "host": host, "aliases": [],
            "profile": "php", "platform": null, "platform_version": null, "options": {},
            "folder": "/s/www.example.org", "database": null, "dump_bytes": 3, "dump_sha256": "abc",
        });
        let digest = |sha256: &str| Dumped {
            bytes: 3,
            sha256: sha256.to_owned(),
        };
        let contents = Contents {
            id: "4b3feb53".to_owned(),
            site: host.parse().expect("a host"),
            at: UnixMillis(1),
            run: None,
            files: 2,
            bytes: 10,
            foreign: BTreeSet::new(),
            brief: None,
        };
        let back = ReadBack {
            files: 2,
            bytes: 10,
            digests: BTreeMap::from([(DUMP, digest(dump))]),
            texts: BTreeMap::from([(MANIFEST, manifest.to_string().into_bytes())]),
        };
        (contents, back)
    }

    #[test]
    fn only_what_is_as_the_backup_says_of_itself_counts() {
        let (contents, back) = found("abc");
        agree(&contents, &back).expect("whole");
        let (contents, mut back) = found("abd");
        assert!(agree(&contents, &back).is_err(), "another dump");
        back.digests.clear();
        assert!(agree(&contents, &back).is_err(), "no dump");
        let (mut contents, back) = found("abc");
        contents.files = 3;
        assert!(agree(&contents, &back).is_err(), "a file less");
        let (mut contents, mut back) = found("abc");
        contents.site = "other.example.org".parse().expect("a host");
        assert!(agree(&contents, &back).is_err(), "another site's");
        back.texts.clear();
        assert!(agree(&contents, &back).is_err(), "no manifest");
    }
}
