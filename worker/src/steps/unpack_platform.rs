//! Step `unpack_platform`: the source's code into a folder of this run's own, which nobody else looks at.
//!
//! Undo needs the platform's name and the run: the folder's name holds both, and its mark says whose it
//! is. First step of `tasks::platform_build`; what it counted goes to the recipe's result.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use kolga_protocol::id::Run;
use kolga_protocol::names::{PlatformName, SpokePath};
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::files::blocking;
use crate::layout;
use crate::step::{Step, UndoError};
use crate::unpack::{self, Format, Rules, Unpacked};
use kolga_protocol::fault;

/// Unpacks a source.
pub struct UnpackPlatform {
    /// For which platform.
    pub platform: PlatformName,
    /// From where.
    pub source: SpokePath,
    /// What is taken from there.
    pub rules: Rules,
    /// Where the recipe learns what was unpacked.
    pub unpacked: Arc<OnceLock<Unpacked>>,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    platform: PlatformName,
    run: Run,
    source: PathBuf,
}

impl Step for UnpackPlatform {
    const NAME: &'static str = "unpack_platform";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        let source = allowed(
            &cx.spoke.config.sites.platform_sources,
            self.source.as_str(),
        )?;
        Format::of(&source)?;
        refuse_taken(cx, &self.platform)?;
        Ok(Record {
            platform: self.platform.clone(),
            run: cx.run,
            source,
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let platforms = layout::platforms(&cx.spoke.config)?;
        let name = layout::new_platform(&record.platform, record.run);
        let owner = record.run.to_string();
        let (rules, source, stop) = (self.rules.clone(), record.source.clone(), cx.stop.clone());
        cx.log.info(format!("unpacking {}", source.display()));
        let unpacked = blocking(move || {
            let new = platforms.make_owned_dir(&name, 0o700, &owner)?;
            fault::point("unpack_platform:made");
            let code = new.make_dir(layout::CODE, 0o755)?;
            let unpacked = unpack::unpack(&source, code.path(), &rules, &stop)?;
            fault::point("unpack_platform:unpacked");
            new.sync_file_system()?;
            Ok(unpacked)
        })
        .await?;
        cx.log.info(format!(
            "{} files, {} bytes",
            unpacked.files, unpacked.bytes
        ));
        self.unpacked.get_or_init(|| unpacked);
        Ok(())
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        remove_new(cx, &record.platform, record.run).await
    }
}

/// Refuses a platform whose folder is there already.
pub(super) fn refuse_taken(cx: &Cx, platform: &PlatformName) -> anyhow::Result<()> {
    let taken = layout::platforms(&cx.spoke.config)?.kind(platform.as_str())?;
    anyhow::ensure!(
        taken.is_none(),
        "{} is there already and not this task's: move it away, or choose another name",
        layout::platform(&cx.spoke.config, platform).display()
    );
    Ok(())
}

/// Removes the folder in which a run was building a platform.
pub(super) async fn remove_new(
    cx: &Cx,
    platform: &PlatformName,
    run: Run,
) -> Result<(), UndoError> {
    let name = layout::new_platform(platform, run);
    let left = cx.spoke.config.sites.platforms.join(&name);
    let left = left.display().to_string();
    let (config, owner) = (cx.spoke.config.clone(), run.to_string());
    blocking(move || layout::platforms(&config)?.remove_owned_dir(&name, &owner))
        .await
        .map(drop)
        .map_err(|error| UndoError::leaves(left, error))
}

/// The source with its links resolved, when the operator lets platforms be built from there.
pub(super) fn allowed(sources: &[PathBuf], wanted: &str) -> anyhow::Result<PathBuf> {
    let source = Path::new(wanted)
        .canonicalize()
        .with_context(|| format!("cannot read the source {wanted}"))?;
    let allowed = sources
        .iter()
        .filter_map(|allowed| allowed.canonicalize().ok())
        .any(|allowed| source.starts_with(allowed));
    anyhow::ensure!(
        allowed,
        "{} lies below none of this spoke's platform_sources: put it there, or add its folder to the \
         worker's configuration",
        source.display()
    );
    Ok(source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::testing::site_context;
    use crate::testing::Scratch;

    /// A spoke with a source of one file, and the step.
    fn scene(scratch: &Scratch) -> (Cx, UnpackPlatform) {
        let cx = site_context(scratch);
        let source = scratch.path().join("sources/app");
        std::fs::create_dir_all(&source).expect("a folder");
        std::fs::write(source.join("index.php"), "<?php").expect("a file");
        let step = UnpackPlatform {
            platform: "app-1".parse().expect("a name"),
            source: source.to_str().expect("plain").parse().expect("a path"),
            rules: Rules::default(),
            unpacked: Arc::default(),
        };
        (cx, step)
    }

    fn left(scratch: &Scratch) -> usize {
        let listing = std::fs::read_dir(scratch.path().join("platforms"));
        listing.expect("there").count()
    }

    #[tokio::test]
    async fn undo_is_right_when_it_never_ran_ran_by_half_and_ran_whole() {
        let scratch = Scratch::new();
        let (cx, step) = scene(&scratch);
        let record = Step::inspect(&step, &cx).await.expect("all is well");
        UnpackPlatform::undo(&cx, &record).await.expect("never ran");

        let name = layout::new_platform(&record.platform, record.run);
        let half = layout::platforms(&cx.spoke.config).expect("there");
        half.make_owned_dir(&name, 0o700, &record.run.to_string())
            .expect("by half");
        UnpackPlatform::undo(&cx, &record)
            .await
            .expect("ran by half");
        assert_eq!(left(&scratch), 0);

        Step::apply(&step, &cx, &record).await.expect("whole");
        assert_eq!(step.unpacked.get().expect("told").files, 1);
        UnpackPlatform::undo(&cx, &record).await.expect("ran whole");
        UnpackPlatform::undo(&cx, &record).await.expect("twice");
        assert_eq!(left(&scratch), 0);
    }

    #[tokio::test]
    async fn a_source_outside_of_the_allowed_folders_is_refused_also_through_a_link() {
        let scratch = Scratch::new();
        let (cx, mut step) = scene(&scratch);
        let door = scratch.path().join("sources/door");
        std::os::unix::fs::symlink("/etc", &door).expect("a link");
        for outside in ["/etc".to_owned(), door.display().to_string()] {
            step.source = outside.parse().expect("a path");
            let error = Step::inspect(&step, &cx).await.err().expect("refused");
            assert!(error.to_string().contains("platform_sources"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_platform_that_is_there_already_is_refused_and_unharmed() {
        let scratch = Scratch::new();
        let (cx, step) = scene(&scratch);
        let planted = scratch.path().join("platforms/app-1");
        std::fs::create_dir(&planted).expect("planted");
        assert!(Step::inspect(&step, &cx).await.is_err());
        assert!(planted.exists());
    }
}
