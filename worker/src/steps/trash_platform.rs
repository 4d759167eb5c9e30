//! Step `trash_platform`: the platform's folder goes aside under a name that no platform has, in one move,
//! when nothing on the disk leads into it.
//!
//! Undo needs the name and the run, which the name aside holds both.

use kolga_protocol::id::Run;
use kolga_protocol::names::PlatformName;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::files::blocking;
use crate::layout;
use crate::step::{Step, UndoError};
use crate::usage;

/// Moves a platform's folder aside.
pub struct TrashPlatform {
    /// Which platform.
    pub platform: PlatformName,
    /// The run that built it.
    pub owner: String,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    platform: PlatformName,
    run: Run,
    /// Whether there was a folder at all.
    was_there: bool,
}

impl Step for TrashPlatform {
    const NAME: &'static str = "trash_platform";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        let platforms = layout::platforms(&cx.spoke.config)?;
        let name = self.platform.as_str();
        let was_there = platforms.kind(name)?.is_some();
        anyhow::ensure!(
            !was_there || platforms.owner_of(name)?.as_deref() == Some(&self.owner),
            "{} is not the folder that was made for this platform: move it away",
            layout::platform(&cx.spoke.config, &self.platform).display()
        );
        let (config, stop) = (cx.spoke.config.clone(), cx.stop.clone());
        let folder = layout::platform(&config, &self.platform);
        let user = blocking(move || usage::user_of(&config, &folder, &stop)).await?;
        if let Some(user) = user {
            anyhow::bail!(
                "{} leads into platform {}, though no site of this spoke's book does: see what it belongs to, \
                 and remove it first",
                user.display(),
                self.platform
            );
        }
        Ok(Record {
            platform: self.platform.clone(),
            run: cx.run,
            was_there,
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        if !record.was_there {
            cx.log.warn("its folder was gone already");
            return Ok(());
        }
        let platforms = layout::platforms(&cx.spoke.config)?;
        let aside = layout::gone_platform(&record.platform, record.run);
        platforms.move_to(record.platform.as_str(), &platforms, aside)
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        (|| {
            let platforms = layout::platforms(&cx.spoke.config)?;
            let aside = layout::gone_platform(&record.platform, record.run);
            if record.was_there && platforms.kind(&aside)?.is_some() {
                platforms.move_to(aside, &platforms, record.platform.as_str())?;
            }
            anyhow::Ok(())
        })()
        .map_err(|error| {
            let left = layout::platform(&cx.spoke.config, &record.platform);
            UndoError::leaves(format!("{}, moved aside", left.display()), error)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Dir;
    use crate::steps::testing::site_context;
    use crate::testing::Scratch;

    fn scene(scratch: &Scratch) -> (Cx, TrashPlatform, Dir) {
        let cx = site_context(scratch);
        let platforms = layout::platforms(&cx.spoke.config).expect("there");
        let step = TrashPlatform {
            platform: "app-1".parse().expect("a name"),
            owner: "the building run".to_owned(),
        };
        platforms
            .make_owned_dir("app-1", 0o755, &step.owner)
            .expect("a platform")
            .make_dir("code", 0o755)
            .expect("its code");
        (cx, step, platforms)
    }

    #[tokio::test]
    async fn undo_is_right_when_it_never_ran_and_when_it_ran_whole() {
        let scratch = Scratch::new();
        let (cx, step, platforms) = scene(&scratch);
        let record = Step::inspect(&step, &cx).await.expect("ours");
        TrashPlatform::undo(&cx, &record).await.expect("never ran");
        assert_eq!(platforms.names().expect("read"), ["app-1"]);
        Step::apply(&step, &cx, &record).await.expect("whole");
        let aside = layout::gone_platform(&step.platform, cx.run);
        assert_eq!(platforms.names().expect("read"), [aside.as_str()]);
        TrashPlatform::undo(&cx, &record).await.expect("ran whole");
        TrashPlatform::undo(&cx, &record).await.expect("twice");
        assert_eq!(platforms.names().expect("read"), ["app-1"]);
    }

    #[tokio::test]
    async fn a_folder_of_the_same_name_that_is_not_the_platforms_is_refused() {
        let scratch = Scratch::new();
        let (cx, mut step, _) = scene(&scratch);
        step.owner = "another run".to_owned();
        assert!(Step::inspect(&step, &cx).await.is_err());
    }

    #[tokio::test]
    async fn what_the_book_does_not_know_of_and_the_disk_does_keeps_a_platform() {
        let scratch = Scratch::new();
        let (cx, step, _) = scene(&scratch);
        let code = layout::code(&cx.spoke.config, &step.platform);
        let refused = async || {
            let error = Step::inspect(&step, &cx).await.err().expect("it is used");
            error.to_string()
        };
        let themes = scratch.path().join("sites/lost.example.org/content/themes");
        std::fs::create_dir_all(&themes).expect("a site that no book knows of");
        let link = themes.join("blue");
        std::os::unix::fs::symlink(code.join("themes/blue"), &link).expect("a link");
        assert!(refused().await.contains("themes/blue leads into"));
        std::fs::remove_file(&link).expect("gone");
        Step::inspect(&step, &cx).await.expect("nobody uses it");

        let vhost = scratch.path().join("vhosts/lost.example.org.conf");
        let text = |path: &std::path::Path| format!("server {{ root {}; }}\n", path.display());
        std::fs::write(&vhost, text(&code)).expect("a vhost");
        assert!(refused().await.contains("lost.example.org.conf leads into"));
        // One whose name only begins the same is another platform.
        let other = scratch.path().join("platforms/app-11/code");
        std::fs::write(&vhost, text(&other)).expect("a vhost");
        Step::inspect(&step, &cx).await.expect("nobody uses it");
    }
}
