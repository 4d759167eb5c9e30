//! `backup.extract`: all of a backup into a new private folder, for an operator to look at. It is made below the one that the
//! spoke's configuration names, never over anything, and removing it is the operator's.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use anyhow::Context as _;
use kolga_protocol::task::{Output, backup_extract};

use crate::cx::Cx;
use crate::plan::Plan;
use crate::room::{self, Need};
use crate::steps::restore_snapshot::{Into, RestoreSnapshot};

pub(super) async fn plan(params: &backup_extract::Params, cx: &Cx) -> anyhow::Result<Plan> {
    let backup_extract::Params { backup, folder } = params;
    let restic = cx.spoke.need_backups()?;
    let below = place(cx)?;
    let path = below.join(folder.as_str());
    anyhow::ensure!(
        std::fs::symlink_metadata(&path).is_err(),
        "{} is there already: choose another name",
        path.display()
    );
    let contents = restic.contents(cx, backup).await?;
    room::enough(
        &format!("extracting {backup}"),
        &[Need::new(&below, contents.bytes)?],
    )?;
    let step = RestoreSnapshot {
        id: contents.id.clone(),
        into: Into::Extracted {
            below,
            folder: folder.clone(),
        },
    };
    let output = backup_extract::Output {
        path: path.display().to_string(),
        backup: contents.id,
        site: contents.site,
        files: contents.files,
        bytes: contents.bytes,
    };
    Ok(Plan::new(move || Ok(Output::BackupExtract(output))).step(step))
}

/// The folder below which backups are extracted. Where others may write, they could put something else in the place of
/// what is being extracted.
fn place(cx: &Cx) -> anyhow::Result<PathBuf> {
    let backups = cx.spoke.config.backups.as_ref();
    let below = backups.and_then(|backups| backups.extract_to.clone());
    let below = below.context(
        "this spoke has no folder for backups that are extracted: set `extract_to` in [backups] of the worker's \
         configuration, then reload the worker",
    )?;
    let shown = below.display();
    let found = std::fs::symlink_metadata(&below)
        .with_context(|| format!("the folder {shown} for backups that are extracted"))?;
    let own = rustix::process::geteuid().as_raw();
    anyhow::ensure!(
        found.is_dir() && found.uid() == own && found.mode() & 0o022 == 0,
        "{shown} has to be a folder of the worker's own user, in which nobody else may write"
    );
    Ok(below)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;
    use crate::testing::{Scratch, config, context};

    fn on(scratch: &Scratch, below: Option<&Path>) -> Cx {
        let mut config = config(scratch.path());
        let backups = toml::Table::from_iter([
            ("repository".to_owned(), "/nowhere".into()),
            ("password_file".to_owned(), "/nowhere".into()),
        ]);
        let mut backups: crate::config::Backups = backups.try_into().expect("a table");
        backups.extract_to = below.map(Path::to_owned);
        config.backups = Some(backups);
        context(config).0
    }

    #[tokio::test]
    async fn a_place_that_others_can_write_to_or_that_is_a_link_is_refused() {
        let scratch = Scratch::new();
        let below = scratch.path().join("extracted");
        let refused = |below: Option<&Path>| {
            let refused = place(&on(&scratch, below)).expect_err("refused");
            format!("{refused:#}")
        };
        assert!(refused(None).contains("extract_to"));
        assert!(refused(Some(&below)).contains("extracted"), "not there");
        std::fs::create_dir(&below).expect("made");
        let mode = |mode| {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&below, mode).expect("set");
        };
        mode(0o770);
        assert!(refused(Some(&below)).contains("nobody else"));
        mode(0o750);
        place(&on(&scratch, Some(&below))).expect("its own");
        let link = scratch.path().join("link");
        std::os::unix::fs::symlink(&below, &link).expect("linked");
        assert!(refused(Some(&link)).contains("folder"));
    }
}
